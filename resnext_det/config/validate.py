"""Find values with which a run would fail later, before it starts. Engine-neutral.

Each check names the key and its value. What only one engine cannot do is no concern of this
module: see honoured.py.
"""

import math
import re
from collections.abc import Collection, Iterator

from fvcore.common.config import CfgNode

from resnext_det.config.backbone import backbone_problems
from resnext_det.config.classification import classification_problems
from resnext_det.config.features import feature_problems, feature_warnings
from resnext_det.config.limits import BOUNDS, CHOICES
from resnext_det.config.quantities import (
    box_problems,
    evaluation_problems,
    solver_problems,
)
from resnext_det.config.tree import get_value, task_of
from resnext_det.errors import UserError

COMMAND_LINE = "command line"
_MOST_OF_THE_START = 0.1  # the largest share of the first weights in an average that goes unsaid


def validate_config(
    cfg: CfgNode, *, where: str, command_line: Collection[str] = ()
) -> tuple[str, ...]:
    """Check the values of a whole tree.

    Args:
        cfg: the tree after `apply_variant`.
        where: the config file, for the messages.
        command_line: dotted keys given there; a message about one of them names the command
            line instead of the file.

    Returns:
        Warnings: what works, but probably not as meant.

    Raises:
        UserError: the first value with which a run would fail.
    """
    for problem in _problems(cfg):
        raise UserError(f"{_origin(problem, where, command_line)}: {problem}")
    return tuple(f"{_origin(line, where, command_line)}: {line}" for line in _warnings(cfg))


def check_weights(cfg: CfgNode) -> None:
    """Check, before training, that what is kept frozen has weights to keep.

    Raises:
        UserError: `MODEL.WEIGHTS` is empty while `MODEL.BACKBONE.FREEZE_AT` is above 0, or
            while `MODEL.RESNETS.NORM` has statistics that never change.
    """
    if cfg.MODEL.WEIGHTS:
        return
    frozen = cfg.MODEL.BACKBONE.FREEZE_AT
    if cfg.MODEL.RESNETS.NORM == "FrozenBN":
        raise UserError(
            "MODEL.WEIGHTS is empty and MODEL.RESNETS.NORM is FrozenBN, which would never learn; "
            "give MODEL.WEIGHTS a file, or set NORM BN and FREEZE_AT 0 to train from scratch"
        )
    if frozen > 0:
        raise UserError(
            f"MODEL.WEIGHTS is empty and MODEL.BACKBONE.FREEZE_AT is {frozen}, so frozen layers "
            "would stay random; give MODEL.WEIGHTS a file, or FREEZE_AT 0 to train from scratch"
        )


def _origin(message: str, where: str, command_line: Collection[str]) -> str:
    """The command line where the message names one of its keys, in full or by its last word."""
    for key in command_line:
        last = key.rsplit(".", 1)[-1]
        if re.search(rf"(?<![\w.])({re.escape(key)}|{re.escape(last)})(?![\w.]*\w)", message):
            return COMMAND_LINE
    return where


def _problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each value that cannot work."""
    for key, allowed in CHOICES.items():
        if (value := get_value(cfg, key)) not in allowed:
            yield f"{key} is {value!r}; it can be {', '.join(map(repr, allowed))}"
    for key, (low, high) in BOUNDS.items():
        value = get_value(cfg, key)
        if not low <= value <= high or value == math.inf:
            limit = f"at least {low}" if high == math.inf else f"between {low} and {high}"
            yield f"{key} is {value}; it has to be {limit}"
    yield from _pixel_problems(cfg)
    yield from backbone_problems(cfg)
    if not all(map(math.isfinite, cfg.SOLVER.STEPS)):
        yield f"SOLVER.STEPS is {list(cfg.SOLVER.STEPS)}; each is the number of an iteration"
    if list(cfg.SOLVER.STEPS) != sorted(cfg.SOLVER.STEPS):
        yield f"SOLVER.STEPS is {list(cfg.SOLVER.STEPS)}; the steps have to ascend"
    yield from solver_problems(cfg)
    yield from evaluation_problems(cfg)
    if not cfg.OUTPUT_DIR.strip():
        yield "OUTPUT_DIR is empty; name the folder of the run"
    try:
        is_classifier = task_of(cfg) == "classification"
    except UserError as error:
        yield str(error)
        return
    yield from classification_problems(cfg) if is_classifier else _detection_problems(cfg)


def _pixel_problems(cfg: CfgNode) -> Iterator[str]:
    for name in ("PIXEL_MEAN", "PIXEL_STD"):
        value = list(cfg.MODEL[name])
        if len(value) != 3:
            yield f"MODEL.{name} is {value}; it has one number for each of 3 channels"
    if min(cfg.MODEL.PIXEL_STD, default=1) <= 0:
        yield f"MODEL.PIXEL_STD is {list(cfg.MODEL.PIXEL_STD)}; each has to be above 0"


def _detection_problems(cfg: CfgNode) -> Iterator[str]:
    sizes = list(cfg.INPUT.MIN_SIZE_TRAIN)
    if cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING == "range" and len(sizes) != 2:
        yield f"INPUT.MIN_SIZE_TRAIN is {sizes}; with MIN_SIZE_TRAIN_SAMPLING range it has two"
    if cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING == "range" and sizes != sorted(sizes):
        yield (
            f"INPUT.MIN_SIZE_TRAIN is {sizes}; with MIN_SIZE_TRAIN_SAMPLING range the two "
            "have to ascend"
        )
    if min(sizes, default=0) < 1:
        yield f"INPUT.MIN_SIZE_TRAIN is {sizes}; it has at least one size, each at least 1"
    user = "RETINANET" if cfg.MODEL.META_ARCHITECTURE == "RetinaNet" else "RPN"
    features = list(cfg.MODEL[user].IN_FEATURES)
    for name in ("SIZES", "ASPECT_RATIOS"):
        entries = len(cfg.MODEL.ANCHOR_GENERATOR[name])
        if entries not in (1, len(features)):
            yield (
                f"MODEL.ANCHOR_GENERATOR.{name} has {entries} entries, but "
                f"MODEL.{user}.IN_FEATURES has {len(features)} ({', '.join(features)})"
            )
    for name in ("RPN", "ROI_HEADS", "RETINANET"):
        thresholds, labels = cfg.MODEL[name].IOU_THRESHOLDS, cfg.MODEL[name].IOU_LABELS
        if len(labels) != len(thresholds) + 1:
            yield (
                f"MODEL.{name}.IOU_LABELS is {list(labels)}; it has one label more than "
                f"IOU_THRESHOLDS {list(thresholds)}"
            )
    yield from box_problems(cfg)
    yield from feature_problems(cfg)


def _warnings(cfg: CfgNode) -> Iterator[str]:
    """One line for each value that works, but probably not as meant."""
    solver = cfg.SOLVER
    late = [step for step in solver.STEPS if step > solver.MAX_ITER]
    if late and solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        yield f"SOLVER.STEPS {late} come after MAX_ITER {solver.MAX_ITER} and have no effect"
    if solver.WARMUP_ITERS >= solver.MAX_ITER > 0:
        yield (
            f"SOLVER.WARMUP_ITERS {solver.WARMUP_ITERS} is not below MAX_ITER {solver.MAX_ITER}: "
            "all of the run is warm-up"
        )
    start = solver.EMA.DECAY**solver.MAX_ITER  # the share of the first weights in the average
    if solver.EMA.ENABLED and start > _MOST_OF_THE_START:
        yield (
            f"SOLVER.EMA.DECAY {solver.EMA.DECAY:g}: after MAX_ITER {solver.MAX_ITER} updates the "
            f"averaged weights, which are evaluated, are still to {100 * start:.0f} % those that "
            "training starts from; lower it"
        )
    if solver.BASE_LR == 0:
        yield "SOLVER.BASE_LR is 0, so nothing will be learnt"
    yield from feature_warnings(cfg)
