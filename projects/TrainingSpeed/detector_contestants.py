"""Detectors whose training steps are timed: Detectron2's own, and ours under settings. Detectron2.

All start from the same weights, whose BatchNorm statistics are the images' own: under frozen norms
with other statistics activations grow without bound.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.acceleration.setting import acceleration_of_words
from resnext_det.acceleration.training_keys import training_keys
from resnext_det.config import load_config, with_values
from resnext_det.engines.base import Engine, resolve_engine
from resnext_det.engines.portable.from_config import detector_from_config
from resnext_det.structures import DetectionSample
from resnext_det.training.acceleration import compiled, in_layout, set_memory
from resnext_det.training.from_config import check_training
from resnext_det.training.passes import Passes
from resnext_det.training.precision import build_precision

NUM_BOXES = 10
WIDTHS = {
    "X_50_32x4d": {"MODEL.RESNETS.NUM_GROUPS": 32, "MODEL.RESNETS.WIDTH_PER_GROUP": 4},
    "R_50": {},
    "tiny": {
        "MODEL.RESNETS.NUM_GROUPS": 32,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 1,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
        "MODEL.RESNETS.STEM_OUT_CHANNELS": 16,
        "MODEL.FPN.OUT_CHANNELS": 32,
        "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
    },
}
State = dict[str, Tensor]


@dataclass(frozen=True)
class Work:
    """Size of the work: a net of WIDTHS, and images of one step in pixels."""

    net: str
    height: int
    width: int
    batch: int
    device: str

    def config(self) -> CfgNode:
        """Returns Faster R-CNN with FPN as it is fine-tuned: norms, stem and res2 frozen."""
        keys = {
            "MODEL.RESNETS.DEPTH": 50,
            **WIDTHS[self.net],
            "MODEL.WEIGHTS": "",
            "MODEL.DEVICE": self.device,
            "SOLVER.IMS_PER_BATCH": self.batch,
            "SOLVER.REFERENCE_BATCH": 0,
            "SOLVER.BASE_LR": 1.0e-3,
            "SEED": 0,
        }
        return with_values(load_config("resnext_det://Base-RCNN-FPN.yaml").cfg, keys)

    def samples(self) -> list[DetectionSample]:
        """Returns images of noise with boxes, the same at every call."""
        draw = torch.Generator().manual_seed(0)
        size = torch.tensor([self.width, self.height])
        found = []
        for image_id in range(self.batch):
            shape = (3, self.height, self.width)
            image = torch.randint(256, shape, dtype=torch.uint8, generator=draw)
            corner = torch.rand(NUM_BOXES, 2, generator=draw) * 0.6 * size
            sides = (0.1 + 0.3 * torch.rand(NUM_BOXES, 2, generator=draw)) * size
            sample = DetectionSample(
                image=image,
                height=self.height,
                width=self.width,
                image_id=image_id,
                file_name=f"{image_id}.png",
                gt_boxes=torch.cat([corner, corner + sides], dim=1),
                gt_classes=torch.arange(NUM_BOXES),
                sampling_seed=image_id,
            )
            found.append(sample)
        return found


def calibrated_state(work: Work) -> State:
    """Returns drawn weights whose BatchNorm statistics are those of the first image."""
    torch.manual_seed(0)
    keys = {"MODEL.RESNETS.NORM": "BN", "MODEL.BACKBONE.FREEZE_AT": 0}
    model = detector_from_config(with_values(work.config(), keys)).to(work.device).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.backbone(model.preprocess(work.samples()[:1])[0])
    return model.state_dict()


def as_dicts(samples: Sequence[DetectionSample]) -> list[dict[str, Any]]:
    """Returns samples as Detectron2's models take them."""
    # The reader of the d2 engine takes files; these images are in memory.
    structures: Any = importlib.import_module("detectron2.structures")

    found = []
    for sample in samples:
        size = (sample.height, sample.width)
        truth = structures.Instances(size)
        truth.set("gt_boxes", structures.Boxes(sample.gt_boxes))
        truth.set("gt_classes", sample.gt_classes)
        drawn = {"iteration": 0, "sampling_seed": sample.sampling_seed}
        sizes = {"height": sample.height, "width": sample.width}
        found.append({"image": sample.image, "instances": truth, **sizes, **drawn})
    return found


class Contestant:
    """One detector and its training step, by the trainer's own parts.

    Args:
        work: size of the work.
        state: the weights.
        words: the setting of training.
        theirs: Detectron2's detector and backbone; else the portable engine's.

    Raises:
        UserError: this machine cannot train so.
    """

    def __init__(self, work: Work, state: State, words: str, *, theirs: bool = False) -> None:
        backbone = "build_resnet_fpn_backbone" if theirs else "build_resnext_fpn_backbone"
        cfg = with_values(work.config(), {"MODEL.BACKBONE.NAME": backbone})
        cfg = with_values(cfg, training_keys(acceleration_of_words(words)))
        engine: Engine = resolve_engine("d2" if theirs else "portable")
        engine.check_config(cfg)
        check_training(cfg)
        set_memory(cfg)
        model = engine.build_model(cfg)
        known = model.state_dict()  # frozen norms have no counter of batches
        model.load_state_dict({key: state[key] for key in known})
        device = torch.device(work.device)
        model = in_layout(cfg, model.to(device)).train()
        self._optimizer, _ = engine.build_solver(cfg, model)
        self._passes = Passes(engine.build_losses(None), precision=build_precision(cfg, device))
        self._model = compiled(cfg, model)
        self._batch = as_dicts(work.samples()) if theirs else work.samples()

    def step(self) -> dict[str, Tensor]:
        """Takes one update: forward and backward pass, and new weights.

        Returns:
            The losses by name, 0-d, on the device.
        """
        self._optimizer.zero_grad()
        losses = self._passes.backward(self._model, self._batch)
        self._optimizer.step()
        return losses

    def first_losses(self, updates: int) -> list[dict[str, float]]:
        """Returns the losses of the next updates."""
        found = [self.step() for _ in range(updates)]
        return [{name: float(value) for name, value in losses.items()} for losses in found]
