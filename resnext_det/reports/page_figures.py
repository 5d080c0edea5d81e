"""The figures of a study's page, with their captions. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from resnext_det.reports.curves import curves_svg, group_curves
from resnext_det.reports.metric_columns import SIZES, class_names, metric_name
from resnext_det.reports.page_lists import Pair
from resnext_det.reports.plots import differences_svg, precision_svg, spread_svg
from resnext_det.reports.seeds import RowGroup
from resnext_det.reports.study import CLASSIFICATION, DETECTION, Study
from resnext_det.reports.study_entries import PrecisionCurve

# part, key of metrics.json, caption, vertical axis
_CURVES = (
    (CLASSIFICATION, "total_loss", "Classification: training loss", "loss"),
    (CLASSIFICATION, "top1", "Classification: top-1 accuracy on the test images", "top-1 (%)"),
    (DETECTION, "total_loss", "Detection: training loss", "total loss"),
    (DETECTION, "val/total_loss", "Detection: loss on the test images", "total loss"),
    (DETECTION, "bbox/AP50", "Detection: AP@0.5 on the test images", "AP@0.5 (%)"),
    (DETECTION, "bbox/AP", "Detection: AP on the test images", "AP (%)"),
)
_IOUS = {"0.5": "at IoU 0.5", "0.75": "at IoU 0.75", "mean": "mean over IoU 0.5 to 0.95"}


@dataclass(frozen=True)
class Figure:
    """One figure: an <svg> element and what stands below it."""

    svg: Markup
    caption: str


def training_figures(groups: Sequence[RowGroup]) -> list[Figure]:
    """Returns the curves that some run has points of."""
    found = []
    for part, key, caption, ylabel in _CURVES:
        curves = group_curves(groups, part, key)
        svg = curves_svg(curves, ylabel=ylabel, salt=f"{part} {key}")
        if svg is not None:
            found.append(Figure(svg, caption))
    return found


def precision_figures(study: Study, groups: Sequence[RowGroup]) -> list[Figure]:
    """Returns a figure for each IoU."""
    labels = {_key(group): group.label for group in groups}
    by_iou: dict[str, list[PrecisionCurve]] = {}
    for curve in study.precision_recall:
        by_iou.setdefault(curve.iou, []).append(curve)

    def label_of(curve: PrecisionCurve) -> str:
        return labels.get((curve.model, curve.pretrained, curve.note), curve.model)

    return [
        Figure(
            precision_svg(curves, label_of, salt=iou),
            f"Precision over recall, {_IOUS.get(iou, f'at IoU {iou}')}",
        )
        for iou, curves in by_iou.items()
    ]


def size_figures(study: Study, groups: Sequence[RowGroup]) -> list[Figure]:
    """Returns AP by the objects' size, none of a classification study."""
    if study.kind != DETECTION:
        return []
    names = {key: metric_name(key) for key in ("AP", "AP50", "AP75", *SIZES)}
    svgs = spread_svg(groups, names, salt="sizes")
    return [Figure(svg, "AP, at single IoUs, and by the objects’ size") for svg in svgs]


def class_figures(study: Study, groups: Sequence[RowGroup]) -> list[Figure]:
    """Returns AP by class, in as many figures as it takes."""
    names = {f"AP-{name}": name for name in class_names(study.rows)}
    return _numbered(spread_svg(groups, names, salt="classes"), "AP by class")


def difference_figures(pair: Pair) -> tuple[list[Figure], list[Figure]]:
    """Returns one pair's differences as dots with intervals, and those of the classes."""
    classes = [d for d in pair.differences if d.metric.startswith("AP-")]
    others = [d for d in pair.differences if d not in classes]
    svgs = differences_svg(classes, salt=f"{pair.title} classes")
    return (
        _numbered(differences_svg(others, salt=pair.title), pair.title),
        _numbered(svgs, f"{pair.title}: classes"),
    )


def _numbered(svgs: Sequence[Markup], caption: str) -> list[Figure]:
    if len(svgs) == 1:
        return [Figure(svgs[0], caption)]
    return [Figure(svg, f"{caption}, {i} of {len(svgs)}") for i, svg in enumerate(svgs, start=1)]


def _key(group: RowGroup) -> tuple[str, bool | None, str]:
    return group.first.model, group.first.pretrained, group.first.note
