"""The engine contract on torchvision's parts. Portable."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.config import check_honoured
from resnext_det.data.coco import CocoRecord
from resnext_det.data.loaders import build_detection_train_loader, build_validation_loader
from resnext_det.data.mapper import mapper_from_config
from resnext_det.data.opened_image import Pixels
from resnext_det.engines.base import DetectionRun, Metrics, Predictor, as_validation
from resnext_det.engines.portable.evaluation import evaluate_model
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import check_values, detector_from_config
from resnext_det.engines.portable.honoured import HONOURED
from resnext_det.structures import Detections, DetectionSample
from resnext_det.training.distributed import rank, world_size
from resnext_det.training.from_config import solver_from_config
from resnext_det.training.loop import Losses
from resnext_det.training.non_finite.bundle import BatchForm
from resnext_det.training.non_finite.trees import dataclass_kind
from resnext_det.training.parts import OwnState
from resnext_det.training.schedule import LRSchedule
from resnext_det.training.writers import RunWriter


def _images(samples: list[DetectionSample]) -> list[dict[str, Any]]:
    return [{"file_name": s.file_name, "image_id": s.image_id} for s in samples]


class PortableEngine:
    """Faster R-CNN with FPN without Detectron2; see `resnext_det.engines.base.Engine`."""

    name = "portable"
    batch_form = BatchForm("portable", (dataclass_kind(DetectionSample),), _images)

    def check_config(self, cfg: CfgNode) -> None:
        """Refuses every key, and every value, that only Detectron2 knows."""
        check_values(cfg)  # first, for it names the detector that this engine has
        check_honoured(cfg, HONOURED, self.name, "remove it or use --engine d2")

    def build_model(self, cfg: CfgNode) -> FasterRCNN:
        """Builds the detector on the CPU."""
        return detector_from_config(cfg)

    def build_solver(
        self, cfg: CfgNode, model: nn.Module
    ) -> tuple[torch.optim.Optimizer, LRSchedule]:
        """Returns the optimizer and the schedule of `SOLVER`."""
        return solver_from_config(cfg, model)

    def build_losses(self, writer: RunWriter | None) -> Losses:
        """Returns the model's own losses; it tells nothing beside them."""
        return _losses

    def stateful(self, model: nn.Module) -> Mapping[str, OwnState]:
        """Returns nothing: the weights are all the state that the model has."""
        return {}

    def train_batches(
        self, run: DetectionRun, start_iteration: int
    ) -> Iterator[list[DetectionSample]]:
        """Yields lists of samples; see `Engine.train_batches`."""
        assert run.train is not None
        return iter(
            build_detection_train_loader(
                run.cfg,
                run.train,
                start_iteration=start_iteration,
                rank=rank(),
                world_size=world_size(),
                set_aside=run.set_aside,
            )
        )

    def validation_batches(self, run: DetectionRun, name: str) -> Iterator[list[DetectionSample]]:
        """Yields lists of one sample; see `Engine.validation_batches`."""
        mapper = mapper_from_config(as_validation(run.cfg), run.cfg.SEED)
        return iter(
            build_validation_loader(
                run.cfg, run.tests[name], mapper, rank(), world_size(), run.set_aside
            )
        )

    def evaluate(self, model: nn.Module, run: DetectionRun) -> Mapping[str, Metrics]:
        """Scores with pycocotools' definition; see `Engine.evaluate`."""
        return evaluate_model(_checked(model), run)

    @torch.no_grad()
    def detect(
        self, model: nn.Module, run: DetectionRun, records: Sequence[CocoRecord]
    ) -> list[Detections]:
        """Returns the boxes found in each image; see `Engine.detect`."""
        mapper = mapper_from_config(run.cfg, 0)  # nothing is drawn
        detector = _checked(model.eval())

        def found_in(record: CocoRecord) -> Detections:
            sample = run.set_aside.unless_broken(record.file_name, lambda: mapper(record, None))
            return Detections.empty() if sample is None else detector.detect([sample])[0]

        return [found_in(record) for record in records]

    def build_predictor(self, model: nn.Module, cfg: CfgNode) -> Predictor:
        """Returns what finds boxes in pixels; see `Engine.build_predictor`."""
        mapper = mapper_from_config(cfg, 0)  # nothing is drawn

        @torch.no_grad()
        def predict(images: Sequence[Pixels]) -> list[Detections]:
            found = model([mapper.sample_of_pixels(pixels) for pixels in images])
            return [Detections(f.boxes.cpu(), f.scores.cpu(), f.classes.cpu()) for f in found]

        return predict


def _losses(model: nn.Module, samples: list[DetectionSample]) -> dict[str, Tensor]:
    return model(samples)


def _checked(model: nn.Module) -> FasterRCNN:
    assert isinstance(model, FasterRCNN)
    return model
