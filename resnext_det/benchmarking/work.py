"""What is timed: a detector's config, weights and images of one size. Engine-neutral."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from numpy.typing import NDArray
from torch import Tensor, nn

from resnext_det.benchmarking.drawn_weights import drawn_states
from resnext_det.benchmarking.sizes import Size
from resnext_det.config import load_config, task_of, with_values
from resnext_det.data.opened_image import Pixels
from resnext_det.data.transforms import resize_image
from resnext_det.engines.base import Engine, Predictor
from resnext_det.errors import UserError
from resnext_det.inference.detector_file import read_detector_file
from resnext_det.training.device import resolve_device
from resnext_det.weights.load import load_weights, require_head

Arrays = Mapping[str, NDArray[Any]]
"""Weights by name, which processes can be sent."""


@dataclass(frozen=True)
class Work:
    """A detector and the images that it is timed on.

    Attributes:
        cfg: under which images of the size are taken as they are.
        weights: of the detector, by Detectron2's names.
        initial: what training starts from: the same where they are a checkpoint's, else with heads
            as they are initialised, whose losses are no larger than usual.
        images: each (H, W, 3) uint8 RGB, at least one.
        trained: whether the weights are a checkpoint's; they are drawn otherwise.
    """

    cfg: CfgNode
    weights: Arrays
    initial: Arrays
    images: tuple[Pixels, ...]
    trained: bool

    def batch(self, number: int) -> list[Pixels]:
        """Returns that many images, the same ones in turn."""
        return list(islice(cycle(self.images), number))

    def build_model(
        self, engine: Engine, cfg: CfgNode | None = None, weights: Arrays | None = None
    ) -> nn.Module:
        """Builds the detector with its weights, on its device, in evaluation mode.

        Args:
            engine: whose model.
            cfg: another config of the same weights.
            weights: others than `weights`.
        """
        cfg = self.cfg if cfg is None else cfg
        weights = self.weights if weights is None else weights
        model = engine.build_model(cfg)
        known = model.state_dict()  # frozen norms have no counter of batches
        model.load_state_dict({key: torch.from_numpy(weights[key]) for key in known})
        return model.to(resolve_device(cfg)).eval()

    def predictor(self, engine: Engine, model: nn.Module) -> Predictor:
        """Returns what finds boxes in images, whatever the model gives."""
        return engine.build_predictor(model, self.cfg)

    def samples(self, engine: Engine, number: int) -> Any:
        """Returns a batch as the engine's model takes it, so that the model alone is timed."""
        kept = _Keeping()
        engine.build_predictor(kept, self.cfg)(self.batch(number))
        return kept.batch


class _Keeping(nn.Module):
    """Keeps what a predictor gives its model."""

    batch: Any = None

    def forward(self, batch: Any) -> list[Any]:
        """Finds nothing."""
        self.batch = batch
        return []


def work_of_config(
    name: str,
    engine: Engine,
    *,
    device: str,
    images: Sequence[Pixels],
    size: Size,
    keys: Mapping[str, object] | None = None,
) -> Work:
    """Makes work of a config file, with weights that are drawn.

    Args:
        name: a path or `resnext_det://` name.
        engine: builds the model.
        device: "cpu", "cuda", …
        images: are scaled to the size.
        size: of the timed images.
        keys: values that replace the config's.

    Raises:
        UserError: it is no detector's config, or none of the engine's.
    """
    if name.endswith(".py"):
        raise UserError(f"{name}: a config in Python syntax cannot be timed: take a .yaml config")
    cfg = load_config(name).cfg
    if task_of(cfg) == "classification":
        raise UserError(f"{name}: a classifier's config: give a detector's")
    cfg = _for_size(with_values(cfg, dict(keys or {}) | {"MODEL.WEIGHTS": ""}), size, device)
    engine.check_config(cfg)
    scaled = _scaled(images, size)
    initial, spread = drawn_states(engine, cfg, scaled[0])
    return Work(cfg, _arrays(spread), _arrays(initial), scaled, trained=False)


def work_of_checkpoint(
    path: str,
    engine: Engine,
    *,
    device: str,
    images: Sequence[Pixels],
    size: Size,
    config_file: str | None = None,
) -> Work:
    """Makes work of a trained detector.

    Args:
        path: of its checkpoint.
        engine: builds the model.
        device: "cpu", "cuda", …
        images: are scaled to the size.
        size: of the timed images.
        config_file: of a checkpoint that holds no config.

    Raises:
        UserError: it is no detector's checkpoint, or none of the engine's.
    """
    file = read_detector_file(path, config_file=config_file)
    cfg = _for_size(file.cfg, size, device)
    engine.check_config(cfg)
    model = engine.build_model(cfg)
    require_head(load_weights(model, file.weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE))
    weights = _arrays(model.state_dict())
    return Work(cfg, weights, weights, _scaled(images, size), trained=True)


def _for_size(cfg: CfgNode, size: Size, device: str) -> CfgNode:
    """Lets images of the size through as they are, in inference and in training."""
    sides = sorted((size.height, size.width))
    keys = {
        "MODEL.DEVICE": device,
        "INPUT.MIN_SIZE_TEST": sides[0],
        "INPUT.MAX_SIZE_TEST": sides[1],
        "INPUT.MIN_SIZE_TRAIN": [sides[0]],
        "INPUT.MAX_SIZE_TRAIN": sides[1],
        "INPUT.MIN_SIZE_TRAIN_SAMPLING": "choice",
        "INPUT.RANDOM_FLIP": "none",
        "INPUT.CROP.ENABLED": False,
    }
    return with_values(cfg, keys)


def _arrays(state: Mapping[str, Tensor]) -> Arrays:
    return {key: value.detach().cpu().numpy() for key, value in state.items()}


def _scaled(images: Sequence[Pixels], size: Size) -> tuple[Pixels, ...]:
    shape = (size.height, size.width)
    return tuple(
        image if image.shape[:2] == shape else resize_image(np.ascontiguousarray(image), *shape)
        for image in images
    )
