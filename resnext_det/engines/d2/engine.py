"""The engine contract on Detectron2's models, mapper and evaluators. Detectron2."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from detectron2.data import DatasetMapper
from detectron2.utils import comm
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.config import with_values
from resnext_det.data.coco import CocoRecord
from resnext_det.data.loaders import build_detection_train_loader, build_validation_loader
from resnext_det.data.opened_image import Pixels
from resnext_det.engines import d2  # noqa: F401  registers the backbones
from resnext_det.engines.base import DetectionRun, Metrics, Predictor, as_validation
from resnext_det.engines.d2.batch_form import BATCH_FORM
from resnext_det.engines.d2.build import LossNormalizers, build_checked_model, on_cpu
from resnext_det.engines.d2.crowding import check_crowding
from resnext_det.engines.d2.datasets import register_metadata
from resnext_det.engines.d2.evaluation import evaluate_model, to_detections
from resnext_det.engines.d2.honoured import check_honoured_by_trainer
from resnext_det.engines.d2.loader import SeededMapper
from resnext_det.engines.d2.losses import StoredLosses
from resnext_det.engines.d2.projects import register_projects
from resnext_det.errors import UserError
from resnext_det.modeling.conv import fold_frozen_norms
from resnext_det.structures import Detections
from resnext_det.training.distributed import local_world_size, rank, world_size
from resnext_det.training.from_config import solver_from_config
from resnext_det.training.log import ROOT
from resnext_det.training.loop import Losses
from resnext_det.training.parts import OwnState
from resnext_det.training.schedule import LRSchedule
from resnext_det.training.writers import RunWriter


class D2Engine:
    """Detectron2's detectors; see `resnext_det.engines.base.Engine`."""

    name = "d2"
    batch_form = BATCH_FORM

    def check_config(self, cfg: CfgNode) -> None:
        """Refuses what is left out here; Detectron2 honours the rest of its own tree."""
        if cfg.LAZY_CONFIG:
            raise UserError(
                "LAZY_CONFIG is set: this is the record of a run from a .py config; give that "
                "file as --config-file"
            )
        check_honoured_by_trainer(cfg)
        register_projects(cfg)

    def build_model(self, cfg: CfgNode) -> nn.Module:
        """Builds Detectron2's own model on the CPU; see `Engine.build_model`."""
        join_run()
        model = build_checked_model(cfg)
        if cfg.SOLVER.FOLD_NORMS:
            fold_frozen_norms(model)
        return model

    def build_mapper(self, cfg: CfgNode, *, is_train: bool) -> SeededMapper:
        """Returns Detectron2's mapper, for training or for testing."""
        if not is_train:  # no keypoints are mirrored, so their names need not be known
            cfg = with_values(cfg, {"MODEL.KEYPOINT_ON": False})
        mapper = DatasetMapper(on_cpu(cfg), is_train)
        return SeededMapper(mapper, cfg.SEED, num_labels=cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES)

    def build_validation_mapper(self, cfg: CfgNode) -> SeededMapper:
        """Returns the mapper that reads the ground truth and augments nothing."""
        return self.build_mapper(as_validation(cfg), is_train=True)

    def build_solver(
        self, cfg: CfgNode, model: nn.Module
    ) -> tuple[torch.optim.Optimizer, LRSchedule]:
        """Returns the optimizer and the schedule of `SOLVER`."""
        return solver_from_config(cfg, model)

    def build_losses(self, writer: RunWriter | None) -> Losses:
        """Returns the model's own losses; what it says beside them is noted."""
        return StoredLosses(writer)

    def stateful(self, model: nn.Module) -> Mapping[str, OwnState]:
        """Returns the running loss normalisers, which Detectron2 leaves out of its state."""
        return {"loss_normalizers": LossNormalizers(model)}

    def train_batches(
        self, run: DetectionRun, start_iteration: int
    ) -> Iterator[list[dict[str, Any]]]:
        """Yields lists of Detectron2's input dicts; see `Engine.train_batches`."""
        assert run.train is not None
        check_crowding(run.cfg, run.train)
        for name in run.cfg.DATASETS.TRAIN:
            assert run.train.entry.json_file is not None
            register_metadata(name, run.train, run.train.entry.json_file)
        return iter(
            build_detection_train_loader(
                run.cfg,
                run.train,
                mapper=self.build_mapper(run.cfg, is_train=True),
                start_iteration=start_iteration,
                rank=rank(),
                world_size=world_size(),
                set_aside=run.set_aside,
            )
        )

    def validation_batches(self, run: DetectionRun, name: str) -> Iterator[list[dict[str, Any]]]:
        """Yields lists of one input dict; see `Engine.validation_batches`."""
        mapper = self.build_validation_mapper(run.cfg)
        return iter(
            build_validation_loader(
                run.cfg, run.tests[name], mapper, rank(), world_size(), run.set_aside
            )
        )

    def evaluate(self, model: nn.Module, run: DetectionRun) -> Mapping[str, Metrics]:
        """Scores with Detectron2's evaluators; see `Engine.evaluate`."""
        return evaluate_model(model, run, self.build_mapper(run.cfg, is_train=False))

    @torch.no_grad()
    def detect(
        self, model: nn.Module, run: DetectionRun, records: Sequence[CocoRecord]
    ) -> list[Detections]:
        """Returns the boxes found in each image; see `Engine.detect`."""
        mapper = self.build_mapper(run.cfg, is_train=False)
        model.eval()

        def found_in(record: CocoRecord) -> Detections:
            sample = run.set_aside.unless_broken(record.file_name, lambda: mapper(record, None))
            output = {} if sample is None else model([sample])[0]
            return to_detections(output, run.class_names)

        return [found_in(record) for record in records]

    def build_predictor(self, model: nn.Module, cfg: CfgNode) -> Predictor:
        """Returns what finds boxes in pixels; see `Engine.build_predictor`."""
        mapper = self.build_mapper(cfg, is_train=False)

        @torch.no_grad()
        def predict(images: Sequence[Pixels]) -> list[Detections]:
            outputs = model([mapper.sample_of_pixels(pixels) for pixels in images])
            return [to_detections(output, ()) for output in outputs]

        return predict


def join_run() -> None:
    """Joins Detectron2 to the processes and to the log of the run."""
    if world_size() > 1 and comm._LOCAL_PROCESS_GROUP is None:
        comm.create_local_process_group(local_world_size())
    # It tells the augmentations anew for each evaluation.
    logging.getLogger("detectron2.data.dataset_mapper").setLevel(logging.WARNING)
    for name in ("detectron2", "fvcore"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = list(logging.getLogger(ROOT).handlers)
