"""Why detections are wrong, and how much AP each reason costs. Engine-neutral.

TIDE (Bolya, Foley, Hays and Hoffman, ECCV 2020, section 2; its code, github.com/dbolya/tide, is
followed where the paper is silent). An error costs what AP50 would gain if all errors of its kind,
and nothing else, were mended. The costs do not add up: mending one kind may do what another would.
"""

from dataclasses import dataclass

import numpy as np

from resnext_det.analysis.scored_boxes import BACKGROUND_IOU, IOU, ScoredBoxes
from resnext_det.statistics.greedy_matching import Pairs, overlapping_pairs

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(6)
MEANINGS = {
    "classification": "on an object (IoU from 0.5), but of another class",
    "localisation": "of an object’s class, but badly placed (IoU 0.1 to 0.5)",
    "both": "of another class and badly placed",
    "duplicate": "on an object that a detection with a higher score has found",
    "background": "on nothing (IoU at most 0.1)",
    "missed": "an object that no detection, nor one with the errors above, is on",
}
_NONE = -1


@dataclass(frozen=True)
class Errors:
    """What is wrong.

    Attributes:
        kinds: (R,) int64, of each detection its kind, as KINDS numbers them; -1 where it is right
            or counts for nothing.
        targets: (R,) int64, the object that a detection was meant for; -1 where there is none.
        missed: (G,) bool.
    """

    kinds: np.ndarray
    targets: np.ndarray
    missed: np.ndarray

    def count(self, kind: int) -> int:
        """Returns how many errors of a kind there are."""
        found = self.missed if kind == MISSED else self.kinds == kind
        return int(found.sum())


@dataclass(frozen=True)
class Costs:
    """What errors cost, in points of AP50.

    Attributes:
        ap50: (K,) float64, as it is, 0 … 100; NaN for a class without objects.
        of_class: (6, K) float64, what each class would gain by mending each of KINDS, from 0.
        overall: (6,) float64, what the mean over the classes would gain, from 0; NaN without any.
        false_positives: what it would gain if every wrong detection came after every right one.
        false_negatives: what it would gain if what was not found were not sought.
    """

    ap50: np.ndarray
    of_class: np.ndarray
    overall: np.ndarray
    false_positives: float
    false_negatives: float


def find_errors(boxes: ScoredBoxes) -> Errors:
    """Names what is wrong with each detection, the first that holds.

    Localisation, classification, duplicate, background, both: in this order, as in TIDE's code.
    """
    wrong = np.flatnonzero(boxes.wrong)
    truth, sought = boxes.truth, np.flatnonzero(boxes.sought)
    pairs = overlapping_pairs(
        boxes.boxes[wrong],
        boxes.images[wrong],
        truth.boxes[sought],
        truth.images[sought],
        np.zeros(len(sought), bool),
        at_least=BACKGROUND_IOU,
    )
    objects = sought[pairs.sought]
    same = truth.classes[objects] == boxes.classes[wrong[pairs.found]]
    own, own_object = _best(pairs, objects, same, len(wrong))
    other, other_object = _best(pairs, objects, ~same, len(wrong))
    claimed, claimed_object = _best(pairs, objects, same & boxes.claimed[objects], len(wrong))
    tests = (
        (LOCALISATION, (own >= BACKGROUND_IOU) & (own <= IOU), own_object),
        (CLASSIFICATION, other >= IOU, other_object),
        (DUPLICATE, claimed >= IOU, claimed_object),
        (BACKGROUND, np.maximum(own, other) <= BACKGROUND_IOU, np.full(len(wrong), _NONE)),
        (BOTH, np.ones(len(wrong), bool), other_object),
    )
    kind = np.select([holds for _, holds, _ in tests], [kind for kind, _, _ in tests])
    target = np.select([holds for _, holds, _ in tests], [objects for _, _, objects in tests])
    kinds, targets = (np.full(len(boxes.rows), _NONE) for _ in range(2))
    kinds[wrong], targets[wrong] = kind, target
    # An object that a mended detection would find is not missed.
    reached = np.zeros(len(truth.images), bool)
    reached[targets[(kinds == LOCALISATION) | (kinds == CLASSIFICATION)]] = True
    return Errors(kinds, targets, boxes.sought & ~boxes.claimed & ~reached)


def _best(
    pairs: Pairs, objects: np.ndarray, kept: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns of each detection the largest IoU, 0 without a pair, and its object, else -1."""
    found, ious, objects = pairs.found[kept], pairs.ious[kept], objects[kept]
    order = np.lexsort((objects, -ious, found))  # of equal ones the first, as argmax
    firsts = order[np.flatnonzero(np.diff(found[order], prepend=-1))]
    best, best_object = np.zeros(number), np.full(number, _NONE)
    best[found[firsts]], best_object[found[firsts]] = ious[firsts], objects[firsts]
    return best, best_object


def cost_of(boxes: ScoredBoxes, errors: Errors) -> Costs:
    """Mends each kind of error by itself, and counts AP50 again.

    A detection of another class, or badly placed, becomes a true positive of its object, unless
    another has found that object, or one with a higher score would be mended for it: then it goes,
    as do those of the other kinds. What was missed is not sought any more; a class in which all
    was missed then has an AP of 100 (TIDE's code gives it none).
    """
    number, sought = boxes.num_classes, boxes.objects_of_class()
    classes, found = boxes.classes, boxes.found
    plain = ~boxes.ignored
    base = _class_aps(classes, boxes.scores, found, plain, sought)
    gains = np.zeros((len(KINDS), number))
    mendable = _mendable(boxes, errors)
    for kind in (CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND):
        own = errors.kinds == kind
        mended = own & mendable
        moved = classes.copy()
        moved[mended] = boxes.truth.classes[errors.targets[mended]]
        kept = plain & (~own | mended)
        gains[kind] = _class_aps(moved, boxes.scores, found | mended, kept, sought) - base
    missed = np.bincount(boxes.truth.classes[errors.missed], minlength=number)
    gains[MISSED] = _without(boxes, sought - missed, base)
    unfound = np.bincount(boxes.truth.classes[boxes.sought & ~boxes.claimed], minlength=number)
    first = _class_aps(classes, found.astype(float), found, plain, sought)
    return Costs(
        ap50=100 * base,
        of_class=100 * np.maximum(gains, 0),
        overall=100 * np.maximum([_mean(gain) for gain in gains], 0),
        false_positives=100 * _mean(first - base),
        false_negatives=100 * _mean(_without(boxes, sought - unfound, base)),
    )


def _without(boxes: ScoredBoxes, sought: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Returns (K,) float64, what classes gain where only so many objects are sought."""
    aps = _class_aps(boxes.classes, boxes.scores, boxes.found, ~boxes.ignored, sought)
    return np.where(np.isnan(aps) & ~np.isnan(base), 1.0, aps) - base


def _mendable(boxes: ScoredBoxes, errors: Errors) -> np.ndarray:
    """Returns (R,) bool: the best scored error of each object that nothing has found."""
    meant = (errors.kinds == LOCALISATION) | (errors.kinds == CLASSIFICATION)
    rows = np.flatnonzero(meant)
    rows = rows[~boxes.claimed[errors.targets[rows]]]
    order = rows[np.lexsort((boxes.rows[rows], -boxes.scores[rows], errors.targets[rows]))]
    firsts = np.flatnonzero(np.diff(errors.targets[order], prepend=-1))
    mendable = np.zeros(len(boxes.rows), bool)
    mendable[order[firsts]] = True
    return mendable


def _class_aps(
    classes: np.ndarray, scores: np.ndarray, found: np.ndarray, kept: np.ndarray, sought: np.ndarray
) -> np.ndarray:
    """Returns (K,) float64 AP50 in 0 … 1; NaN for a class in which nothing is sought."""
    from hotcoco.metrics import average_precision  # loads its plotting parts; only when evaluating

    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(classes[rows], kind="stable")]
    bounds = np.searchsorted(classes[rows], np.arange(len(sought) + 1))
    aps = np.full(len(sought), np.nan)
    for number, objects in enumerate(sought.tolist()):
        own = rows[bounds[number] : bounds[number + 1]]
        if objects:
            aps[number] = average_precision(scores[own], found[own], objects)
    return aps


def _mean(values: np.ndarray) -> float:
    """Returns the mean of what is not NaN; NaN where nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
