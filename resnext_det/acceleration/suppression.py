"""Greedy non-maximum suppression of many groups of boxes at once. Engine-neutral.

torchvision's operator walks through the boxes one after another, which a GPU does on one thread.
Here every pair of a group is compared at once. Whether a box is kept depends on the better ones
alone: keep_i = usable_i and no j < i with keep_j and overlap_ji > threshold. This has exactly one
solution, greedy suppression's. Iterated from "all are kept", the best d boxes of each group
are right after d rounds, and all of them once a round changes nothing, in practice after a few.
"""

import torch
from torch import Tensor
from torchvision.ops import batched_nms as one_after_another

PAIRS_AT_ONCE = 1 << 25
"""How many pairs are held at a time: some ten numbers of 4 bytes for each."""
MAX_PAIRS = 1 << 30
"""Above as many pairs, in whatever groups, torchvision's operator is quicker."""


ROUNDS_BETWEEN_QUESTIONS = 6
"""A GPU waits wherever it is asked whether it is done."""


def overlap_more(boxes: Tensor, threshold: float) -> Tensor:
    """Compares each box with the worse ones of its group.

    Args:
        boxes: (G, R, 4) float32, xyxy, best first.
        threshold: intersection over union.

    Returns:
        (G, R, R) bool: [g, j, i] is whether j < i and the overlap exceeds the threshold.
    """
    x0, y0, x1, y1 = boxes.unbind(dim=-1)  # (G, R)
    wide = _shared_length(x0, x1)
    shared = wide.mul_(_shared_length(y0, y1))  # (G, R, R)
    areas = (x1 - x0) * (y1 - y0)
    # In torchvision's order of operations, so that ties at the threshold fall as there.
    together = (areas[:, :, None] + areas[:, None]).sub_(shared)
    return (shared.div_(together) > threshold).triu_(1)


def _shared_length(start: Tensor, end: Tensor) -> Tensor:
    """Intersects all pairs of (G, R) intervals: (G, R, R), 0 where they are apart."""
    first_end = torch.minimum(end[:, :, None], end[:, None])
    return first_end.sub_(torch.maximum(start[:, :, None], start[:, None])).clamp_(min=0)


def kept(more: Tensor, usable: Tensor, rounds: int | None = None) -> tuple[Tensor, Tensor]:
    """Solves which boxes are kept.

    Args:
        more: (G, R, R) bool, see `overlap_more`.
        usable: (G, R) bool; the others are not kept and suppress none.
        rounds: how many, for work that cannot wait for an answer; None is until nothing changes.

    Returns:
        (G, R) bool, and a 0-d bool: whether the last round changed nothing, so that the
        answer is right.
    """
    # As a product of matrices every round reads the pairs once, and writes none.
    number = torch.float16 if more.device.type == "cuda" else torch.float32
    ones, keep, settled = more.to(number), usable, usable.new_ones(())
    while True:
        for _ in range(ROUNDS_BETWEEN_QUESTIONS if rounds is None else rounds):
            suppressors = torch.bmm(keep[:, None].to(number), ones)[:, 0]  # how many of each box
            before, keep = keep, usable & (suppressors == 0)
            settled = (before == keep).all()
        if rounds is not None or bool(settled):
            return keep, settled


def keep_of_groups(
    boxes: Tensor,
    usable: Tensor,
    threshold: float,
    rounds: int | None = None,
    labels: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Suppresses within each group, some groups at a time where all would not fit into memory.

    Args:
        boxes: (G, R, 4) float32, xyxy, best first.
        usable: (G, R) bool.
        threshold: overlap above which the worse of two boxes goes.
        rounds: see `kept`.
        labels: (G, R) integers; boxes of a group that differ in it do not suppress each other.

    Returns:
        (G, R) bool, and a 0-d bool: whether the answer is right; see `kept`.
    """
    if usable.numel() == 0:
        return usable, usable.new_ones(())
    at_once = max(PAIRS_AT_ONCE // boxes.shape[1] ** 2, 1)
    parts = []
    for first in range(0, len(boxes), at_once):
        some = slice(first, first + at_once)
        more = overlap_more(boxes[some], threshold)
        if labels is not None:
            more &= labels[some, :, None] == labels[some, None]
        parts.append(kept(more, usable[some], rounds))
    keep, settled = zip(*parts, strict=True)
    return torch.cat(keep), torch.stack(settled).all()


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """`torchvision.ops.batched_nms`, without its walk on one thread of a GPU.

    torchvision shifts the groups apart, which rounds the corners; here they are as given, so
    that an overlap within rounding of the threshold may fall otherwise.

    Args:
        boxes: (R, 4) float32, xyxy.
        scores: (R,).
        groups: (R,) int64; boxes of different groups do not suppress each other.
        threshold: overlap above which the lower-scored of two boxes goes.

    Returns:
        (K,) int64, indices of the boxes kept, best first.
    """
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    order = scores.argsort(descending=True, stable=True)
    if len(order) ** 2 <= PAIRS_AT_ONCE:
        of = groups[order]
        usable = torch.ones_like(of, dtype=torch.bool)
        keep, _ = keep_of_groups(boxes[order][None], usable[None], threshold, labels=of[None])
        return order[keep[0]]
    return _by_group(boxes, scores, groups, threshold, order)


def _by_group(
    boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float, order: Tensor
) -> Tensor:
    """Compares the pairs of each group alone; order: (R,), best first."""
    order = order[groups[order].argsort(stable=True)]  # by group, best first within
    _, row, sizes = groups[order].unique_consecutive(return_inverse=True, return_counts=True)
    most = int(sizes.max())
    if len(sizes) * most**2 > MAX_PAIRS:
        return one_after_another(boxes, scores, groups, threshold)
    first = sizes.cumsum(0) - sizes
    column = torch.arange(len(order), device=boxes.device) - first[row]
    padded = boxes.new_zeros(len(sizes), most, 4)
    usable = torch.zeros(len(sizes), most, dtype=torch.bool, device=boxes.device)
    padded[row, column] = boxes[order]
    usable[row, column] = True
    keep, _ = keep_of_groups(padded, usable, threshold)
    survivors = order[keep[row, column]]
    # Equal scores in the order given, as a stable sort of all would leave them.
    survivors = survivors.sort().values
    return survivors[scores[survivors].argsort(descending=True, stable=True)]
