"""pycocotools' greedy matching of detections with objects, over all images at once. Engine-neutral.

In each group, the best scored detection takes the object it overlaps most, then the next one of
what is left (COCOeval.evaluateImg). Groups do not touch each other: so the first detections of all
groups are matched together, then all second ones, and so on.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Pairs of a detection and an object whose IoU is computed at a time: 100 MB.
_BUDGET = 2**21


@dataclass(frozen=True)
class Pairs:
    """Detections and objects of one group that overlap.

    Attributes:
        found: (P,) int64, indices of detections, rising.
        sought: (P,) int64, indices of objects; of one detection rising.
        ious: (P,) float64.
    """

    found: np.ndarray
    sought: np.ndarray
    ious: np.ndarray

    def of(self, kept: np.ndarray) -> "Pairs":
        """Returns the pairs that a (P,) bool keeps."""
        return Pairs(self.found[kept], self.sought[kept], self.ious[kept])


def overlapping_pairs(
    found: np.ndarray,
    found_groups: np.ndarray,
    sought: np.ndarray,
    sought_groups: np.ndarray,
    crowd: np.ndarray,
    *,
    at_least: float,
) -> Pairs:
    """Returns the pairs within groups whose IoU is at least so much, and above 0.

    Args:
        found: (R, 4) float64 detections, x, y, w, h.
        found_groups: (R,) int64.
        sought: (G, 4) float64 objects.
        sought_groups: (G,) int64.
        crowd: (G,) bool; with a crowd the IoU is the detection's share that lies on it.
        at_least: 0 … 1.
    """
    order = np.argsort(sought_groups, kind="stable")
    groups = sought_groups[order]
    starts = np.searchsorted(groups, found_groups, side="left")
    counts = np.searchsorted(groups, found_groups, side="right") - starts
    parts = []
    for first, last in _chunks(counts):
        number = counts[first:last]
        rows = np.repeat(np.arange(first, last), number)
        ends = np.cumsum(number)
        within = np.arange(len(rows)) - np.repeat(ends - number, number)
        objects = order[np.repeat(starts[first:last], number) + within]
        ious = _ious(found[rows], sought[objects], crowd[objects])
        parts.append(Pairs(rows, objects, ious).of((ious >= at_least) & (ious > 0)))
    return Pairs(
        np.concatenate([np.zeros(0, np.int64), *(part.found for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.sought for part in parts)]),
        np.concatenate([np.zeros(0), *(part.ious for part in parts)]),
    )


def match(
    pairs: Pairs,
    ranks: np.ndarray,
    ignored: np.ndarray,
    crowd: np.ndarray,
    thresholds: np.ndarray,
) -> np.ndarray:
    """Matches detections with objects.

    Args:
        pairs: of at least the lowest threshold.
        ranks: (R,) int64, each detection's place in its group, best first, from 0.
        ignored: (A, G) bool, objects that do not count, of A ways to count: they are taken only
            where no other is left.
        crowd: (G,) bool, objects that any number of detections may take.
        thresholds: (T,) float64, the lowest IoU.

    Returns:
        (A, T, R) int32, each detection's object; -1 without one.
    """
    ways, steps = len(ignored), len(thresholds)
    matched = np.full((ways, steps, len(ranks)), -1, np.int32)
    taken = np.zeros((ways, steps, ignored.shape[1]), bool)
    # By rank, then by detection; of one detection the best object last, as >= chooses it.
    order = np.lexsort((pairs.sought, pairs.ious, pairs.found, ranks[pairs.found]))
    found, sought, ious = pairs.found[order], pairs.sought[order], pairs.ious[order]
    limits = np.minimum(thresholds, 1 - 1e-10)[None, :, None]  # pycocotools'
    for begin, end in _runs(ranks[found]):
        rows, objects = found[begin:end], sought[begin:end]
        firsts = np.flatnonzero(np.diff(rows, prepend=-1))
        free = ~taken[:, :, objects] | crowd[objects]
        fits = free & (ious[begin:end] >= limits)  # (A, T, P)
        # Where one that counts fits, it comes before all that do not.
        value = np.arange(1, end - begin + 1) + (end - begin) * ~ignored[:, None, objects]
        best = np.maximum.reduceat(np.where(fits, value, 0), firsts, axis=2)  # (A, T, rows)
        way, step, place = np.nonzero(best)
        chosen = objects[(best[way, step, place] - 1) % (end - begin)]
        matched[way, step, rows[firsts[place]]] = chosen
        taken[way, step, chosen] = True
    return matched


def ranks_within(groups: np.ndarray) -> np.ndarray:
    """Returns (R,) int64, how many of the same group come before each; equal ones side by side."""
    firsts = np.flatnonzero(np.diff(groups, prepend=-1))
    lengths = np.diff(np.append(firsts, len(groups)))
    return np.arange(len(groups)) - np.repeat(firsts, lengths)


def _ious(found: np.ndarray, sought: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Returns (P,) float64 by pycocotools' formula (maskApi.c, bbIou), to the last bit."""
    ends = np.minimum(found[:, :2] + found[:, 2:], sought[:, :2] + sought[:, 2:])
    sides = ends - np.maximum(found[:, :2], sought[:, :2])
    inside = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)
    area = found[:, 2] * found[:, 3]
    union = np.where(crowd, area, area + sought[:, 2] * sought[:, 3] - inside)
    return np.divide(inside, union, out=np.zeros_like(inside), where=inside > 0)


def _chunks(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields ranges of detections that have about `_BUDGET` pairs each."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _BUDGET, side="right")))
        yield first, last
        first = last


def _runs(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields where runs of equal values begin and end."""
    bounds = np.append(np.flatnonzero(np.diff(values, prepend=-1)), len(values)).tolist()
    yield from itertools.pairwise(bounds)
