"""From class scores and boxes to the final detections of an image. Portable."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from resnext_det.engines.portable.proposals import wide_enough
from resnext_det.structures import Detections


def select_detections(
    boxes: Tensor,
    probabilities: Tensor,
    image_size: tuple[int, int],
    *,
    score_thresh: float,
    nms_thresh: float,
    topk: int,
) -> Detections:
    """Keeps scores strictly above the threshold, suppresses per class, keeps the best.

    Args:
        boxes: (R, K * 4), or (R, 4) when one box serves all classes; xyxy, not clipped.
        probabilities: (R, K + 1), the background last. Rows that are not finite,
            here or in boxes, are dropped.
        image_size: (height, width) of the resized image.
        score_thresh: a class is kept where its score exceeds this.
        nms_thresh: overlap above which the lower-scored box of a class goes.
        topk: at most so many are kept; negative for all.

    Returns:
        Detections in pixels of the resized image, best first.
    """
    finite = boxes.isfinite().all(dim=1) & probabilities.isfinite().all(dim=1)
    boxes, scores = boxes[finite], probabilities[finite][:, :-1]
    grouped = clip_boxes_to_image(boxes.unflatten(1, (-1, 4)), image_size)  # (R, K or 1, 4)
    region, category = torch.nonzero(scores > score_thresh, as_tuple=True)
    candidates = grouped[region, category if grouped.shape[1] > 1 else 0]
    candidate_scores = scores[region, category]
    keep = batched_nms(candidates.float(), candidate_scores, category, nms_thresh)
    keep = keep[:topk] if topk >= 0 else keep
    return Detections(candidates[keep], candidate_scores[keep], category[keep])


def rescale_detections(
    detections: Detections, image_size: tuple[int, int], height: int, width: int
) -> Detections:
    """Carries detections from the resized image to the image on disk.

    Args:
        detections: boxes in pixels of the resized image.
        image_size: (height, width) of the resized image.
        height: rows of the image on disk.
        width: columns of the image on disk.

    Returns:
        Detections clipped to the image on disk; boxes left without area are gone.
    """
    boxes = detections.boxes.clone()
    boxes[:, 0::2] *= width / image_size[1]
    boxes[:, 1::2] *= height / image_size[0]
    boxes = clip_boxes_to_image(boxes, (height, width))
    keep = wide_enough(boxes)
    return Detections(
        boxes[keep],
        detections.scores[keep],
        detections.classes[keep],
        detections.class_names,
    )
