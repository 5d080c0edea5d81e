"""The page of two detectors' results on the same images. Engine-neutral."""

from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.analysis.analyse import Analysis
from resnext_det.analysis.comparing import Comparison
from resnext_det.analysis.errors import KINDS
from resnext_det.errors import one_line
from resnext_det.evaluation.coco_ap import METRICS
from resnext_det.reports.box_panels import panels
from resnext_det.reports.evaluation_figures import cost_figure
from resnext_det.reports.evaluation_parts import Fold, Section, number, sources
from resnext_det.reports.evaluation_pictures import EvaluatedImages
from resnext_det.reports.page_figures import Figure
from resnext_det.reports.page_file import check_page, write_page
from resnext_det.reports.page_lists import PageTable
from resnext_det.reports.plots import differences_svg
from resnext_det.reports.study_entries import (
    PictureSide,
    StudyDifference,
    StudyPicture,
)
from resnext_det.statistics.bootstrap import PairedDifference
from resnext_det.statistics.images import ImageDifference
from resnext_det.statistics.sentences import difference_sentence, signed

_IMAGES = "Images on which the two differ most, by boxes scored at least 50 %."
_SCORE_THRESH = 0.5  # as `largest_differences` and `box_panels` have it


def write_comparison_page(
    found: Comparison,
    sides: tuple[Analysis, Analysis],
    output: Path,
    *,
    images: Path | None = None,
) -> Path:
    """Writes the page; it needs nothing but itself.

    Args:
        found: what lies between both.
        sides: what was measured of each.
        output: the page.
        images: folder of the images; None names them alone.

    Returns:
        The page's path.

    Raises:
        UserError: the page cannot be written, or another file is in its place.
    """
    check_page(output, elsewhere="resnext-det evaluate --compare A B -o FOLDER")
    first, second = map(one_line, found.names)
    content: dict[str, Any] = {
        "title": f"{second} beside {first}",
        "intro": [_counts(sides[0])],
        "cards": [one_line(found.sentence)] if found.sentence else [],
        "sections": _sections(found, sides, images),
        "sources": [
            (f"{name}: {key}", value)
            for name, side in zip((first, second), sides, strict=True)
            for key, value in sources(side, images)
        ],
    }
    write_page("evaluation.html.j2", content, output)
    return output


def _counts(side: Analysis) -> str:
    return (
        f"Both on the same {side.truth.num_images:,} images with "
        f"{int(side.boxes.sought.sum()):,} objects of {side.boxes.num_classes} classes."
    )


def _sections(
    found: Comparison, sides: tuple[Analysis, Analysis], images: Path | None
) -> list[Section]:
    of_all = [one for one in found.differences if one.metric in METRICS]
    of_classes = [one for one in found.differences if one.metric not in METRICS]
    names = tuple(map(one_line, found.names))
    costs = {name: side.costs.overall for name, side in zip(names, sides, strict=True)}
    sections = [
        Section(
            "differences",
            "Differences",
            (),
            _figures(of_all, names, "differences"),
            _differences_table(of_all, names, sides),
        ),
        Section("errors", "Errors", (), cost_figure(costs), _errors_table(names, sides)),
        Section(
            "classes",
            "Classes",
            ("Intervals of many classes: some exclude 0 by chance alone.",),
            _figures(of_classes, names, "classes"),
        ),
        Section("images", "Images", (_IMAGES,), (), None, _folds(found, sides, images)),
    ]
    return [one for one in sections if one.figures or one.folds or (one.table and one.table.lines)]


def _figures(
    differences: list[PairedDifference], names: tuple[str, ...], salt: str
) -> list[Figure]:
    entries = [_entry(one, names) for one in differences]
    return [
        Figure(svg, f"{names[1]} minus {names[0]}, percent points, interval over images")
        for svg in differences_svg(entries, salt=salt)
    ]


def _entry(one: PairedDifference, names: tuple[str, ...]) -> StudyDifference:
    text = difference_sentence(one, names[0], names[1])
    return StudyDifference(
        names[0],
        names[1],
        one.metric,
        one.value,
        one.low,
        one.high,
        one.confidence,
        one.num_images,
        one.num_seeds,
        one.per_seed,
        one.t_low,
        one.t_high,
        one.verdict,
        text,
    )


def _differences_table(
    differences: list[PairedDifference],
    names: tuple[str, ...],
    sides: tuple[Analysis, Analysis],
) -> PageTable:
    titles = (*names, "difference", "interval")
    values = [dict(zip(map(str, METRICS), side.metrics.tolist(), strict=True)) for side in sides]
    lines = tuple(
        (
            one.metric,
            *(number(side[one.metric]) for side in values),
            signed(one.value),
            f"{signed(one.low)} to {signed(one.high)}",
        )
        for one in differences
    )
    return PageTable((("Metric", False), *((title, True) for title in titles)), lines)


def _errors_table(names: tuple[str, ...], sides: tuple[Analysis, Analysis]) -> PageTable:
    headings = (("Kind", False), *((f"{name}: points of AP50", True) for name in names))
    lines = tuple(
        (kind, *(number(float(side.costs.overall[place])) for side in sides))
        for place, kind in enumerate(KINDS)
    )
    return PageTable(headings, lines)


def _folds(
    found: Comparison, sides: tuple[Analysis, Analysis], images: Path | None
) -> tuple[Fold, ...]:
    drawn = [EvaluatedImages(side.boxes, images) for side in sides]
    places = {key: place for place, key in enumerate(sides[0].truth.image_ids)}
    folds = []
    for number_of, one in enumerate(found.images):
        place = places[one.image_id]
        said = f"F1 {one.first:.0f} and {one.second:.0f} %"
        picture = drawn[0].picture(place)
        if picture is None:
            folds.append(Fold(f"{drawn[0].name(place)}: {said}"))
            continue
        picture = _with_sides(picture, one, place, found.names, sides, drawn)
        shown = tuple(panels(picture, number_of))
        folds.append(Fold(f"{picture.file_name}: {said}", "", shown, columns="three"))
    return tuple(folds)


def _with_sides(
    picture: StudyPicture,
    one: ImageDifference,
    place: int,
    names: tuple[str, str],
    sides: tuple[Analysis, Analysis],
    drawn: list[EvaluatedImages],
) -> StudyPicture:
    parts = []
    for name, side, images, score in zip(names, sides, drawn, (one.first, one.second), strict=True):
        boxes = side.boxes
        rows = np.flatnonzero((boxes.images == place) & (boxes.scores >= _SCORE_THRESH)).tolist()
        found = tuple(images.found_box(row) for row in rows)
        parts.append(PictureSide(one_line(name), None, score, found))
    address = picture.address
    return StudyPicture(
        picture.file_name, picture.width, picture.height, address, picture.truth, tuple(parts)
    )
