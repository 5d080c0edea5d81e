"""Which engine finds boxes, and how fast. Engine-neutral.

What is accelerated is the portable engine's detector: names and numbers of the weights are the
same in both engines, and so are the boxes, but for rounding.
"""

import logging

import torch
from fvcore.common.config import CfgNode

from resnext_det.acceleration.choice import AUTO, choose_acceleration
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.engines.base import EngineName, resolve_engine
from resnext_det.errors import UserError

logger = logging.getLogger(__name__)


def choose_engine(
    cfg: CfgNode, engine: EngineName, acceleration: str | Acceleration
) -> tuple[EngineName, Acceleration]:
    """Returns the engine, "d2" or "portable", and the setting that its detector is run with.

    Args:
        cfg: the detector's, whose MODEL.DEVICE is there.
        engine: "auto" is the portable one where something is accelerated, else Detectron2 where
            it is installed.
        acceleration: a setting, or words (see `choose_acceleration`). Of "auto" nothing is left
            where the engine asked for, or the only one that knows the detector, is Detectron2.

    Raises:
        UserError: words that mean nothing; or a setting that is asked for, and Detectron2, too,
            or a detector that only it knows.
    """
    setting = acceleration
    if isinstance(setting, str):
        setting = choose_acceleration(setting, torch.device(cfg.MODEL.DEVICE), "inference")
    if setting == EXACT:
        return _exact(engine)
    if engine == "portable":
        return engine, setting
    reason = "--engine d2" if engine == "d2" else _unknown_to_portable(cfg)
    if reason is None:
        return "portable", setting
    if isinstance(acceleration, str) and acceleration.strip() == AUTO:
        logger.info("computed exactly, with Detectron2: %s", reason)
        return _exact(engine)
    raise UserError(
        f"acceleration {setting.words()!r} is of the portable engine, which is not asked for or "
        f"does not know this detector ({reason}): give exact"
    )


def _exact(engine: EngineName) -> tuple[EngineName, Acceleration]:
    return ("d2" if resolve_engine(engine).name == "d2" else "portable"), EXACT


def _unknown_to_portable(cfg: CfgNode) -> str | None:
    try:
        resolve_engine("portable").check_config(cfg)
    except UserError as error:
        return str(error)
    return None
