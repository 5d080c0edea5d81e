"""The page of a check of data sets. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.data.checking.check import CheckResult
from resnext_det.data.checking.findings import FindingGroup, group_findings
from resnext_det.data.checking.set_facts import SetFacts
from resnext_det.data.checking.subjects import CheckedSet
from resnext_det.data.checking.twins import MAX_DISTANCE, MIN_CORRELATION
from resnext_det.errors import UserError, one_line
from resnext_det.reports.box_panels import Panel
from resnext_det.reports.dataset_pictures import PageImages
from resnext_det.reports.histograms import bars
from resnext_det.reports.page_figures import Figure
from resnext_det.reports.page_file import check_page, write_page
from resnext_det.reports.page_lists import PageTable

NAME = "check.html"
_LISTED = 30  # findings of a kind that are listed
_DRAWN = 6  # of these, how many have a picture
_PAIRS = 24  # twins that are drawn, those between sets first
_CHARTED = 60  # classes in the figure; all of them are in the table
_TABLED = 2000


@dataclass(frozen=True)
class PageGroup:
    """The findings of one kind and set, as the page shows them."""

    title: str
    is_problem: bool
    advice: str
    lines: tuple[str, ...]
    more: int
    panels: tuple[Panel, ...]


def check_output(folder: Path) -> None:
    """Checks, before anything is decoded, that the page can be written.

    Raises:
        UserError: the folder is a file, or another file is in the page's place.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"-o {folder}: is a file; give a folder")
    check_page(folder / NAME, elsewhere="resnext-det dataset check … -o FOLDER")


def write_check_page(result: CheckResult, folder: Path, *, command: str = "") -> Path:
    """Writes the page of a check; it needs nothing but itself.

    Args:
        result: of the check.
        folder: where check.html goes.
        command: that was given.

    Returns:
        The page's path.

    Raises:
        UserError: the page cannot be written.
    """
    check_output(folder)
    output = folder / NAME
    write_page("dataset.html.j2", _content(result, command), output)
    return output


def _content(result: CheckResult, command: str) -> dict[str, Any]:
    images = PageImages(result)
    groups = group_findings(result.findings)
    problems = [group for group in groups if group.is_problem]
    return {
        "title": "Data check: " + ", ".join(one_line(checked.name) for checked in result.sets),
        "intro": [one_line(f"{facts.sentence}.") for facts in result.facts],
        "num_problems": result.num_problems,
        "cards": [_card(group) for group in problems],
        "findings": _findings_table(groups) if groups else None,
        "groups": [_page_group(group, images) for group in groups],
        "pairs": _pairs(result, images),
        "num_pairs": len(result.twins),
        "classes": _classes_table(result.facts),
        "class_figures": _class_figures(result.facts),
        "figures_of": _figures(result.facts),
        "samples": [(checked.name, images.samples(checked)) for checked in result.sets],
        "command": command,
        "sources": [line for checked in result.sets for line in _source(checked)],
        "distance": MAX_DISTANCE,
        "correlation": MIN_CORRELATION,
    }


def _card(group: FindingGroup) -> str:
    return one_line(f"{group.dataset}: {len(group.findings):,} × {group.title}")


def _findings_table(groups: Sequence[FindingGroup]) -> PageTable:
    headings = (("What", False), ("Set", False), ("Number", True), ("Level", False))
    lines = tuple(
        (
            group.title,
            one_line(group.dataset),
            f"{len(group.findings):,}",
            "problem" if group.is_problem else "note",
        )
        for group in groups
    )
    return PageTable(headings, lines)


def _page_group(group: FindingGroup, images: PageImages) -> PageGroup:
    listed = group.findings[:_LISTED]
    panels: list[Panel] = []
    # Twins are drawn side by side, in a section of their own.
    for finding in listed if not group.findings[0].other else ():
        panel = images.of_finding(finding) if len(panels) < _DRAWN else None
        if panel is not None:
            panels.append(panel)
    return PageGroup(
        _card(group),
        group.is_problem,
        one_line(group.advice),
        tuple(finding.text for finding in listed),
        len(group.findings) - len(listed),
        tuple(panels),
    )


def _pairs(result: CheckResult, images: PageImages) -> list[tuple[str, tuple[Panel, Panel]]]:
    words = {"file": "the same file", "pixels": "the same pixels", "near": "nearly the same"}
    order = sorted(result.twins, key=lambda twin: twin.first[0] == twin.second[0])
    pairs = []
    for twin in order[:_PAIRS]:
        said = words[twin.how]
        if twin.how == "near":
            said += f": hashes differ in {twin.distance} of 64 bits"
        leaks = twin.first[0] != twin.second[0]
        drawn = images.of_twin(result, twin)
        if drawn is not None:
            pairs.append((f"{'In two sets' if leaks else 'In one set'}: {said}", drawn))
    return pairs


def _classes_table(all_facts: Sequence[SetFacts]) -> PageTable | None:
    names = list(dict.fromkeys(name for facts in all_facts for name in facts.classes))
    if not names:
        return None
    headings = [("Class", False)]
    detection = all_facts[0].task == "detection"
    for facts in all_facts:
        headings += [(f"{facts.name}: objects", True)] * detection
        headings += [(f"{facts.name}: images", True)]
    lines = []
    for name in names[:_TABLED]:
        cells = [one_line(name)]
        for facts in all_facts:
            found = facts.classes.get(name)
            objects, images = (found.objects, found.images) if found else (0, 0)
            cells += [f"{objects:,}"] * detection + [f"{images:,}"]
        lines.append(tuple(cells))
    more = len(names) - len(lines)
    caption = f"{more:,} more classes are in the JSON." if more > 0 else ""
    return PageTable(tuple(headings), tuple(lines), caption)


def _class_figures(all_facts: Sequence[SetFacts]) -> list[Figure]:
    totals: dict[str, int] = {}
    for facts in all_facts:
        for name, count in facts.classes.items():
            totals[name] = totals.get(name, 0) + count.objects
    names = sorted(totals, key=lambda name: (-totals[name], name))
    counts = {
        facts.name: {
            one_line(name): facts.classes[name].objects if name in facts.classes else 0
            for name in names[:_CHARTED]
        }
        for facts in all_facts
    }
    unit = "objects" if all_facts[0].task == "detection" else "images"
    caption = "Classes" if len(names) <= _CHARTED else f"The {_CHARTED} commonest classes"
    return bars(counts, caption, unit=unit, salt="classes")


def _figures(all_facts: Sequence[SetFacts]) -> list[Figure]:
    # Only a config has anchors, and a resize.
    resized = ", after the resize" if any(facts.overlaps for facts in all_facts) else ""
    shown = (
        ("sizes", "COCO’s sizes: small below 32², medium below 96² square pixels", "objects"),
        ("sides", f"Side of the box (square root of its area) in pixels{resized}", "boxes"),
        ("ratios", "Height : width of the boxes", "boxes"),
        ("overlaps", "IoU with the likest anchor, centres alike", "boxes"),
        ("per_image", "Objects in an image", "images"),
        ("image_sizes", "Sizes of the images, width x height", "images"),
    )
    figures = []
    for key, caption, unit in shown:
        counts = {facts.name: getattr(facts, key) for facts in all_facts}
        figures += bars(counts, caption, unit=unit, salt=key)
    return figures


def _source(checked: CheckedSet) -> list[tuple[str, str]]:
    lines = [(f"{checked.name}: images", checked.entry.location)]
    if checked.entry.json_file is not None:
        lines.insert(0, (f"{checked.name}: annotations", str(checked.entry.json_file)))
    return [(one_line(name), one_line(value)) for name, value in lines]
