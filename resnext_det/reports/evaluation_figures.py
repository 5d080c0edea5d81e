"""Figures of an evaluation: costs, curves, confusion, calibration. Engine-neutral."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resnext_det.analysis.analyse import Analysis
from resnext_det.analysis.errors import KINDS
from resnext_det.analysis.thresholds import GRID
from resnext_det.reports.page_figures import Figure
from resnext_det.reports.svg import (
    INK,
    color,
    figure_svg,
    legend_above,
    line_style,
    marker,
    shortened,
)
from resnext_det.statistics.matches import IOUS

_SHOWN = 14  # classes in the confusion matrix


def cost_figure(costs: Mapping[str, np.ndarray]) -> list[Figure]:
    """Draws what each kind of error costs, a bar for each name.

    Args:
        costs: name of a detector -> (6,) float64, points of AP50; NaN undefined.
    """
    if any(np.isnan(values).all() for values in costs.values()):
        return []
    step = 0.8 / len(costs)

    def draw(figure: Any, axes: Any) -> None:
        for index, (label, values) in enumerate(costs.items()):
            offset = (index - (len(costs) - 1) / 2) * step
            places = [place + offset for place in range(len(KINDS))]
            axes.barh(places, values, 0.9 * step, color=color(index), label=shortened(label))
            for place, value in zip(places, values, strict=True):
                axes.annotate(f" {value:.1f}", (value, place), va="center", fontsize=10, color=INK)
        axes.set_yticks(range(len(KINDS)), KINDS)
        axes.set_ylim(len(KINDS) - 0.5, -0.5)
        axes.set_xlim(0, 1.15 * max(map(np.nanmax, costs.values())) or 1.0)
        axes.set_xlabel("points of AP50")
        axes.tick_params(axis="y", length=0)
        if len(costs) > 1:
            legend_above(figure, axes)

    svg = figure_svg(draw, salt="costs", height=2.3 + 0.5 * len(costs))
    return [Figure(svg, "What AP50 would gain if all errors of a kind were mended")]


def score_figures(found: Analysis) -> list[Figure]:
    """Draws precision, recall and F1 over the lowest score that is kept."""
    curves = found.overall
    if curves is None:
        return []
    lines = {"F1": curves.f1, "precision": curves.precision, "recall": curves.recall}
    best = curves.best

    def draw(figure: Any, axes: Any) -> None:
        for index, (label, values) in enumerate(lines.items()):
            axes.plot(GRID, values, label=label, linewidth=2, **line_style(index))
        if best is not None:
            axes.axvline(best.threshold, color=INK, linewidth=1, linestyle=":")
        axes.set(xlabel="lowest score that is kept", ylabel="percent", xlim=(0, 1), ylim=(0, 102))
        axes.grid(alpha=0.15)
        legend_above(figure, axes)

    return [Figure(figure_svg(draw, salt="scores"), "All classes together, IoU 0.50")]


def precision_figures(found: Analysis) -> list[Figure]:
    """Draws precision over recall, the mean of the classes, at some IoUs."""
    defined = ~np.isnan(found.precision[0, 0])
    if not defined.any():
        return []
    mean = found.precision[:, :, defined].mean(axis=2)  # (10, 101)
    lines = {f"IoU {IOUS[index]:.2f}": mean[index] for index in (0, 5, 8)}
    lines["mean of 0.50 to 0.95"] = mean.mean(axis=0)

    def draw(figure: Any, axes: Any) -> None:
        for index, (label, values) in enumerate(lines.items()):
            axes.plot(range(101), values, label=label, linewidth=2, **line_style(index))
        axes.set(xlabel="recall (%)", ylabel="precision (%)", xlim=(0, 100), ylim=(0, 102))
        axes.grid(alpha=0.15)
        legend_above(figure, axes)

    words = "Precision over recall, mean over the classes; the area below is AP"
    return [Figure(figure_svg(draw, salt="precision", height=3.8), words)]


def calibration_figures(found: Analysis) -> list[Figure]:
    """Draws the share that is right over the score."""
    calibration = found.calibration
    if not calibration.counts.any():
        return []

    def draw(figure: Any, axes: Any) -> None:
        axes.plot(
            (0, 100), (0, 100), color=INK, linewidth=1, linestyle=":", label="as it should be"
        )
        used = calibration.counts > 0
        points = calibration.scores[used], calibration.right[used]
        axes.plot(*points, color=color(0), marker=marker(0), linewidth=2, label="detections")
        axes.set(xlabel="mean score (%)", ylabel="right (%)", xlim=(0, 100), ylim=(0, 102))
        axes.grid(alpha=0.15)
        legend_above(figure, axes)

    words = "Right detections (IoU 0.50) beside their score, in ten ranges of it"
    return [Figure(figure_svg(draw, salt="calibration"), words)]


def confusion_figures(found: Analysis) -> list[Figure]:
    """Draws the confusion matrix, of many classes those that are confused most."""
    matrix = found.confusion.matrix
    number = len(matrix) - 1
    wrong = matrix - np.diag(np.diag(matrix))
    involved = wrong[:number, :number].sum(axis=0) + wrong[:number, :number].sum(axis=1)
    order = np.argsort(-involved, kind="stable")[:_SHOWN] if number > _SHOWN else range(number)
    shown = [*sorted(int(place) for place in order), number]
    part = matrix[np.ix_(shown, shown)]
    if not number or not part.any():
        return []
    shares = part / np.maximum(matrix[shown].sum(axis=1, keepdims=True), 1)
    names = [*(found.truth.class_names[place] for place in shown[:-1]), "background"]
    svg = figure_svg(
        lambda figure, axes: _draw_confusion(axes, part, shares, names),
        salt="confusion",
        height=min(6.5, 1.6 + 0.3 * len(shown)),
    )
    several = f"the {_SHOWN} classes that are confused most" if number > _SHOWN else "all classes"
    return [Figure(svg, f"Objects (lines) and what was found on them (columns), {several}")]


def _draw_confusion(axes: Any, part: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> None:
    from matplotlib.patches import Rectangle

    number = len(part)
    for line in range(number):
        for column in range(number):
            if not part[line, column]:
                continue
            hue = color(0 if line == column else 1)
            alpha = 0.08 + 0.6 * float(shares[line, column])
            axes.add_patch(
                Rectangle((column - 0.5, line - 0.5), 1, 1, facecolor=hue, alpha=alpha, linewidth=0)
            )
            small = {"ha": "center", "va": "center", "fontsize": 8 if number > 8 else 10}
            axes.annotate(f"{part[line, column]}", (column, line), color=INK, **small)
    labels = [shortened(name, 14) for name in names]
    axes.set_yticks(range(number), labels, fontsize=9)
    axes.set_xticks(range(number), labels, rotation=90, fontsize=9)
    axes.set(xlim=(-0.5, number - 0.5), ylim=(number - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.set_ylabel("object")
    axes.set_xlabel("found")
