"""Detectron2's own ResNet twice, and ours, with the same weights and images. Detectron2."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.benchmarking.training_set import NAME, write_training_set
from resnext_det.config import load_config, with_values
from resnext_det.data.coco import CocoDataset
from resnext_det.engines.base import DetectionRun, resolve_engine

BUILDERS = {
    "theirs": "build_resnet_fpn_backbone",
    "again": "build_resnet_fpn_backbone",
    "ours": "build_resnext_fpn_backbone",
}
WIDTHS = {"R_50": (1, 64), "X_50_32x4d": (32, 4), "tiny": (32, 1)}
TINY = {
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 16,
    "MODEL.FPN.OUT_CHANNELS": 32,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
}


@dataclass(frozen=True)
class Setting:
    """Size of the work.

    Attributes:
        height, width: of the images in pixels, multiples of 32.
        batch: images of one step.
        device: where it is computed.
    """

    height: int = 320
    width: int = 480
    batch: int = 1
    device: str = "cpu"


def config(net: str, norm: str, setting: Setting) -> CfgNode:
    """Returns the config of Faster R-CNN with FPN on a net.

    Args:
        net: a key of WIDTHS.
        norm: "FrozenBN" (stem and res2 frozen too, as detectors are fine-tuned) or "BN".
        setting: size of the work.
    """
    num_groups, width_per_group = WIDTHS[net]
    keys = {
        "MODEL.RESNETS.DEPTH": 50,
        **(TINY if net == "tiny" else {}),
        "MODEL.RESNETS.NUM_GROUPS": num_groups,
        "MODEL.RESNETS.WIDTH_PER_GROUP": width_per_group,
        "MODEL.RESNETS.NORM": norm,
        "MODEL.BACKBONE.FREEZE_AT": 2 if norm == "FrozenBN" else 0,
        "MODEL.WEIGHTS": "",
        "MODEL.DEVICE": setting.device,
        "INPUT.MIN_SIZE_TRAIN": [setting.height],
        "INPUT.MIN_SIZE_TEST": setting.height,
        "INPUT.RANDOM_FLIP": "none",
        "SOLVER.IMS_PER_BATCH": setting.batch,
        "SOLVER.REFERENCE_BATCH": 0,
        "SOLVER.BASE_LR": 1.0e-5,  # the weights hardly move: every round is the same work
        "DATALOADER.NUM_WORKERS": 0,
        "DATASETS.TRAIN": [NAME],
        "DATASETS.TEST": [],
        "SEED": 0,
    }
    return with_values(load_config("resnext_det://Base-RCNN-FPN.yaml").cfg, keys)


def write_images(folder: Path, setting: Setting, number: int) -> CocoDataset:
    """Writes images of noise with ten boxes in each, as a COCO set of 80 classes."""
    draw = np.random.default_rng(0)
    shape = (setting.height, setting.width, 3)
    images = [draw.integers(256, size=shape, dtype=np.uint8) for _ in range(number)]
    return write_training_set(folder, images, num_classes=80)


def calibrated_state(cfg: CfgNode, batch: Any) -> dict[str, Any]:
    """Returns drawn weights whose BatchNorm statistics are the images' own, for every contestant.

    Under frozen norms with other statistics activations grow without bound.
    """
    torch.manual_seed(0)
    keys = {"MODEL.RESNETS.NORM": "BN", "MODEL.BACKBONE.FREEZE_AT": 0}
    model = _build(with_values(cfg, keys), BUILDERS["theirs"]).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.backbone(model.preprocess_image(batch).tensor)
    return model.state_dict()


class Contestant:
    """One model with a batch of images: what is timed, and what it computes.

    Args:
        cfg: of `config`.
        builder: the name of its backbone's builder.
        state: the weights.
        batch: input dicts of Detectron2.
    """

    def __init__(self, cfg: CfgNode, builder: str, state: dict[str, Any], batch: Any) -> None:
        engine = resolve_engine("d2")
        self.model = _build(cfg, builder)
        known = self.model.state_dict()  # frozen norms have no counter of batches
        self.model.load_state_dict({key: state[key] for key in known})
        self.optimizer, _ = engine.build_solver(cfg, self.model)
        self.losses = engine.build_losses(None)
        self.batch = batch
        self.images = self.model.preprocess_image(batch).tensor

    def step(self, what: str, mode: str) -> Callable[[], object]:
        """Returns what is timed.

        Args:
            what: "detector", or "backbone" (bottom-up network and FPN).
            mode: "train" (forward, backward, update) or "infer".
        """
        if mode == "infer":
            return self.detect if what == "detector" else self.maps
        losses = self._detector_losses if what == "detector" else self._backbone_losses
        return lambda: self._update(losses)

    @torch.no_grad()
    def maps(self) -> dict[str, Tensor]:
        """Returns the FPN's maps in evaluation mode."""
        return self.model.eval().backbone(self.images)

    @torch.no_grad()
    def detect(self) -> Any:
        """Returns the detections."""
        return self.model.eval()(self.batch)

    def _detector_losses(self) -> dict[str, Tensor]:
        return dict(self.losses(self.model, self.batch))

    def _backbone_losses(self) -> dict[str, Tensor]:
        maps = self.model.backbone(self.images)
        return {name: value.square().mean() for name, value in maps.items()}

    def _update(self, losses: Callable[[], dict[str, Tensor]]) -> None:
        self.model.train()
        torch.manual_seed(0)  # Detectron2 samples anchors and regions from the global generator
        self.optimizer.zero_grad()
        torch.stack(list(losses().values())).sum().backward()
        self.optimizer.step()


def build_contestants(cfg: CfgNode, dataset: CocoDataset) -> dict[str, Contestant]:
    """Builds all three anew, with the same weights and images."""
    run = DetectionRun(cfg, dataset, {}, None)
    batch = next(resolve_engine("d2").train_batches(run, 0))
    state = calibrated_state(cfg, batch)
    return {name: Contestant(cfg, builder, state, batch) for name, builder in BUILDERS.items()}


def _build(cfg: CfgNode, builder: str) -> Any:
    model = resolve_engine("d2").build_model(with_values(cfg, {"MODEL.BACKBONE.NAME": builder}))
    return model.to(cfg.MODEL.DEVICE)
