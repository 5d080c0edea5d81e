"""The last selection for all images of a batch at once. Portable.

As `engines.portable.postprocess` selects image by image: a GPU is waited for as often for eight
images as for one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from resnext_det.acceleration.fixed_shapes import Predictions
from resnext_det.acceleration.suppression import batched_nms
from resnext_det.structures import Detections


@dataclass(frozen=True)
class Limits:
    """What is selected.

    Attributes:
        score_thresh: a class is kept where its score exceeds this.
        nms_thresh: overlap above which the lower-scored box of a class goes.
        topk: at most so many are kept in an image; negative for all.
    """

    score_thresh: float
    nms_thresh: float
    topk: int


def select(
    found: Predictions, sizes: Tensor, whole_sizes: Tensor, limits: Limits
) -> list[Detections]:
    """Keeps scores above the threshold, suppresses per class, keeps the best of each image.

    Args:
        found: of N images.
        sizes: (N, 2) float32, rows and columns of each resized image.
        whole_sizes: (N, 2) float32, rows and columns of each image on disk.
        limits: what is selected.

    Returns:
        Per image its detections, best first, in pixels of the image on disk.
    """
    scores, wanted = usable_scores(found, limits.score_thresh)
    image, region, category = torch.nonzero(wanted, as_tuple=True)
    column = category if found.boxes.shape[2] > 1 else torch.zeros_like(category)
    boxes = clip_to(found.boxes[image, region, column], sizes[image])
    kept_scores = scores[image, region, category]
    keep = batched_nms(boxes, kept_scores, image * scores.shape[2] + category, limits.nms_thresh)
    keep = keep[image[keep].argsort(stable=True)]  # by image, best first within
    if limits.topk >= 0:
        keep = keep[_rank_within(image[keep], len(sizes)) < limits.topk]
    image = image[keep]
    boxes = clip_to(
        boxes[keep] * (whole_sizes / sizes)[image].flip(1).repeat(1, 2), whole_sizes[image]
    )
    wide = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    counts = torch.bincount(image[wide], minlength=len(sizes)).tolist()
    parts = (values[wide].split(counts) for values in (boxes, kept_scores[keep], category[keep]))
    return [Detections(*part) for part in zip(*parts, strict=True)]


def usable_scores(found: Predictions, score_thresh: float) -> tuple[Tensor, Tensor]:
    """Returns (N, P, K) scores without the background's, and whether each is above the threshold.

    None is of a region that is not usable, or of which any number is not finite.
    """
    scores = found.probabilities[..., :-1]
    finite = found.boxes.flatten(2).isfinite().all(dim=-1) & found.probabilities.isfinite().all(-1)
    return scores, (scores > score_thresh) & (finite & found.usable)[..., None]


def clip_to(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Clips (…, 4) boxes to their images' (…, 2) rows and columns."""
    limits = sizes.flip(-1)
    return torch.minimum(boxes.clamp(min=0), torch.cat([limits, limits], dim=-1))


def _rank_within(groups: Tensor, num_groups: int) -> Tensor:
    """Counts each entry's predecessors in its group; groups (R,) int64 in ascending order."""
    sizes = torch.bincount(groups, minlength=num_groups)
    first = sizes.cumsum(0) - sizes
    return torch.arange(len(groups), device=groups.device) - first[groups]
