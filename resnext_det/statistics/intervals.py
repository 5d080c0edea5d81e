"""Intervals of one detector's AP by a bootstrap over images. Engine-neutral.

Where the metric would lie on very many images of the same kind; nothing is said of other seeds.

AP is larger on few images than on many, and larger still where images are drawn twice. So the
samples lie above the metric as the metric lies above what is sought, and the interval is turned
over: from 2 v - high to 2 v - low of their percentiles (the basic interval of Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 5.2). The percentiles themselves would seldom
hold the sought value. Where a class has few objects, AP exceeds what is sought by more than the
samples exceed AP, and the interval is still optimistic: it lies too high. In paired differences
the bias of both sides cancels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resnext_det.errors import UserError
from resnext_det.statistics.bootstrap import Draws
from resnext_det.statistics.matches import ClassMatches
from resnext_det.statistics.weighted_ap import average_precision, metric_names


@dataclass(frozen=True)
class MetricInterval:
    """A metric and where it would lie on other images.

    Attributes:
        metric: its name.
        value: on the images as they are, percent.
        low: lower end of the interval.
        high: upper end of it.
    """

    metric: str
    value: float
    low: float
    high: float


def metric_intervals(
    matches: Sequence[ClassMatches],
    class_names: Sequence[str],
    num_images: int,
    *,
    num_samples: int = 1000,
    confidence: float = 0.95,
) -> list[MetricInterval]:
    """Draws as many images as there are, with replacement, and scores each sample.

    Args:
        matches: of the K classes, from `matches.match_detections`.
        class_names: the K names.
        num_images: I.
        num_samples: bootstrap samples.
        confidence: of the intervals, 0 … 1, both excluded.

    Returns:
        One for each of AP AP50 AP75 APs APm APl and, with several classes, AP-CLASS, that the
        data set defines. A sample without an object to find does not count for a metric.

    Raises:
        UserError: a number of samples or a confidence there is not.
    """
    check_confidence(confidence)
    if not num_images:
        return []
    draws = Draws(num_images, 1, num_samples)
    scores = average_precision(matches, draws.image_counts())  # (S + 1, M)
    found = []
    for metric, column in zip(metric_names(class_names), scores.T, strict=True):
        drawn = column[1:][~np.isnan(column[1:])]
        if np.isnan(column[0]) or not len(drawn):
            continue
        low, high = np.percentile(drawn, [50 * (1 - confidence), 50 * (1 + confidence)])
        value = float(column[0])
        ends = max(0.0, 2 * value - float(high)), min(100.0, 2 * value - float(low))
        found.append(MetricInterval(metric, value, *ends))
    return found


def check_confidence(confidence: float) -> None:
    """Refuses what is no confidence.

    Raises:
        UserError: it does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise UserError(f"confidence {confidence}: it lies between 0 and 1, for example 0.95")
