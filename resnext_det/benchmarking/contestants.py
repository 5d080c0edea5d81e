"""Detectors that are timed, each built in the process that runs it. Engine-neutral.

A contestant is sent to its process, builds itself there, and answers a `Request` with what was
asked for, in arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from fvcore.common.config import CfgNode
from numpy.typing import NDArray
from torch import nn

from resnext_det.acceleration.apply import accelerate
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.acceleration.training_keys import training_keys
from resnext_det.benchmarking.peers import (
    Peer,
    detectron2_model,
    maps_of,
    their_config,
    timm_backbone,
    torchvision_detector,
)
from resnext_det.benchmarking.training import (
    Step,
    for_training,
    training_step,
)
from resnext_det.benchmarking.training_set import write_training_set
from resnext_det.benchmarking.work import Work
from resnext_det.config import with_values
from resnext_det.data.opened_image import Pixels
from resnext_det.engines.base import Engine, EngineName, Predictor, resolve_engine
from resnext_det.structures import Detections
from resnext_det.timing.processes import Act

Wish = Literal["nothing", "boxes", "maps", "losses"]
Boxes = list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]
"""Of each image: boxes, scores, classes."""
PRELOAD = (
    "resnext_det.benchmarking.contestants",
    "resnext_det.engines.portable.engine",
    "resnext_det.acceleration.apply",
)
"""Modules that the processes of contestants share."""


@dataclass(frozen=True)
class Request:
    """What a contestant is asked for.

    Attributes:
        batch: number of images.
        wish: what is sent back: boxes (`Boxes`) in all images of the work, by so many at once;
            the backbone's maps (a list of arrays); or the losses before the update (name ->
            number).
    """

    batch: int
    wish: Wish = "nothing"


@dataclass(frozen=True)
class Ours:
    """This project's detector under a setting."""

    work: Work
    engine: EngineName
    setting: Acceleration = EXACT

    def __call__(self) -> Act:
        """Builds it."""
        engine = resolve_engine(self.engine)
        model = accelerate(self.work.build_model(engine), self.setting)
        find = _finding(self.work, engine, model)

        def act(request: Request) -> object:
            if request.wish == "maps":
                return _maps(model, self.work, self.work.batch(request.batch))
            return find(request)

        return act


@dataclass(frozen=True)
class Detectron2:
    """Detectron2's detector with the same weights; `half` under bfloat16 autocast."""

    work: Work
    half: bool = False

    def __call__(self) -> Act:
        """Builds it."""
        model = detectron2_model(self.work, torch.bfloat16 if self.half else None)
        return _finding(self.work, resolve_engine("d2"), model)


@dataclass(frozen=True)
class TorchvisionDetector:
    """torchvision's Faster R-CNN on the same network, with random weights."""

    work: Work

    def __call__(self) -> Act:
        """Builds it."""
        return _peer(self.work, torchvision_detector(self.work))


@dataclass(frozen=True)
class TimmBackbone:
    """timm's network of the same kind alone, with random weights."""

    work: Work

    def __call__(self) -> Act:
        """Builds it."""
        return _peer(self.work, timm_backbone(self.work))


@dataclass(frozen=True)
class OurBackbone:
    """The detector's bottom-up network alone, exact: what timm's network is beside."""

    work: Work
    engine: EngineName

    def __call__(self) -> Act:
        """Builds it."""
        model: Any = self.work.build_model(resolve_engine(self.engine))
        backbone = getattr(model.backbone, "bottom_up", model.backbone)
        return _peer(self.work, maps_of(backbone, self.work))


@dataclass(frozen=True)
class Training:
    """Training steps of a detector.

    Attributes:
        work: weights and images.
        engine: whose detector.
        folder: takes the training images; the contestant's own.
        setting: of ours.
        theirs: takes Detectron2's own backbone; the engine is then d2.
        half: Detectron2's under bfloat16 autocast.
    """

    work: Work
    engine: EngineName
    folder: Path
    setting: Acceleration = EXACT
    theirs: bool = False
    half: bool = False

    def __call__(self) -> Act:
        """Builds it; the step of a batch size is built at the first request for it."""
        engine, steps = resolve_engine(self.engine), dict[int, Step]()

        def act(request: Request) -> object:
            if request.batch not in steps:
                steps.clear()  # before the next one takes memory
                steps[request.batch] = self._step(engine, request.batch)
            losses = steps[request.batch]()
            return losses if request.wish == "losses" else None

        return act

    def _step(self, engine: Engine, batch: int) -> Step:
        cfg = self._config(batch)
        self.folder.mkdir(parents=True, exist_ok=True)
        number = cfg.MODEL.ROI_HEADS.NUM_CLASSES
        dataset = write_training_set(self.folder, self.work.batch(batch), number)
        return training_step(self.work, engine, cfg, dataset)

    def _config(self, batch: int) -> CfgNode:
        cfg = for_training(self.work.cfg, batch)
        if not self.theirs:
            return with_values(cfg, training_keys(self.setting))
        half = {"SOLVER.AMP.ENABLED": True, "SOLVER.AMP.DTYPE": "bfloat16"}
        return with_values(their_config(cfg), half if self.half else {})


def as_detections(boxes: Boxes) -> list[Detections]:
    """Returns what a contestant sent, as detections."""
    return [
        Detections(torch.from_numpy(xyxy), torch.from_numpy(scores), torch.from_numpy(classes))
        for xyxy, scores, classes in boxes
    ]


def _finding(work: Work, engine: Engine, model: nn.Module) -> Act:
    """Returns what computes a detector; reading and converting the images is not timed."""
    predict, batches = work.predictor(engine, model), dict[int, Any]()

    @torch.no_grad()
    def act(request: Request) -> Boxes | None:
        if request.wish == "boxes":
            return _boxes(_in_all(work, predict, request.batch))
        if request.batch not in batches:
            batches.clear()
            batches[request.batch] = work.samples(engine, request.batch)
        model(batches[request.batch])
        return None

    return act


def _in_all(work: Work, predict: Predictor, batch: int) -> list[Detections]:
    """Finds boxes in all images, the first ones again where the last batch is to be filled."""
    number = -(-len(work.images) // batch)
    images = work.batch(number * batch)
    return [
        found
        for place in range(0, len(images), batch)
        for found in predict(images[place : place + batch])
    ]


def _boxes(found: Sequence[Detections]) -> Boxes:
    return [(_array(f.boxes.float()), _array(f.scores.float()), _array(f.classes)) for f in found]


def _peer(work: Work, peer: Peer) -> Act:
    batches = dict[int, Any]()

    def act(request: Request) -> None:
        if request.batch not in batches:
            batches.clear()
            batches[request.batch] = peer.prepare(work.batch(request.batch))
        peer.compute(batches[request.batch])

    return act


def _maps(model: nn.Module, work: Work, images: Sequence[Pixels]) -> list[NDArray[Any]]:
    """Returns the maps of the backbone, an accelerated one's in its own precision."""
    peer = maps_of(backbone_of(model), work)
    maps = peer.compute(peer.prepare(images))
    return [_array(maps[name].float()) for name in sorted(maps)]


def backbone_of(model: nn.Module) -> nn.Module:
    """Returns what computes the maps, wherever acceleration has put it."""
    parts = model.named_modules()
    return next(part for name, part in parts if name.rpartition(".")[2] == "backbone")


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())
