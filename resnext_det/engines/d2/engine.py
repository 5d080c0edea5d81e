"""The engine contract on Detectron2's models, trainer and evaluator. Detectron2."""

import logging
from collections.abc import Mapping

import torch
from detectron2.config import CfgNode as Detectron2CfgNode
from detectron2.utils import comm
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.engines import d2  # noqa: F401  registers the backbones
from resnext_det.engines.base import DetectionRun, Metrics
from resnext_det.engines.d2.config import to_detectron2_config
from resnext_det.engines.d2.evaluation import evaluate_model
from resnext_det.engines.d2.honoured import check_honoured_by_trainer
from resnext_det.engines.d2.trainer import ResNeXtTrainer, build_checked_model
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed
from resnext_det.training.device import resolve_device
from resnext_det.training.distributed import world_size
from resnext_det.training.log import ROOT
from resnext_det.training.run_directory import RunStart
from resnext_det.weights.load import load_weights, require_head


class D2Engine:
    """Detectron2's box detectors; see `resnext_det.engines.base.Engine`."""

    name = "d2"

    def check_config(self, cfg: CfgNode) -> None:
        """Refuses what is more than boxes; Detectron2 honours the rest of its own tree."""
        check_honoured_by_trainer(cfg)

    def build_model(self, cfg: CfgNode) -> nn.Module:
        """Builds Detectron2's own model, on `MODEL.DEVICE`.

        Raises:
            UserError: a name in the config that Detectron2 has no part for.
        """
        return build_checked_model(_prepare(cfg))

    def train(self, run: DetectionRun, start: RunStart) -> Mapping[str, Metrics]:
        """Trains with a subclass of DefaultTrainer; see `Engine.train`."""
        cfg = _prepare(run.cfg)
        _share_logs()
        torch.manual_seed(derive_seed(run.cfg.SEED))
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
        trainer = ResNeXtTrainer(cfg, run, start)
        if start.checkpoint is not None:
            trainer.checkpointer.load(str(start.checkpoint))
        elif run.weights is not None:
            load_weights(
                trainer.checkpointer.model, run.weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE
            )
        if start.start_iteration < trainer.max_iter:
            trainer.train()
            return trainer.last_results
        # Detectron2 sets the attribute from outside its class.
        return evaluate_model(cfg, trainer.model, run)  # pyright: ignore[reportAttributeAccessIssue]

    def evaluate(self, run: DetectionRun) -> Mapping[str, Metrics]:
        """Evaluates with COCOEvaluator; see `Engine.evaluate`."""
        cfg = _prepare(run.cfg)
        _share_logs()
        model = build_checked_model(cfg)
        assert run.weights is not None
        require_head(load_weights(model, run.weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE))
        return evaluate_model(cfg, model, run)


def _prepare(cfg: CfgNode) -> Detectron2CfgNode:
    """Returns Detectron2's config on the device there is, and joins its process groups."""
    converted = to_detectron2_config(cfg)
    converted.defrost()
    converted.MODEL.DEVICE = str(resolve_device(cfg))
    converted.freeze()
    if world_size() > 1 and comm._LOCAL_PROCESS_GROUP is None:
        per_machine = torch.cuda.device_count() or world_size()
        comm.create_local_process_group(per_machine)
    return converted


def _share_logs() -> None:
    """Sends Detectron2's log lines where ours go: the terminal and log.txt."""
    for name in ("detectron2", "fvcore"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = list(logging.getLogger(ROOT).handlers)
    logging.getLogger("detectron2.engine.train_loop").addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    """Leaves out Detectron2's traceback of an error that the command prints in one line."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, UserError | FloatingPointError)
