"""Images with more objects than Detectron2 can match in the memory there is. Detectron2."""

import re

import torch
from fvcore.common.config import CfgNode

from resnext_det.available_memory import available_memory
from resnext_det.data.coco_records import CocoDataset, CocoRecord
from resnext_det.errors import UserError

BYTES_PER_PAIR = 24
"""What pairwise_iou holds at once: three times two float32 numbers (structures/boxes.py)."""


def check_crowding(cfg: CfgNode, dataset: CocoDataset) -> None:
    """Checks that the objects of every training image can be matched.

    Detectron2 takes the overlaps of all G objects of an image with all its anchors at once, and,
    since it appends the objects to the proposals, with one another. The portable engine does it
    in parts.

    Args:
        cfg: the config tree.
        dataset: what is trained on.

    Raises:
        UserError: an image has more objects than the memory allows.
    """
    pairs, record = max(
        ((num_pairs(cfg, record), record) for record in dataset.records),
        key=lambda found: found[0],
        default=(0, None),
    )
    left = _memory_left(cfg.MODEL.DEVICE)
    if record is not None and left is not None and BYTES_PER_PAIR * pairs > left:
        raise UserError(
            f"{record.file_name}: has {len(record.boxes):,} objects; Detectron2 matches all of "
            f"them at once, which takes {BYTES_PER_PAIR * pairs / 1e9:.0f} GB, and "
            f"{left / 1e9:.0f} GB are available: tile the image, or take --engine portable"
        )


def num_pairs(cfg: CfgNode, record: CocoRecord) -> int:
    """Returns the overlaps that are held at once for an image at its largest size in training."""
    number = len(record.boxes)
    short, long = sorted((record.height, record.width))
    shortest = max(cfg.INPUT.MIN_SIZE_TRAIN, default=0)
    scale = min(shortest / short, cfg.INPUT.MAX_SIZE_TRAIN / long) if shortest else 1.0
    anchors = int(_anchors_per_pixel(cfg) * short * long * scale**2)
    return number * max(anchors, number)


def _anchors_per_pixel(cfg: CfgNode) -> float:
    """Returns the density of the anchors; 0 where the detector's are not known."""
    retina = cfg.MODEL.META_ARCHITECTURE == "RetinaNet"
    node = cfg.MODEL.RETINANET if retina else cfg.MODEL.RPN
    sizes, ratios = cfg.MODEL.ANCHOR_GENERATOR.SIZES, cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS
    density = 0.0
    for place, name in enumerate(node.IN_FEATURES):
        level = re.fullmatch(r"(?:p|res)(\d)", name)  # p3 and res3 have a stride of 2**3
        if level:
            cell = len(sizes[min(place, len(sizes) - 1)]) * len(ratios[min(place, len(ratios) - 1)])
            density += cell / 4 ** int(level[1])
    return density


def _memory_left(device: str) -> int | None:
    """Returns the most that is free anywhere: Detectron2 goes to the CPU where a GPU is full."""
    left = available_memory()
    if left is None or not device.startswith("cuda") or not torch.cuda.is_available():
        return left
    return max(left, torch.cuda.mem_get_info()[0])
