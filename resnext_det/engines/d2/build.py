"""Detectron2's models from a config of this project. Detectron2."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from detectron2.config import CfgNode as Detectron2CfgNode
from detectron2.modeling import build_model
from detectron2.modeling.meta_arch.dense_detector import DenseDetector
from fvcore.common.config import CfgNode
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from resnext_det.engines.d2.config import to_detectron2_config
from resnext_det.engines.d2.projects import register_projects
from resnext_det.engines.d2.seeding import seed_draws
from resnext_det.errors import UserError

T = TypeVar("T")
# What Detectron2, torch and OmegaConf raise on names and values that they cannot build from.
MISFITS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OmegaConfBaseException,
    RuntimeError,
    TypeError,
    ValueError,
)


def build_checked_model(cfg: CfgNode) -> nn.Module:
    """Builds Detectron2's model on the CPU; it draws from the images' seeds.

    Raises:
        UserError: a name that Detectron2 has no part for, or values that do not fit together.
    """
    register_projects(cfg)
    return seed_draws(checked(lambda: build_model(on_cpu(cfg))))


def checked(build: Callable[[], T]) -> T:
    """Returns what was built.

    Raises:
        UserError: a name that Detectron2 has no part for, or values that do not fit together.
    """
    try:
        return build()
    except UserError:
        raise
    except MISFITS as error:
        reason = " ".join(str(error.args[0] if error.args else "").split()) or type(error).__name__
        raise UserError(f"Detectron2 cannot build this config: {reason}") from error


def on_cpu(cfg: CfgNode) -> Detectron2CfgNode:
    """Returns Detectron2's config; the caller moves the model to where the run computes."""
    converted = to_detectron2_config(cfg)
    converted.defrost()
    converted.MODEL.DEVICE = "cpu"
    converted.freeze()
    return converted


class LossNormalizers:
    """The running numbers of foreground anchors by which RetinaNet and FCOS divide their losses.

    Each process counts in its own images. Detectron2 keeps the numbers outside the state dict, so
    that its own resumed runs start them anew.

    Args:
        model: the detector.
    """

    def __init__(self, model: nn.Module) -> None:
        self._detectors = {n: m for n, m in model.named_modules() if isinstance(m, DenseDetector)}

    def state_dict(self) -> dict[str, Any]:
        """Returns the number of each dense detector that has one, by module name."""
        found = {n: getattr(m, "loss_normalizer", None) for n, m in self._detectors.items()}
        return {name: float(value) for name, value in found.items() if value is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Sets the numbers again; a detector that has none in `state` starts as a new one.

        Raises:
            KeyError: the state is another model's.
            ValueError: a value is no number above 0.
        """
        for module in self._detectors.values():
            vars(module).pop("loss_normalizer", None)
        for name, value in state.items():
            if not 0 < float(value) < math.inf:
                raise ValueError(f"{name}: {value} is no number of anchors")
            self._detectors[name].loss_normalizer = float(value)

    def shared_anew(self, states: Sequence[Mapping[str, Any]], number: int) -> dict[str, float]:
        """Returns equal shares of all processes' anchors, whose batch is the same together."""
        return {name: sum(state[name] for state in states) / number for name in states[0]}
