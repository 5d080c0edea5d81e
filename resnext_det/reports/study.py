"""A study's or a run's result JSON, read and checked. Engine-neutral.

A run's file holds {"config", "versions", "seed", "engine", "metrics", …}; a study's
holds {"rows": [{"model", "pretrained", "seed", "metrics", "run"}, …], …}. A run is
read as a study of one row. Beside those keys a study may hold "title", "engine",
"versions", "seconds", "findings" [{"text", "passed"}], "settings" {name: value} and
"dataset" {"description", "annotations", "images"}; a row may hold "params", "flops",
"pretraining" (words for the table), "pretraining_run" and
"seconds". Paths are relative to the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError


@dataclass(frozen=True)
class Row:
    """One trained model of a study.

    Attributes:
        model: its name, for example "ResNeXt-50 32x4d".
        pretrained: whether it started from classification weights; None where unknown.
        seed: the run's seed.
        metrics: AP, AP50, … in percent; None where there is no ground truth.
        run: the run's output folder; None where it is not known.
        pretraining: words for the table; empty takes "yes" or "no" from `pretrained`.
        pretraining_run: the classification run's output folder, or None.
        params: parameters of the backbone, or None.
        flops: multiply-adds of the backbone for one image, or None.
        seconds: what the run took, or None.
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

    @property
    def label(self) -> str:
        """Name for legends: the model and where it started."""
        start = {True: "pretrained", False: "from scratch", None: ""}[self.pretrained]
        return f"{self.model}, {start}" if start else self.model


@dataclass(frozen=True)
class Study:
    """Rows to compare and what the page says about them.

    Attributes:
        path: the JSON file it was read from.
        rows: in the order of the table.
        more: the file's other entries (see the module docstring).
    """

    path: Path
    rows: tuple[Row, ...]
    more: Mapping[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path | None:
        """Returns dataset file or folder `name` as a path, or None where none is given."""
        relative = self.more.get("dataset", {}).get(name)
        return None if relative is None else self.path.parent / relative


def read_study(path: Path) -> Study:
    """Reads the result JSON of a study or of one run.

    Raises:
        UserError: the file is missing, is not JSON, or lacks a key.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such result file") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as result JSON ({error})") from None
    try:
        if "rows" not in content:
            content = {**content, "rows": [_row_of_run(path, content)]}
        rows = tuple(_row(path.parent, row) for row in content["rows"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: neither a run's nor a study's result JSON ({error!r})") from None
    return Study(path, rows, {key: value for key, value in content.items() if key != "rows"})


def _row_of_run(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": path.resolve().parent.name,
        "pretrained": None,
        "seed": content["seed"],
        "metrics": content["metrics"],
        "run": ".",
    }


def _row(folder: Path, row: Mapping[str, Any]) -> Row:
    return Row(
        model=row["model"],
        pretrained=row["pretrained"],
        seed=row["seed"],
        metrics=dict(row["metrics"]),
        run=_beside(folder, row.get("run")),
        pretraining=row.get("pretraining", ""),
        pretraining_run=_beside(folder, row.get("pretraining_run")),
        params=row.get("params"),
        flops=row.get("flops"),
        seconds=row.get("seconds"),
    )


def _beside(folder: Path, relative: str | None) -> Path | None:
    return None if relative is None else folder / relative
