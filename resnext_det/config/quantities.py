"""Numbers of the solver, the anchors and the boxes that cannot work. Engine-neutral."""

from collections.abc import Iterator, Sequence
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config.tree import get_value

# Scales of dx, dy, dw, dh in the box regression (Faster R-CNN, section 3.1.2).
BOX_WEIGHTS = (
    "MODEL.RPN.BBOX_REG_WEIGHTS",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS",
    "MODEL.RETINANET.BBOX_REG_WEIGHTS",
)
CASCADE_WEIGHTS = "MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS"


def solver_problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each number of `SOLVER` that no optimizer or schedule takes."""
    solver = cfg.SOLVER
    if not 0 <= solver.MOMENTUM < 1:
        yield f"SOLVER.MOMENTUM is {solver.MOMENTUM}; it has to be at least 0 and below 1"
    if not solver.GAMMA > 0:
        yield f"SOLVER.GAMMA is {solver.GAMMA}; it has to be above 0"
    for name in ("WEIGHT_DECAY_NORM", "WEIGHT_DECAY_BIAS"):
        if solver[name] is not None and not solver[name] >= 0:
            yield f"SOLVER.{name} is {solver[name]}; it has to be at least 0, or null"
    if not 0 <= solver.EMA.DECAY < 1:
        yield f"SOLVER.EMA.DECAY is {solver.EMA.DECAY}; it has to be at least 0 and below 1"
    if solver.IMS_PER_BATCH % solver.GRADIENT_ACCUMULATION:
        yield (
            f"SOLVER.IMS_PER_BATCH is {solver.IMS_PER_BATCH}, which SOLVER.GRADIENT_ACCUMULATION "
            f"{solver.GRADIENT_ACCUMULATION} does not divide"
        )


def evaluation_problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each wish of `TEST` that lacks what it works on."""
    test = cfg.TEST
    if test.PATIENCE and not test.BEST_METRIC:
        yield (
            f"TEST.PATIENCE is {test.PATIENCE} and TEST.BEST_METRIC empty; name the metric that "
            "has to get better"
        )
    if test.PATIENCE and not test.EVAL_PERIOD:
        yield (
            f"TEST.PATIENCE is {test.PATIENCE} and TEST.EVAL_PERIOD 0, so nothing is evaluated "
            "before the end; give EVAL_PERIOD a number of iterations"
        )
    wishes = ("BEST_METRIC", "VALIDATION_LOSS", "PICTURES", "MORE_CROPS", "TEN_CROP")
    for name in wishes if not cfg.DATASETS.TEST else ():
        if test[name]:
            yield f"TEST.{name} is {test[name]} and DATASETS.TEST empty; name a test set"


def box_problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each list of anchors or box scales that makes no boxes."""
    for name in ("SIZES", "ASPECT_RATIOS"):
        value = [list(level) for level in cfg.MODEL.ANCHOR_GENERATOR[name]]
        if not all(level and _all_positive(level) for level in value):
            yield (
                f"MODEL.ANCHOR_GENERATOR.{name} is {value}; each entry has at least one number, "
                "and each number has to be above 0"
            )
    for key in BOX_WEIGHTS:
        value = list(get_value(cfg, key))
        if not _are_box_weights(value):
            yield f"{key} is {value}; it has four numbers above 0, for dx, dy, dw and dh"
    stages = [_as_list(stage) for stage in get_value(cfg, CASCADE_WEIGHTS)]
    if not all(isinstance(stage, list) and _are_box_weights(stage) for stage in stages):
        yield (
            f"{CASCADE_WEIGHTS} is {stages}; each stage has four numbers above 0, for dx, dy, "
            "dw and dh"
        )


def single_value_problem(cfg: CfgNode) -> str | None:
    """What BatchNorm refuses: one image whose last feature map is one pixel."""
    net, crop = cfg.MODEL.RESNETS, cfg.INPUT.CLASSIFICATION.TRAIN_CROP
    stride = 4 if net.STEM == "cifar" else 32 // net.RES5_DILATION
    batch_norm = net.NORM == "BN" and cfg.MODEL.BACKBONE.FREEZE_AT < 5  # frozen, it takes any
    batch, passes = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.GRADIENT_ACCUMULATION
    if batch > passes or not batch_norm or crop > stride:
        return None
    images = "1" if passes == 1 else f"{batch} in {passes} passes"
    return (
        f"SOLVER.IMS_PER_BATCH is {images} and INPUT.CLASSIFICATION.TRAIN_CROP {crop}, which "
        "leaves MODEL.RESNETS.NORM BN one value for each channel; take a larger batch or crop"
    )


def _are_box_weights(value: Sequence[Any]) -> bool:
    return len(value) == 4 and _all_positive(value)


def _all_positive(value: Sequence[Any]) -> bool:
    return all(isinstance(number, int | float) and number > 0 for number in value)


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
