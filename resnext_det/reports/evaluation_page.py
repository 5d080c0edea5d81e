"""The page of an evaluation. Engine-neutral."""

from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.analysis.analyse import Analysis
from resnext_det.analysis.coverage import coverage_note
from resnext_det.analysis.errors import KINDS
from resnext_det.errors import one_line
from resnext_det.evaluation.coco_ap import METRICS
from resnext_det.reports.evaluation_figures import (
    calibration_figures,
    confusion_figures,
    cost_figure,
    precision_figures,
    score_figures,
)
from resnext_det.reports.evaluation_parts import (
    Fold,
    Section,
    class_folds,
    classes_table,
    confusion_folds,
    error_folds,
    errors_table,
    images_table,
    metrics_table,
    number,
    sizes_table,
    sources,
)
from resnext_det.reports.evaluation_pictures import EvaluatedImages
from resnext_det.reports.page_file import check_page, write_page

_LISTED = 12  # classes; more are folded, as a phone has a card for each
_PER_CLASS = 2  # pictures of a class or a pair of classes, at most

KEY = "Dashed: all that was to be found. Blue: the object it is about. Orange: the wrong detection."


def write_evaluation_page(
    found: Analysis, output: Path, *, images: Path | None = None, num_pictures: int = 4
) -> Path:
    """Writes the page; it needs nothing but itself.

    Args:
        found: what was measured.
        output: the page.
        images: folder of the images, which are embedded small; None names them alone.
        num_pictures: of each kind of error.

    Returns:
        The page's path.

    Raises:
        UserError: the page cannot be written, or another file is in its place.
    """
    check_page(output, elsewhere="resnext-det evaluate … -o FOLDER")
    drawn = EvaluatedImages(found.boxes, images)
    sections = _sections(found, drawn, num_pictures)
    content: dict[str, Any] = {
        "title": one_line(f"Evaluation of {found.results.name}"),
        "intro": [_counts(found), *filter(None, [coverage_note(found.boxes, found.results)])],
        "cards": _cards(found),
        "sections": sections,
        "sources": sources(found, images),
    }
    write_page("evaluation.html.j2", content, output)
    return output


def _counts(found: Analysis) -> str:
    return (
        f"{found.truth.num_images:,} images, {int(found.boxes.sought.sum()):,} objects of "
        f"{found.boxes.num_classes} classes, {found.num_detections:,} detections."
    )


def _cards(found: Analysis) -> list[str]:
    """Returns the sentences that matter most."""
    values = dict(zip(METRICS, found.metrics.tolist(), strict=True))
    cards = [f"AP {number(values['AP'])} %, AP50 {number(values['AP50'])} %."]
    costs = np.nan_to_num(found.costs.overall)
    if costs.any():
        kind = int(costs.argmax())
        cards.append(f"Costliest kind of error: {KINDS[kind]}, {costs[kind]:.1f} points of AP50.")
    if found.overall is not None and found.overall.best is not None:
        best = found.overall.best
        cards.append(
            f"Boxes scored from {best.threshold:.3f} on have the largest F1, {best.f1:.1f} %: "
            f"precision {best.precision:.1f} %, recall {best.recall:.1f} %."
        )
    return cards


def _confusion_rule(found: Analysis) -> str:
    return (
        f"Boxes scored at least {found.confusion.threshold:.3f}. By falling score, each takes the "
        "object that it overlaps most (IoU 0.50 or more) and that no other box has, whatever the "
        "classes; what is left over stands under background."
    )


def _sections(found: Analysis, drawn: EvaluatedImages, count: int) -> list[Section]:
    few = min(count, _PER_CLASS)
    errors = error_folds(found, drawn, count)
    many = found.boxes.num_classes > _LISTED
    folded = (Fold("Every class", table=classes_table(found)),) if many else ()
    costs = cost_figure({"": found.costs.overall})
    sections = [
        Section("metrics", "Metrics", (), precision_figures(found), metrics_table(found)),
        Section("errors", "Errors", (KEY,), costs, errors_table(found), errors),
        Section(
            "classes",
            "Classes",
            ("Images in which most of a class is wrong or not found, of the worst classes.",),
            (),
            None if many else classes_table(found),
            (*folded, *class_folds(found, drawn, few)),
        ),
        Section(
            "confusion",
            "Confusion",
            (_confusion_rule(found),),
            confusion_figures(found),
            None,
            confusion_folds(found, drawn, few),
        ),
        Section("thresholds", "Thresholds", (), score_figures(found)),
        Section("sizes", "Sizes", (), (), sizes_table(found)),
        Section("calibration", "Calibration", (), calibration_figures(found)),
        Section("images", "Worst images", (), (), images_table(found, drawn)),
    ]
    return [one for one in sections if one.figures or one.folds or (one.table and one.table.lines)]
