"""What this project's trainer and evaluator leave out of Detectron2. Detectron2."""

from collections.abc import Mapping
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config import flatten
from resnext_det.errors import UserError

BOXES_ALONE = "data sets are read, and scored, for boxes alone"
OWN_ORDER = "the order of the samples depends on the seed and the iteration alone"

# key -> (the only value honoured, why)
FIXED: Mapping[str, tuple[Any, str]] = {
    "MODEL.MASK_ON": (False, BOXES_ALONE),
    "MODEL.KEYPOINT_ON": (False, BOXES_ALONE),
    "MODEL.LOAD_PROPOSALS": (False, "stored proposals are not read"),
    "DATALOADER.SAMPLER_TRAIN": ("TrainingSampler", OWN_ORDER),
    "SOLVER.REFERENCE_WORLD_SIZE": (0, "set IMS_PER_BATCH and BASE_LR for the processes there are"),
    "TEST.AUG.ENABLED": (False, "test-time augmentation is not run"),
    "TEST.PRECISE_BN.ENABLED": (False, "batch statistics are not measured anew"),
}
# Without boxes in their output, or with more than boxes.
OTHER_TASKS = ("PanopticFPN", "SemanticSegmentor")


def check_honoured_by_trainer(cfg: CfgNode) -> None:
    """Refuses what Detectron2 can do and the trainer around it here does not.

    Raises:
        UserError: naming key and value.
    """
    values = dict(flatten(cfg))
    for key, (honoured, reason) in FIXED.items():
        if values[key] != honoured:
            raise UserError(
                f"{key} is {values[key]}, which the d2 engine does not honour: {reason}"
            )
    if cfg.MODEL.META_ARCHITECTURE in OTHER_TASKS:
        raise UserError(
            f"MODEL.META_ARCHITECTURE is {cfg.MODEL.META_ARCHITECTURE}, which the d2 engine does "
            f"not honour: {BOXES_ALONE}"
        )
