"""A study's or a run's result JSON, read and checked. Engine-neutral.

A run's file holds {"config", "versions", "seed", "engine", "metrics", …}; a study's
holds {"rows": [{"model", "pretrained", "seed", "metrics", "run"}, …], …}, a row for each
network and seed. A run is read as a study of one row.

Beside its rows a study may hold "title", "kind" ("detection", "classification"), "scale",
"command", "code" {"package", "sources", "commit"}, "engine", "versions", "seconds",
"settings" {name: value}, "dataset" {"description", "annotations", "images", …},
"differences", "precision_recall" and "pictures" (`study_entries`), "published" (names of
tables in published.json) and "findings" [{"text", "passed"}]. A row may hold "note",
"pretraining" (words for the table), "pretraining_metrics", "params", "flops", "seconds",
"speed" {"train_seconds_per_iteration", "device"}, "commands", and "curves" {"classification"
or "detection": {key: [iterations, values]}}. Studies older than "curves" name "run" and
"pretraining_run", whose metrics.json is read instead. Paths are relative to the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError, one_line
from resnext_det.json_files import read_json
from resnext_det.reports.json_values import Entry, MalformedError
from resnext_det.reports.study_entries import (
    PrecisionCurve,
    StudyDifference,
    StudyPicture,
    maybe_bool,
    read_difference,
    read_picture,
    read_precision_recall,
)

Curves = Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
"""Key, as in metrics.json -> iterations counted from 1, and as many values."""

DETECTION, CLASSIFICATION = "detection", "classification"


@dataclass(frozen=True)
class Row:
    """One trained model of a study: one network at one seed.

    Attributes:
        model: its name, for example "ResNeXt-50 32x4d".
        pretrained: whether it started from classification weights; None where unknown.
        seed: the run's seed.
        metrics: AP, AP50, … or top1, top5 in percent; None where there is no ground truth.
        run: the run's output folder; None where it is not known.
        pretraining: words for the table; empty takes "yes" or "no" from `pretrained`.
        pretraining_run: the classification run's output folder, or None.
        params: parameters of the backbone, or None.
        flops: multiply-adds of the backbone for one image, or None.
        seconds: what the run took, or None.
        note: words on what sets the row apart, for example "without shortcuts".
        pretraining_metrics: top1, top5 in percent of the classification run before it.
        train_seconds: seconds of one training iteration, or None.
        device: what it was trained on, in words.
        commands: what was run, in order.
        curves: "classification" or "detection" -> its curves.
    """

    model: str
    pretrained: bool | None
    seed: int | None
    metrics: Mapping[str, float | None]
    run: Path | None = None
    pretraining: str = ""
    pretraining_run: Path | None = None
    params: int | None = None
    flops: float | None = None
    seconds: float | None = None
    note: str = ""
    pretraining_metrics: Mapping[str, float | None] = field(default_factory=dict)
    train_seconds: float | None = None
    device: str = ""
    commands: tuple[str, ...] = ()
    curves: Mapping[str, Curves] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name for legends: the model, where it started, and what sets it apart."""
        start = {True: "pretrained", False: "from scratch", None: ""}[self.pretrained]
        return ", ".join(part for part in (self.model, start, self.note) if part)


@dataclass(frozen=True)
class Study:
    """Rows to compare and what the page says about them.

    Attributes:
        path: the JSON file it was read from.
        rows: in the order of the table, every seed of a network among them.
        more: the file's other entries (see the module docstring).
        kind: "detection" or "classification".
        differences: in the order of the file.
        precision_recall: in the order of the file.
        pictures: in the order of the file.
        published: names of tables in published.json.
    """

    path: Path
    rows: tuple[Row, ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    kind: str = DETECTION
    differences: tuple[StudyDifference, ...] = ()
    precision_recall: tuple[PrecisionCurve, ...] = ()
    pictures: tuple[StudyPicture, ...] = ()
    published: tuple[str, ...] = ()

    def file(self, name: str) -> Path | None:
        """Returns dataset file or folder `name` as a path, or None where none is given."""
        relative = (self.more.get("dataset") or {}).get(name)
        return None if relative is None else self.path.parent / relative


def read_study(path: Path) -> Study:
    """Reads the result JSON of a study or of one run.

    Raises:
        UserError: the file is missing, is not JSON, or a value is missing or of another kind.
    """
    if not path.exists():
        raise UserError(f"{path}: no such result file")
    try:
        content = read_json(path)
    except UserError as error:
        what = one_line(str(error).removeprefix(f"{path}: "))
        raise UserError(f"{path}: cannot be read as result JSON ({what})") from None
    try:
        return _study(path, Entry(content))
    except MalformedError as error:
        what = one_line(str(error))
        raise UserError(f"{path}: neither a run's nor a study's result JSON: {what}") from None


def _study(path: Path, entry: Entry) -> Study:
    if "rows" not in entry.value:
        entry = Entry({**entry.value, "rows": [_row_of_run(path, entry)]})
    rows = tuple(_row(path.parent, row) for row in entry.entries("rows"))
    _check_words(entry)
    return Study(
        path,
        rows,
        {key: value for key, value in entry.value.items() if key != "rows"},
        kind=_kind(entry, rows),
        differences=tuple(map(read_difference, entry.entries("differences"))),
        precision_recall=read_precision_recall(entry.entry("precision_recall")),
        pictures=tuple(map(read_picture, entry.entries("pictures"))),
        published=entry.texts("published"),
    )


def _check_words(entry: Entry) -> None:
    """Checks the entries that the page prints as they are."""
    for key in ("title", "scale", "command", "engine"):
        entry.text(key, "")
    entry.maybe_number("seconds")
    for key in ("settings", "versions", "code", "dataset"):
        entry.entry(key)
    dataset = entry.entry("dataset")
    for key in ("description", "annotations", "images"):
        dataset.text(key, "")
    for finding in entry.entries("findings"):
        finding.text("text")
        maybe_bool(finding, "passed")


def _kind(entry: Entry, rows: Sequence[Row]) -> str:
    """Returns what the metrics are; files older than "kind" are known by them."""
    kind = entry.text("kind", "")
    if kind not in ("", DETECTION, CLASSIFICATION):
        raise MalformedError(f"kind is {kind!r}, neither 'detection' nor 'classification'")
    classifies = bool(rows) and all("top1" in row.metrics for row in rows)
    return kind or (CLASSIFICATION if classifies else DETECTION)


def _row_of_run(path: Path, entry: Entry) -> dict[str, Any]:
    command = entry.text("command", "")
    return {
        "model": path.resolve().parent.name,
        "pretrained": None,
        "seed": entry.required("seed"),
        "metrics": entry.required("metrics"),
        "run": ".",
        "seconds": entry.value.get("seconds"),
        "commands": [command] if command else [],
    }


def _row(folder: Path, entry: Entry) -> Row:
    for key in ("pretrained", "seed", "metrics"):
        entry.required(key)
    speed, curves = entry.entry("speed"), entry.entry("curves")
    return Row(
        model=entry.text("model"),
        pretrained=maybe_bool(entry, "pretrained"),
        seed=entry.maybe_count("seed"),
        metrics=_metrics(entry.entry("metrics")),
        run=_beside(folder, entry, "run"),
        pretraining=entry.text("pretraining", ""),
        pretraining_run=_beside(folder, entry, "pretraining_run"),
        params=entry.maybe_count("params"),
        flops=entry.maybe_number("flops"),
        seconds=entry.maybe_number("seconds"),
        note=entry.text("note", ""),
        pretraining_metrics=_metrics(entry.entry("pretraining_metrics")),
        train_seconds=speed.maybe_number("train_seconds_per_iteration"),
        device=speed.text("device", ""),
        commands=entry.texts("commands"),
        curves={key: _curves(curves.entry(key)) for key in curves.value},
    )


def _metrics(entry: Entry) -> dict[str, float | None]:
    return {key: entry.maybe_number(key) for key in entry.value}


def _curves(entry: Entry) -> Curves:
    found = {}
    for key in entry.value:
        pair = entry.items(key)
        lengths = [len(axis) if isinstance(axis, list) else None for axis in pair]
        if len(pair) != 2 or None in lengths or lengths[0] != lengths[1]:
            raise MalformedError(f"{entry.place(key)} is not [iterations, as many values]")
        # null is no point: AP of a size that has no ground truth.
        points = [point for point in zip(*pair, strict=True) if point[1] is not None]
        axes = Entry(
            {"iterations": [p[0] for p in points], "values": [p[1] for p in points]},
            entry.place(key),
        )
        found[key] = axes.numbers("iterations"), axes.numbers("values")
    return found


def _beside(folder: Path, entry: Entry, key: str) -> Path | None:
    relative = entry.text(key, "")
    return folder / relative if relative else None
