"""What a config's detector reads from an annotation file beside boxes. Engine-neutral."""

from dataclasses import dataclass
from typing import Any

NO_REGION_HEADS = ("ProposalNetwork", "RetinaNet", "SemanticSegmentor")
"""Detectron2's models to which MASK_ON and KEYPOINT_ON mean nothing."""
_STUFF_READERS = ("PanopticFPN", "SemanticSegmentor")


@dataclass(frozen=True)
class Needs:
    """What has to be in an annotation file.

    Attributes:
        masks: every object has a segmentation.
        polygons: it has to be polygons, because masks are trained on in that form.
        keypoints: every object has keypoints, every category their names.
        stuff: every image has a picture of semantic labels.
        objects: it is objects that are trained on, so that an image without any teaches nothing.
    """

    masks: bool = False
    polygons: bool = False
    keypoints: bool = False
    stuff: bool = False
    objects: bool = True


BOXES = Needs()
"""Boxes alone."""


def needs_of(cfg: Any) -> Needs:
    """Returns what a detector config needs.

    Args:
        cfg: the config tree; reads `MODEL.META_ARCHITECTURE`, `MODEL.MASK_ON`,
            `MODEL.KEYPOINT_ON`, `INPUT.MASK_FORMAT`.
    """
    architecture = cfg.MODEL.META_ARCHITECTURE
    has_regions = architecture not in NO_REGION_HEADS
    masks = has_regions and bool(cfg.MODEL.MASK_ON)
    return Needs(
        masks=masks,
        polygons=masks and cfg.INPUT.MASK_FORMAT == "polygon",
        keypoints=has_regions and bool(cfg.MODEL.KEYPOINT_ON),
        stuff=architecture in _STUFF_READERS,
        objects=architecture != "SemanticSegmentor",
    )
