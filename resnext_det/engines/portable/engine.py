"""The engine contract on torchvision's parts and this project's training loop. Portable."""

import contextlib
from collections.abc import Mapping

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.config import check_honoured, dump_config
from resnext_det.data.loaders import build_detection_train_loader
from resnext_det.engines.base import DetectionRun, Metrics
from resnext_det.engines.portable.evaluation import evaluate_model
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import check_values, detector_from_config
from resnext_det.engines.portable.honoured import HONOURED
from resnext_det.seeding import derive_seed
from resnext_det.training.checkpoint import Checkpointer
from resnext_det.training.device import mixed_precision, resolve_device
from resnext_det.training.distributed import is_main, rank, world_size, wrap_model
from resnext_det.training.loop import TrainLoop, checkpoint_hook, evaluation_hook
from resnext_det.training.optimizer import build_gradient_clipper, build_optimizer
from resnext_det.training.run_directory import RunStart
from resnext_det.training.schedule import build_lr_schedule
from resnext_det.training.writers import RunWriter
from resnext_det.weights.load import load_weights, require_head


class PortableEngine:
    """Faster R-CNN with FPN without Detectron2; see `resnext_det.engines.base.Engine`."""

    name = "portable"

    def check_config(self, cfg: CfgNode) -> None:
        """Refuses every key, and every value, that only Detectron2 knows."""
        check_honoured(cfg, HONOURED, self.name)
        check_values(cfg)

    def build_model(self, cfg: CfgNode) -> FasterRCNN:
        """Builds the detector on the CPU."""
        return detector_from_config(cfg)

    def train(self, run: DetectionRun, start: RunStart) -> Mapping[str, Metrics]:
        """Trains in this project's loop; see `Engine.train`."""
        cfg = run.cfg
        device = resolve_device(cfg)
        torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
        torch.manual_seed(derive_seed(cfg.SEED))
        model = self.build_model(cfg)
        if start.checkpoint is not None:
            model.load_state_dict(start.state["model"])
        elif run.weights is not None:
            load_weights(model, run.weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE)
        model.to(device)
        with _writer(cfg, start) as writer:
            loop = _build_loop(cfg, wrap_model(model, device), device, writer)
            if start.checkpoint is not None:
                loop.load_state_dict(start.state)
            _run_loop(loop, model, run, start, writer)
            results = evaluate_model(model, run)
            if writer is not None and results:
                writer.record_evaluation(cfg.SOLVER.MAX_ITER - 1, _flatten(results))
        return results

    def evaluate(self, run: DetectionRun) -> Mapping[str, Metrics]:
        """Evaluates `run.weights`; see `Engine.evaluate`."""
        assert run.weights is not None
        model = self.build_model(run.cfg)
        require_head(load_weights(model, run.weights, min_share=run.cfg.MODEL.WEIGHTS_MIN_SHARE))
        return evaluate_model(model.to(resolve_device(run.cfg)), run)


def _writer(cfg: CfgNode, start: RunStart) -> contextlib.AbstractContextManager[RunWriter | None]:
    if not is_main():
        return contextlib.nullcontext()
    return RunWriter(cfg.OUTPUT_DIR, start.start_iteration, cfg.SOLVER.MAX_ITER)


def _build_loop(
    cfg: CfgNode, model: nn.Module, device: torch.device, writer: RunWriter | None
) -> TrainLoop:
    return TrainLoop(
        model=model,
        compute_losses=lambda detector, samples: detector(samples),
        optimizer=build_optimizer(cfg, model),
        schedule=build_lr_schedule(cfg),
        max_iter=cfg.SOLVER.MAX_ITER,
        seed=cfg.SEED,
        clip_gradients=build_gradient_clipper(cfg, model),
        mixed_precision=mixed_precision(cfg, device),
        writer=writer,
    )


def _run_loop(
    loop: TrainLoop,
    model: FasterRCNN,
    run: DetectionRun,
    start: RunStart,
    writer: RunWriter | None,
) -> None:
    cfg, max_iter = run.cfg, run.cfg.SOLVER.MAX_ITER
    assert run.train is not None
    batches = build_detection_train_loader(
        cfg,
        run.train,
        start_iteration=start.start_iteration,
        rank=rank(),
        world_size=world_size(),
    )
    checkpointer = Checkpointer(
        cfg.OUTPUT_DIR,
        config=dump_config(cfg),
        class_names=run.class_names,
        extra={"engine": PortableEngine.name},
    )
    hooks = [
        checkpoint_hook(checkpointer, loop, period=cfg.SOLVER.CHECKPOINT_PERIOD, max_iter=max_iter),
        evaluation_hook(
            lambda: _flatten(evaluate_model(model, run)),
            loop,
            writer,
            period=cfg.TEST.EVAL_PERIOD,
            max_iter=max_iter,
        ),
    ]
    loop.run(iter(batches), start.start_iteration, hooks)


def _flatten(results: Mapping[str, Metrics]) -> dict[str, float | None]:
    """Names metrics as Detectron2's metrics.json does: bbox/AP, or NAME/bbox/AP for several."""
    return {
        (f"bbox/{metric}" if len(results) == 1 else f"{name}/bbox/{metric}"): value
        for name, metrics in results.items()
        for metric, value in metrics.items()
    }
