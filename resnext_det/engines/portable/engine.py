"""The engine contract on torchvision's parts and this project's training loop. Portable."""

from collections.abc import Iterator, Mapping

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.config import check_honoured, dump_config
from resnext_det.data.loaders import build_detection_train_loader
from resnext_det.engines.base import DetectionRun, Metrics
from resnext_det.engines.portable.evaluation import evaluate_model
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import check_values, detector_from_config
from resnext_det.engines.portable.honoured import HONOURED
from resnext_det.seeding import derive_seed
from resnext_det.structures import DetectionSample
from resnext_det.training.checkpoint import Checkpointer, restore_model
from resnext_det.training.device import resolve_device
from resnext_det.training.distributed import rank, world_size
from resnext_det.training.from_config import build_hooks, build_loop, build_writer
from resnext_det.training.run_directory import RunStart
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
            restore_model(model, start.state, start.checkpoint)
        elif run.weights is not None:
            load_weights(model, run.weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE)
        model.to(device)
        with build_writer(cfg, start.start_iteration) as writer:
            loop = build_loop(cfg, model, device, _losses, writer)
            if start.checkpoint is not None:
                loop.load_state_dict(start.state, start.checkpoint)
            hooks = build_hooks(
                cfg, loop, _checkpointer(run), lambda: _flatten(evaluate_model(model, run)), writer
            )
            loop.run(_batches(run, start), start.start_iteration, hooks)
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


def _losses(model: nn.Module, samples: list[DetectionSample]) -> dict[str, Tensor]:
    return model(samples)


def _batches(run: DetectionRun, start: RunStart) -> Iterator[list[DetectionSample]]:
    assert run.train is not None
    return iter(
        build_detection_train_loader(
            run.cfg,
            run.train,
            start_iteration=start.start_iteration,
            rank=rank(),
            world_size=world_size(),
        )
    )


def _checkpointer(run: DetectionRun) -> Checkpointer:
    return Checkpointer(
        run.cfg.OUTPUT_DIR,
        config=dump_config(run.cfg),
        class_names=run.class_names,
        extra={"engine": PortableEngine.name},
    )


def _flatten(results: Mapping[str, Metrics]) -> dict[str, float | None]:
    """Names metrics as Detectron2's metrics.json does: bbox/AP, or NAME/bbox/AP for several."""
    return {
        (f"bbox/{metric}" if len(results) == 1 else f"{name}/bbox/{metric}"): value
        for name, metrics in results.items()
        for metric, value in metrics.items()
    }
