"""Which ground-truth box each anchor or proposal answers for. Portable."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

from resnext_det.engines.portable.crowds import best_overlaps


def pairwise_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every pair; pairs of boxes without area give 0.

    Args:
        boxes: (M, 4) xyxy.
        others: (R, 4) xyxy.

    Returns:
        (M, R) in 0 … 1.
    """
    # torchvision divides 0 by 0 where both boxes have no area; Detectron2 says 0.
    return box_iou(boxes, others).nan_to_num(nan=0.0)


MOST_PAIRS = 1 << 25
"""Overlaps that are held at once; 2 GB with what computing them takes."""


class Matcher:
    """Gives every candidate its best ground truth and a label by overlap.

    Label `labels[i]` goes to candidates whose best overlap lies in
    [thresholds[i - 1], thresholds[i]), the outermost bounds being infinite.

    Args:
        thresholds: ascending and positive (`IOU_THRESHOLDS`).
        labels: one more than thresholds, of -1 (ignored), 0 (background), 1 (foreground).
        allow_low_quality_matches: also label 1 every candidate that no other one
            exceeds for some ground truth, ties included, so that each ground truth
            has a candidate (Faster R-CNN, section 3.1.2, case i).

    Raises:
        ValueError: thresholds or labels are not as above.
    """

    def __init__(
        self,
        thresholds: Sequence[float],
        labels: Sequence[int],
        *,
        allow_low_quality_matches: bool = False,
    ) -> None:
        ascending = list(thresholds) == sorted(thresholds)
        if not thresholds or thresholds[0] <= 0 or not ascending:
            raise ValueError(f"IoU thresholds {list(thresholds)} must be positive and ascending")
        if len(labels) != len(thresholds) + 1 or not set(labels) <= {-1, 0, 1}:
            raise ValueError(
                f"IoU labels {list(labels)} must be {len(thresholds) + 1} values of -1, 0, 1"
            )
        self.thresholds = tuple(thresholds)
        self.labels = tuple(labels)
        self.allow_low_quality_matches = allow_low_quality_matches
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def match(self, boxes: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Matches candidates to the ground truth of an image, in memory that has a bound.

        The same as `self(pairwise_iou(boxes, candidates))`, for crowded images in parts and without
        the pairs that lie apart: a hundred thousand boxes have 80 GB of overlaps with the anchors
        of one image.

        Args:
            boxes: (M, 4) xyxy.
            candidates: (R, 4) xyxy.

        Returns:
            matches, labels: as of calling it.
        """
        if len(boxes) * len(candidates) <= MOST_PAIRS:
            return self(pairwise_iou(boxes, candidates))
        best = best_overlaps(boxes, candidates)
        labels = self._labels(best.values)
        if self.allow_low_quality_matches:
            labels[best.is_best] = 1
        return best.rows, labels

    def match_batch(
        self, boxes: Sequence[Tensor], candidates: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """Matches the same candidates to the ground truth of each image; see `match`.

        Args:
            boxes: per image (M_i, 4).
            candidates: (R, 4) xyxy.
        """
        counts = [len(b) for b in boxes]
        if not candidates.is_cuda or sum(counts) * len(candidates) > MOST_PAIRS:
            return [self.match(b, candidates) for b in boxes]
        # In fewer operations, which is what takes time there.
        overlaps = pairwise_iou(torch.cat(list(boxes)), candidates)
        return [self(iou) for iou in overlaps.split(counts)]

    def _labels(self, best: Tensor) -> Tensor:
        """Returns (R,) int8 labels for candidates of these best overlaps."""
        kind = (best.device, best.dtype)
        if kind not in self._tables:  # kept: to move a number to a GPU is to wait for it
            bounds = torch.tensor(self.thresholds, dtype=best.dtype, device=best.device)
            table = torch.tensor(self.labels, dtype=torch.int8, device=best.device)
            self._tables[kind] = bounds, table
        bounds, table = self._tables[kind]
        # right=True counts the thresholds that are <= best: a tie goes up.
        return table[torch.bucketize(best, bounds, right=True)]

    def __call__(self, iou: Tensor) -> tuple[Tensor, Tensor]:
        """Matches candidates (columns) to ground truth (rows).

        Args:
            iou: (M, R) overlaps.

        Returns:
            matches: (R,) int64 rows in 0 … M-1 (0 where M is 0).
            labels: (R,) int8 of -1, 0, 1; all `labels[0]` where M is 0.
        """
        num_candidates = iou.shape[1]
        if iou.numel() == 0:
            matches = torch.zeros(num_candidates, dtype=torch.int64, device=iou.device)
            return matches, torch.full_like(matches, self.labels[0], dtype=torch.int8)
        best, matches = iou.max(dim=0)
        labels = self._labels(best)
        if self.allow_low_quality_matches:
            # The candidate keeps its own best row, even where that is another one.
            best_of_row = iou.max(dim=1, keepdim=True).values
            labels[(iou == best_of_row).any(dim=0)] = 1
        return matches, labels
