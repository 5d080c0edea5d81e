"""Sections of an evaluation's page: words, figures, a table, and what folds. Engine-neutral."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from resnext_det.analysis.analyse import CLASS_METRICS, Analysis
from resnext_det.analysis.errors import KINDS, MEANINGS
from resnext_det.analysis.images import Place, worst_of_class, worst_of_kind
from resnext_det.analysis.sizes import size_rows
from resnext_det.errors import one_line
from resnext_det.evaluation.coco_ap import METRICS
from resnext_det.reports.box_panels import Panel
from resnext_det.reports.evaluation_pictures import EvaluatedImages
from resnext_det.reports.page_figures import Figure
from resnext_det.reports.page_lists import PageTable
from resnext_det.reports.published import MISSING

_CLASSES_DRAWN = 20  # the worst, of which pictures are shown
_CONFUSED = 15  # pairs of classes that are listed
_IMAGES = 20  # of the worst, that are listed


@dataclass(frozen=True)
class Fold:
    """Something that is opened with a click.

    Attributes:
        title: what is read before.
        words: below it.
        panels: pictures.
        lines: names of images that have no picture.
        table: below both.
        columns: how many pictures stand side by side: "two", "three" or "four".
    """

    title: str
    words: str = ""
    panels: tuple[Panel, ...] = ()
    lines: tuple[str, ...] = ()
    table: PageTable | None = None
    columns: str = "four"


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    ident: str
    title: str
    words: tuple[str, ...] = ()
    figures: Sequence[Figure] = ()
    table: PageTable | None = None
    folds: tuple[Fold, ...] = field(default_factory=tuple)


def number(value: float | None, digits: int = 1) -> str:
    """Returns a number for people; – where it is not defined."""
    return MISSING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def sources(found: Analysis, images: Path | None) -> list[tuple[str, str]]:
    """Returns where the numbers come from."""
    lines = [("results", str(found.results)), ("annotations", str(found.truth.path))]
    lines += [("images", str(images))] if images is not None else []
    lines += [("lowest score that counts in images and classes", f"{found.threshold:.4f}")]
    return [(name, one_line(value)) for name, value in lines]


def metrics_table(found: Analysis) -> PageTable:
    """Returns COCO's metrics, with their intervals where there are any."""
    ends = {one.metric: f"{one.low:.1f} to {one.high:.1f}" for one in found.intervals}
    width = f"{100 * found.confidence:g} % interval"
    headings = [("Metric", False), ("percent", True), *([(width, True)] if ends else [])]
    lines = [
        (name, number(value), *([ends.get(name, MISSING)] if ends else []))
        for name, value in zip(METRICS, found.metrics.tolist(), strict=True)
    ]
    words = "Box AP and AR by COCO’s definition. “–”: no such object, or no interval."
    if ends:
        words += (
            " The intervals are over images: a bootstrap, which knows nothing of other seeds. "
            "Where classes have few objects they are optimistic: AP of few objects is itself too "
            "high, and they take back only a part of that."
        )
    return PageTable(tuple(headings), tuple(lines), words)


def errors_table(found: Analysis) -> PageTable:
    """Returns the kinds of errors, the costliest first."""
    headings = (("Kind", False), ("points of AP50", True), ("number", True), ("what", False))
    costs = np.nan_to_num(found.costs.overall)
    lines = [
        (
            KINDS[kind],
            number(float(found.costs.overall[kind])),
            f"{found.errors.count(kind):,}",
            MEANINGS[KINDS[kind]],
        )
        for kind in np.argsort(-costs, kind="stable").tolist()
    ]
    words = (
        "The costs do not add up to what AP50 lacks: mending one kind may do another’s work. All "
        "wrong detections count, those with a low score too."
    )
    return PageTable(headings, tuple(lines), words)


def error_folds(found: Analysis, images: EvaluatedImages, count: int) -> tuple[Fold, ...]:
    """Returns the worst images of each kind of error, the costliest kind first."""
    folds = []
    costs = np.nan_to_num(found.costs.overall)
    for kind in np.argsort(-costs, kind="stable").tolist():
        places = worst_of_kind(found.boxes, found.errors, kind, count)
        if places:
            said = [(place, images.said_of(kind, place)) for place in places]
            title = f"{KINDS[kind].capitalize()}: {found.errors.count(kind):,}"
            folds.append(fold_of(title, f"{MEANINGS[KINDS[kind]]}.", said, images))
    return tuple(folds)


def fold_of(
    title: str, words: str, said: Sequence[tuple[Place, str]], images: EvaluatedImages
) -> Fold:
    """Returns places with their pictures, or by name where there is none."""
    panels, lines = [], []
    for place, text in said:
        panel = images.panel(place, text)
        if panel is None:
            lines.append(one_line(f"{images.name(place.image)}: {text}"))
        else:
            panels.append(panel)
    return Fold(title, words[:1].upper() + words[1:], tuple(panels), tuple(lines))


def classes_table(found: Analysis) -> PageTable:
    """Returns every class, that with the lowest AP first."""
    shown = ("AP", "AP50", "AR100")
    titles = ("objects", *shown, "AP interval", "best F1", "from score", "calibration")
    headings = (("Class", False), *((title, True) for title in titles), ("costliest error", False))
    ends = {one.metric: f"{one.low:.0f} to {one.high:.0f}" for one in found.intervals}
    objects = found.boxes.objects_of_class()
    lines = []
    for place in class_order(found):
        name, curves = found.truth.class_names[place], found.curves[place]
        best = curves.best if curves is not None else None
        costs = np.nan_to_num(found.costs.of_class[:, place])
        values = [float(found.of_class[CLASS_METRICS.index(key), place]) for key in shown]
        lines.append(
            (
                one_line(name),
                f"{int(objects[place]):,}",
                *map(number, values),
                ends.get(f"AP-{name}", MISSING),
                number(None if best is None else best.f1),
                number(None if best is None else best.threshold, 3),
                number(float(found.class_calibration[place])),
                KINDS[int(costs.argmax())] if costs.any() else MISSING,
            )
        )
    words = (
        "Best F1: of the boxes from a score on, at IoU 0.50; the score was chosen on these images "
        "themselves. Calibration: mean difference of score and share that is right, in points."
    )
    return PageTable(headings, tuple(lines), words)


def class_order(found: Analysis) -> list[int]:
    """Returns the classes by rising AP; those without objects last."""
    ap = found.of_class[0]
    return np.argsort(np.where(np.isnan(ap), np.inf, ap), kind="stable").tolist()


def class_folds(found: Analysis, images: EvaluatedImages, count: int) -> tuple[Fold, ...]:
    """Returns the worst images of the worst classes."""
    folds = []
    for place in class_order(found)[:_CLASSES_DRAWN]:
        said = worst_of_class(found.boxes, place, found.threshold, count)
        if said:
            ap = number(float(found.of_class[0, place]))
            name = one_line(found.truth.class_names[place])
            folds.append(fold_of(f"{name}: AP {ap}", "", said, images))
    return tuple(folds)


def confusion_folds(found: Analysis, images: EvaluatedImages, count: int) -> tuple[Fold, ...]:
    """Returns the pairs of classes that are confused most, with images of the first."""
    confusion, names = found.confusion, found.truth.class_names
    size = len(names)
    wrong = confusion.matrix[:size, :size] - np.diag(np.diag(confusion.matrix)[:size])
    order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSED]
    folds = []
    matched = confusion.objects >= 0
    true = np.where(matched, found.truth.classes[confusion.objects] if size else 0, -1)
    for one in order.tolist():
        line, column = divmod(one, size)
        if not wrong[line, column]:
            break
        own = matched & (true == line) & (found.boxes.classes[confusion.rows] == column)
        rows, objects = confusion.rows[own], confusion.objects[own]
        best = np.argsort(-found.boxes.scores[rows], kind="stable")[:count]
        said = []
        for place in best.tolist():
            row, thing = int(rows[place]), int(objects[place])
            image = int(found.boxes.images[row])
            text = f"{names[column]} {100 * found.boxes.scores[row]:.0f} % on {names[line]}"
            said.append((Place(image, (row,), (thing,)), text))
        title = f"{one_line(names[line])} taken for {one_line(names[column])}"
        folds.append(fold_of(f"{title}: {int(wrong[line, column]):,}", "", said, images))
    return tuple(folds)


def sizes_table(found: Analysis) -> PageTable:
    """Returns small, medium and large objects."""
    headings = (("Size", False), ("objects", True), ("AP", True), ("AR", True), ("found", True))
    lines = tuple(
        (
            name,
            f"{row['objects']:,}",
            number(row["AP"]),
            number(row["AR"]),
            number(row["found_percent"]),
        )
        for name, row in size_rows(found).items()
    )
    words = (
        "Percent. Small: up to 32², medium: up to 96² square pixels; an object of just that area "
        "counts in both, as pycocotools counts it. Found: at IoU 0.50, by a box scored at least "
        f"{found.threshold:.3f}."
    )
    return PageTable(headings, lines, words)


def images_table(found: Analysis, images: EvaluatedImages) -> PageTable:
    """Returns the images with the lowest F1."""
    counts = found.images
    total = counts.wrong + counts.unfound
    order = np.lexsort((-total, counts.f1))[:_IMAGES].tolist()
    titles = ("F1", "right", "wrong", "not found")
    headings = (("Image", False), *((title, True) for title in titles))
    lines = tuple(
        (
            images.name(place),
            number(float(counts.f1[place])),
            *(f"{int(c[place]):,}" for c in (counts.right, counts.wrong, counts.unfound)),
        )
        for place in order
        if total[place]
    )
    words = f"Boxes scored at least {found.threshold:.3f}, IoU 0.50; F1 in percent."
    return PageTable(headings, lines, words)
