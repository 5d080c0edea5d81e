"""The words of a study's page: what was compared, by which commands and code. Engine-neutral."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnext_det.reports.metric_columns import metric_columns
from resnext_det.reports.seeds import RowGroup
from resnext_det.reports.study import CLASSIFICATION, DETECTION, Study

_MINI = "mini"  # the scale of every study of small networks
_CODE = {"package": "resnext-det", "sources": "sources (SHA-256)", "commit": "commit"}


@dataclass(frozen=True)
class Commands:
    """Commands and what they made."""

    title: str
    lines: tuple[str, ...]


def intro(study: Study, groups: Sequence[RowGroup]) -> list[str]:
    """Returns sentences on what was compared, on what, and how long it took."""
    dataset: Mapping[str, Any] = study.more.get("dataset") or {}
    sentences = [_compared(groups)] if groups else ["There is no row to compare."]
    if words := dataset.get("description"):
        sentences.append(words)
    if images := dataset.get("num_images"):
        sentences.append(f"All are scored on the same {images} images.")
    facts = [f"Scale: {study.more['scale']}."] if study.more.get("scale") else []
    facts += [f"Engine: {study.more['engine']}."] if study.more.get("engine") else []
    if (seconds := study.more.get("seconds")) is not None and len(study.rows) != 1:
        facts.append(f"The whole took {_duration(seconds)}.")
    return [*sentences, " ".join(facts)] if facts else sentences


def caption_of(study: Study, groups: Sequence[RowGroup]) -> str:
    """Returns what stands below the table of the networks."""
    if study.kind == CLASSIFICATION:
        errors = any(metric.error for metric in metric_columns(study.rows))
        words = "Percent of the test images; err: error, lower is better." if errors else ""
        if any(row.metrics.get("top5", 0.0) is None for row in study.rows):
            words += " “–”: among fewer than five classes there is no top-5."
    else:
        words = (
            "Box AP in percent, COCO’s definition; s, m, l: objects below 32², below 96², and "
            "larger, in square pixels. “–”: no such object."
        )
    if any(len(group.rows) > 1 for group in groups):
        words += " Mean ± sample standard deviation over the seeds."
    return words


def published_caveat(study: Study) -> str:
    """Returns what stands above the published figures where they are of another kind than ours."""
    if study.more.get("scale") != _MINI:
        return ""
    return (
        "These are of other networks, on other data, trained for other lengths than this study’s: "
        "a difference here, of either sign, or none, neither confirms nor contradicts them."
    )


def no_pictures(study: Study) -> str:
    """Returns why a comparison of detectors may show no image; "" where it does, or is older."""
    compares = study.kind == DETECTION and study.differences
    if not compares or study.more.get("pictures") != []:
        return ""
    return (
        "No image is shown: none was asked for, or the first two detectors differ on none in "
        "boxes with a score of at least 50 %, the only ones that are drawn."
    )


def commands_of(study: Study, groups: Sequence[RowGroup]) -> list[Commands]:
    """Returns the study's command, then each row's; one that many rows share comes once."""
    found = []
    if (command := study.more.get("command")) and len(study.rows) != 1:
        found.append(Commands("The whole study", (command,)))
    printed: set[str] = set()
    for group in groups:
        for row in group.rows:
            lines = tuple(line for line in row.commands if line not in printed)
            printed.update(lines)
            seed = "" if row.seed is None else f", seed {row.seed}"
            if lines:
                found.append(Commands(f"{group.label}{seed}", lines))
    return found


def provenance(study: Study) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns (title, lines of a name and a value) on seeds, code, versions, data and settings."""
    more = study.more
    code = more.get("code") or {}
    dataset = more.get("dataset") or {}
    seeds = list(dict.fromkeys(row.seed for row in study.rows if row.seed is not None))
    lists = (
        ("Seeds", [("seeds", ", ".join(map(str, seeds)))] if seeds else []),
        (
            "Code",
            [(words, code[key] or "not known") for key, words in _CODE.items() if key in code],
        ),
        ("Versions", _lines(more.get("versions") or {})),
        ("Data", _lines({k: v for k, v in dataset.items() if k != "description"})),
        ("Settings that all rows share", _lines(more.get("settings") or {})),
    )
    return [(title, lines) for title, lines in lists if lines]


def _compared(groups: Sequence[RowGroup]) -> str:
    names = [group.label for group in groups]
    # "ResNet-50, from scratch" has a comma of its own.
    comma = "; " if any("," in name for name in names) else ", "
    *others, last = names
    listed = f"{comma.join(others)}{';' * (comma == '; ')} and {last}" if others else last
    counts = {len(group.rows) for group in groups}
    if counts == {1}:
        seeds = "at one seed each" if len(names) > 1 else "at one seed"
    else:
        seeds = f"at {' or '.join(map(str, sorted(counts)))} seeds each"
    return f"{listed}, {seeds}."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _lines(entries: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(key), _value(value)) for key, value in entries.items() if value is not None]


def _value(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
