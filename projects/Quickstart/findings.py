"""What the quickstart's numbers say, and what they cannot. Engine-neutral."""

from collections.abc import Mapping
from typing import Any

from projects.Quickstart.jobs import PRETRAINED, SCRATCH
from projects.studies.findings import Finding, finding
from projects.studies.grid import StudyRow
from resnext_det.statistics.summary import summarise

MIN_AP50 = 30.0
Content = Mapping[str, Any]


def findings(content: Content) -> list[Finding]:
    """Returns the sentences on those rows that the study has."""
    there = {(row["model"], row["pretrained"]) for row in content["rows"]}
    pretrained = [row for row in PRETRAINED if (row.model, True) in there]
    found = [level_finding(content, row) for row in pretrained]
    for scratch, row in zip(SCRATCH, PRETRAINED, strict=True):
        if {(row.model, True), (row.model, False)} <= there:
            found.append(gain_finding(content, scratch, row))
    return found + ([comparison_finding(content, *pretrained)] if len(pretrained) == 2 else [])


def level_finding(content: Content, row: StudyRow) -> Finding:
    """Checks a fine-tuned detector's AP50."""
    ap50 = _mean(content, row, "AP50")
    found = "undefined" if ap50 is None else f"{ap50:.1f}"
    text = f"{row.label}: AP50 {found}; at least {MIN_AP50:.0f} is expected."
    return finding(text, ap50 is not None and ap50 >= MIN_AP50)


def gain_finding(content: Content, scratch: StudyRow, pretrained: StudyRow) -> Finding:
    """Says what pretraining gave one model, in AP50."""
    difference = _difference(content, scratch, pretrained, "AP50")
    before, after = (_mean(content, row, "AP50") for row in (scratch, pretrained))
    if difference is None:
        return finding(f"{pretrained.model}: the gain is undefined.", False)
    text = (
        f"Pretraining takes {pretrained.model} from AP50 {before:.1f} to {after:.1f} in the same "
        f"number of iterations: {_interval(difference)}."
    )
    return finding(text, difference["value"] > 0)


def comparison_finding(content: Content, first: StudyRow, second: StudyRow) -> Finding:
    """Says what the seeds at hand can and cannot say about two pretrained models."""
    difference = _difference(content, first, second, "AP")
    if difference is None:
        return finding("The difference of the models is undefined.")
    if difference["num_seeds"] > 1:
        return finding(difference["text"])
    start = f"{second.model} minus {first.model}, both pretrained: AP {_interval(difference)}. "
    if difference["low"] > 0 or difference["high"] < 0:
        better = second.model if difference["value"] > 0 else first.model
        limits = (
            f"On these scenes this {better} is the better of these two trained networks, beyond "
            "the choice of held-out scenes. Whether it would be with another seed, one seed "
            "cannot say: it gives no measure of how much a row moves from seed to seed."
        )
    else:
        limits = (
            "The interval holds 0: these scenes do not tell the two trained networks apart. And "
            "one seed gives no measure of how much a row moves from seed to seed, so this is no "
            "evidence that the architectures are equal either."
        )
    return finding(start + limits)


def _mean(content: Content, row: StudyRow, metric: str) -> float | None:
    return summarise(
        entry["metrics"].get(metric)
        for entry in content["rows"]
        if (entry["model"], entry["pretrained"]) == (row.model, row.pretrained)
    ).mean


def _difference(
    content: Content, first: StudyRow, second: StudyRow, metric: str
) -> dict[str, Any] | None:
    starts = {row["pretrained"] for row in content["rows"]}
    wanted = (first.label_among(starts), second.label_among(starts), metric)
    found = [d for d in content["differences"] if (d["first"], d["second"], d["metric"]) == wanted]
    return found[0] if found else None


def _interval(difference: Mapping[str, Any]) -> str:
    seeds = f" and {n} seeds" if (n := difference["num_seeds"]) > 1 else ""
    return (
        f"{difference['value']:+.1f} ({100 * difference['confidence']:.0f} % interval over the "
        f"choice of {difference['num_images']} held-out scenes{seeds}: {difference['low']:+.1f} to "
        f"{difference['high']:+.1f})"
    )
