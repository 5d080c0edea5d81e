"""DefaultTrainer on this project's data order, seeds and checkpoints. Detectron2."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.modeling import build_model
from detectron2.utils import comm

from resnext_det.config import dump_config
from resnext_det.data.loaders import build_detection_train_loader
from resnext_det.engines.base import DetectionRun, Metrics
from resnext_det.engines.d2.evaluation import evaluate_model, without_missing
from resnext_det.engines.d2.loader import SeededMapper
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed
from resnext_det.training.checkpoint import LAST, write_safe, write_text_safe
from resnext_det.training.run_directory import RunStart


def build_checked_model(cfg: CfgNode) -> torch.nn.Module:
    """Builds Detectron2's model.

    Raises:
        UserError: a name that Detectron2 has no part for, or values that do not fit together.
    """
    try:
        return build_model(cfg)
    except UserError:
        raise
    except (KeyError, ValueError, AssertionError) as error:
        reason = " ".join(str(error.args[0] if error.args else type(error).__name__).split())
        raise UserError(f"Detectron2 cannot build this config: {reason}") from error


class RunCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, writing whole files that carry config and class names.

    Args:
        run: what the checkpoints describe.
        model: the detector.
        **checkpointables: other states to keep, as in Detectron2.
    """

    def __init__(self, run: DetectionRun, model: torch.nn.Module, **checkpointables: Any) -> None:
        super().__init__(model, run.cfg.OUTPUT_DIR, **checkpointables)
        self.carried = {
            "engine": "d2",
            "seed": run.cfg.SEED,
            "config": dump_config(run.cfg),
            "class_names": list(run.class_names),
        }

    def save(self, name: str, **kwargs: Any) -> None:
        """Writes `NAME.pth` in one move and notes it in `last_checkpoint`."""
        if not self.save_to_disk:
            return
        states = {key: part.state_dict() for key, part in self.checkpointables.items()}
        content = {"model": self.model.state_dict(), **states, **self.carried, **kwargs}
        write_safe(Path(self.save_dir) / f"{name}.pth", content)
        write_text_safe(Path(self.save_dir) / LAST, f"{name}.pth")


class ResNeXtTrainer(DefaultTrainer):
    """Detectron2's trainer; what it draws depends on the seed and the iteration alone.

    Args:
        cfg: Detectron2's config.
        run: data sets and starting weights.
        start: the iteration to begin at.
    """

    def __init__(self, cfg: CfgNode, run: DetectionRun, start: RunStart) -> None:
        self.detection_run = run
        self.first_iteration = start.start_iteration
        self.last_results: Mapping[str, Metrics] = {}
        super().__init__(cfg)
        self.start_iter = start.start_iteration

    @classmethod
    def build_model(cls, cfg: CfgNode) -> torch.nn.Module:
        """Returns Detectron2's model; see `build_checked_model`."""
        return build_checked_model(cfg)

    def build_hooks(self) -> list[Any]:
        """Returns Detectron2's hooks, with checkpoints written by `RunCheckpointer`."""
        self.checkpointer = RunCheckpointer(
            self.detection_run, self._trainer.model, trainer=weakref.proxy(self)
        )
        return super().build_hooks()

    def build_train_loader(self, cfg: CfgNode) -> Any:
        """Returns an iterator over lists of Detectron2 input dicts, one list an iteration."""
        assert self.detection_run.train is not None
        return build_detection_train_loader(
            self.detection_run.cfg,
            self.detection_run.train,
            mapper=SeededMapper(cfg, is_train=True),
            start_iteration=self.first_iteration,
            rank=comm.get_rank(),
            world_size=comm.get_world_size(),
        )

    def test(self, cfg: CfgNode, model: torch.nn.Module) -> dict[str, Any]:  # type: ignore[override]
        """Evaluates on every test set and keeps the full results in `last_results`."""
        self.last_results = evaluate_model(cfg, model, self.detection_run)
        return without_missing(self.last_results)

    def run_step(self) -> None:
        """Makes one step; anchors and regions are drawn from (seed, iteration, rank)."""
        _ = self._trainer._data_loader_iter  # made on first use, which draws a number
        torch.manual_seed(derive_seed(self.cfg.SEED, self.iter, comm.get_rank()))
        super().run_step()
