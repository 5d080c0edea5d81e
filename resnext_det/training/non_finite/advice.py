"""What to try after a loss or a gradient that is not finite. Engine-neutral."""

import math
from dataclasses import dataclass, replace

from fvcore.common.config import CfgNode

from resnext_det.config import task_of

_PER_IMAGE = {
    # Detectron2's Base-RCNN-FPN.yaml: 0.02 for 16 images.
    "detection": 0.02 / 16,
    # Xie et al., section 4.1, from the ResNet code they follow: 0.1 for 256 images.
    "classification": 0.1 / 256,
}
# Detectron2's Base-RetinaNet.yaml and FCOS: 0.01 for 16 images.
_DENSE_PER_IMAGE = 0.01 / 16
_DENSE = ("RetinaNet", "FCOS")


@dataclass(frozen=True)
class Rate:
    """A learning rate to try.

    Attributes:
        value: for `key`.
        rule: where it comes from.
        key: SOLVER.BASE_LR, or where a config in Detectron2's Python syntax says it.
    """

    value: float
    rule: str
    key: str = "SOLVER.BASE_LR"


def suggested_rate(cfg: CfgNode, recipe: float = math.inf) -> Rate:
    """Returns the learning rate to try next: a rule of thumb that knows nothing of the data.

    It is half of SOLVER.BASE_LR, or the usual rate for a batch of this size where that is less: in
    proportion to the batch (Goyal et al. 2017, section 2.1) from Detectron2's 0.02 for 16 images
    (0.01 for RetinaNet and FCOS), and the paper's 0.1 for 256 in classification. A config in
    Detectron2's Python syntax may have another optimizer than SGD: there it is half. It is never
    above what the config file itself says.

    Args:
        cfg: the run's final config.
        recipe: what its files say for the run's batch, without the command line; infinite where
            they say nothing.
    """
    half = Rate(cfg.SOLVER.BASE_LR / 2, "half of it; a rule of thumb")
    if cfg.LAZY_CONFIG:
        return replace(half, key="optimizer.lr")
    per_image = _PER_IMAGE[task_of(cfg)]
    if cfg.MODEL.META_ARCHITECTURE in _DENSE:
        per_image = _DENSE_PER_IMAGE
    usual = per_image * cfg.SOLVER.IMS_PER_BATCH
    if min(usual, recipe) >= half.value:
        return half
    if recipe < usual:
        rule = f"the config file's for {cfg.SOLVER.IMS_PER_BATCH} images per update"
        return Rate(recipe, f"{rule}; a rule of thumb")
    rule = f"usual for {cfg.SOLVER.IMS_PER_BATCH} images per update; a rule of thumb"
    return Rate(usual, rule)


def what_to_try(
    rate: Rate | None = None, *, bad_data: str = "", bad_weight: str = "", checkpoint: str = ""
) -> str:
    """Returns the end of the message: what is most likely to help.

    Args:
        rate: to try; None where nothing is known of the run.
        bad_data: images of the batch that are not finite themselves.
        bad_weight: the first weight that was not finite before the update.
        checkpoint: the newest one whose weights are finite.
    """
    if bad_data:
        return f"the batch itself is not finite ({bad_data}): mend its data"
    lower = "a lower SOLVER.BASE_LR"
    if rate is not None:
        lower = f"{rate.key} {rate.value:.3g} ({rate.rule})"
    if not bad_weight:
        return f"try {lower}, or SOLVER.CLIP_GRADIENTS.ENABLED True"
    start = f" in another OUTPUT_DIR from MODEL.WEIGHTS {checkpoint}" if checkpoint else ""
    return f"{bad_weight} was not finite before it, by an earlier update: try {lower}{start}"
