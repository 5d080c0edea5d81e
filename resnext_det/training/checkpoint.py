"""The checkpoints of a run: saved, named and put back into its model. Engine-neutral."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from resnext_det.errors import UserError
from resnext_det.training.checkpoint_file import load_checkpoint, write_checkpoint
from resnext_det.training.distributed import barrier, is_main, unwrap_model
from resnext_det.training.newest import BEST, LAST, latest_checkpoint
from resnext_det.whole_files import write_text_safe

__all__ = ["Checkpointer", "checkpoint_name", "load_checkpoint", "restore_model"]


class Checkpointer:
    """Saves and finds the checkpoints of one run, under Detectron2's names.

    Args:
        output_dir: folder of the run, cfg.OUTPUT_DIR.
        config: the run's configuration as YAML text, kept in every file.
        class_names: the classes in the order of the head, kept in every file.
        extra: more entries for every file (tensors, numbers, strings, lists, dicts).
    """

    def __init__(
        self,
        output_dir: str | Path,
        *,
        config: str = "",
        class_names: Sequence[str] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self._common = {"config": config, "class_names": list(class_names), **(extra or {})}

    def save(
        self,
        name: str,
        *,
        model: nn.Module,
        iteration: int,
        training_state: Mapping[str, Any] | None = None,
        training_model: nn.Module | None = None,
        together: bool = True,
    ) -> Path:
        """Writes `name`.pth and then points `last_checkpoint` at it; the main process only.

        Args:
            name: `model_0004999` after iteration 4999, or `model_final`.
            model: the weights to use; a DistributedDataParallel wrapper is taken off.
            iteration: the last finished iteration, counted from 0.
            training_state: what the loop needs to go on, entry by entry (optimizer, …).
            training_model: the weights to train on from, where they are others.
            together: every process calls it, and waits until the file is there.
        """
        path = self.output_dir / f"{name}.pth"
        if is_main():
            content = {"model": unwrap_model(model).state_dict(), "iteration": iteration}
            trained = None if training_model is None else unwrap_model(training_model)
            if trained is not None and trained is not unwrap_model(model):
                content["training_model"] = trained.state_dict()
            write_checkpoint(path, {**content, **(training_state or {}), **self._common})
            write_text_safe(self.output_dir / LAST, path.name)
            logging.getLogger(__name__).info("Saved checkpoint %s", path)
        if together:
            barrier()
        return path

    def save_best(self, model: nn.Module, iteration: int, best: Mapping[str, Any]) -> None:
        """Writes model_best.pth, which no run is resumed from; the main process only.

        Args:
            model: the weights that were evaluated.
            iteration: the last finished iteration, counted from 0.
            best: metric, value and iteration of the evaluation.
        """
        path = self.output_dir / f"{BEST}.pth"
        if is_main():
            content = {"model": unwrap_model(model).state_dict(), "iteration": iteration}
            write_checkpoint(path, {**content, "best": dict(best), **self._common})
            shown = f"{best['metric']} {best['value']:.6g}"
            logging.getLogger(__name__).info("Saved the best so far, %s: %s", shown, path)
        barrier()

    def latest(self) -> Path | None:
        """Returns the newest checkpoint, see `latest_checkpoint`."""
        return latest_checkpoint(self.output_dir)


def checkpoint_name(iteration: int) -> str:
    """Returns Detectron2's name for the state after `iteration`: model_0004999."""
    return f"model_{iteration:07d}"


def restore_model(model: nn.Module, state: Mapping[str, Any], source: object) -> None:
    """Puts a checkpoint's weights back into the model of the same run, all of them.

    Raises:
        UserError: they are not this model's.
    """
    try:
        model.load_state_dict(state.get("training_model", state["model"]))
    except (KeyError, RuntimeError) as error:
        raise UserError(
            f"{source}: does not fit the model that the config describes "
            f"({' '.join(str(error).split())[:160]}); --resume needs the config the run began with"
        ) from error
