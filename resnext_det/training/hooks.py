"""What happens between iterations: checkpoints and evaluations. Engine-neutral."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from resnext_det.training.best import BestMetric
from resnext_det.training.checkpoint import Checkpointer, checkpoint_name
from resnext_det.training.checkpoint_file import is_whole
from resnext_det.training.distributed import is_main, share_buffers
from resnext_det.training.keeping import KeptCheckpoints
from resnext_det.training.loop import TrainLoop
from resnext_det.training.newest import FINAL, holds_run
from resnext_det.training.parts import Hook
from resnext_det.training.preemption import current
from resnext_det.training.writers import Pictures, RunWriter

_KEPT = "periodic_checkpoints"
logger = logging.getLogger(__name__)


class CheckpointHook:
    """Saves every `period` iterations, and model_final at the end.

    Args:
        checkpointer: writes the files.
        loop: what is saved.
        period: SOLVER.CHECKPOINT_PERIOD; 0 never.
        keep: SOLVER.KEEP_CHECKPOINTS, how many of the newest stay; 0 all.
    """

    def __init__(
        self, checkpointer: Checkpointer, loop: TrainLoop, *, period: int, keep: int = 0
    ) -> None:
        self._checkpointer = checkpointer
        self._loop = loop
        self._period = period
        self._kept = KeptCheckpoints(checkpointer.output_dir, keep)
        self._has_trained = False
        self._saved = -1
        loop.keep(_KEPT, self._kept)
        loop.save_now = self._save_now
        loop.has_checkpoint = lambda: holds_run(checkpointer.output_dir)

    def before_training(self) -> None:
        """Deletes what the run that is continued was killed before it deleted."""
        self._kept.settle()

    def after_iteration(self, iteration: int) -> None:
        """Saves where it is time to, and deletes what is older."""
        self._has_trained = True
        if self._is_due(iteration):
            self._save(checkpoint_name(iteration), iteration)

    def after_training(self, iteration: int) -> None:
        """Saves model_final, unless this start of the run began with it and did nothing."""
        latest = self._checkpointer.latest()
        if self._has_trained or latest is None or latest.stem != FINAL:
            self._save(FINAL, iteration)

    def _save_now(self, iteration: int, together: bool) -> Path | None:
        """Saves where the run is told to stop, unless that has just been done."""
        if self._saved != iteration:
            name, passing = checkpoint_name(iteration), not self._is_due(iteration)
            self._save(name, iteration, passing=passing, together=together)
        return self._checkpointer.latest()

    def _is_due(self, iteration: int) -> bool:
        return self._period > 0 and (iteration + 1) % self._period == 0

    def _save(
        self, name: str, iteration: int, *, passing: bool = False, together: bool = True
    ) -> None:
        self._loop.guard.check_weights(iteration)
        self._kept.will_write(name, passing=passing)
        path = self._checkpointer.save(
            name,
            model=self._loop.model_to_use,
            training_model=self._loop.model,
            iteration=iteration,
            training_state={**self._loop.state_dict(), _KEPT: self._kept.state_dict()},
            together=together,
        )
        self._saved = iteration
        if self._kept.are_due and is_main() and not is_whole(path):
            logger.warning("%s does not read back as written: older checkpoints stay", path)
        else:
            self._kept.prune()


class EvaluationHook:
    """Evaluates every `period` iterations and at the end, and keeps the best model.

    Put it before the `CheckpointHook`: a checkpoint then knows of an evaluation at its own
    iteration, and the final evaluation comes when model_final is safe on disk.

    Args:
        measure: evaluates a model in all processes; the metrics count in the main one.
        loop: what is trained; its model goes back to training mode afterwards.
        checkpointer: writes model_best.
        writer: where the metrics go; None outside the main process.
        period: TEST.EVAL_PERIOD; 0 at the end only.
        best: follows TEST.BEST_METRIC.
        draw: makes pictures of a model's predictions, in the main process alone.
    """

    def __init__(
        self,
        measure: Callable[[nn.Module], Mapping[str, float | None]],
        loop: TrainLoop,
        checkpointer: Checkpointer,
        writer: RunWriter | None,
        *,
        period: int,
        best: BestMetric | None = None,
        draw: Callable[[nn.Module], Pictures] | None = None,
    ) -> None:
        self._draw = draw
        self._measure = measure
        self._loop = loop
        self._checkpointer = checkpointer
        self._writer = writer
        self._period = period
        self._best = best
        self._evaluated = -1
        self._put_off = -1
        loop.keep("evaluation", self)
        if best:
            loop.keep("best", best)

    def state_dict(self) -> dict[str, Any]:
        """Returns the iteration whose evaluation was due and has not been made; -1 for none."""
        last = self._loop.last_iteration
        is_due = self._is_due(last) and self._evaluated != last
        return {"put_off": last if is_due else -1}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self._put_off = state["put_off"]

    def before_training(self) -> None:
        """Makes the evaluation that a run put off when it was told to stop.

        Ends a run that had waited long enough for a better metric when it was saved.
        """
        if self._put_off >= 0 and self._put_off == self._loop.last_iteration:
            self._evaluate(self._put_off)
        self._stop_if_spent()

    def after_iteration(self, iteration: int) -> None:
        """Evaluates where it is time to."""
        if self._is_due(iteration):
            self._evaluate(iteration)
        if self._period > 0 and (iteration + 1) % self._period == 0:
            self._stop_if_spent()

    def after_training(self, iteration: int) -> None:
        """Evaluates the final model, unless that has just been done."""
        if self._evaluated != iteration:
            self._evaluate(iteration)

    def outcome(self) -> dict[str, Any]:
        """Returns what result.json says of the best evaluation and of the end of the run."""
        if self._best is None:
            return {}
        stopped = self._loop.last_iteration if self._best.is_spent else None
        return {"best": self._best.summary(), "stopped_at": stopped}

    def _is_due(self, iteration: int) -> bool:
        """After the last iteration none is: see `after_training`."""
        done = iteration + 1
        return self._period > 0 and 0 < done < self._loop.max_iter and done % self._period == 0

    def _evaluate(self, iteration: int) -> None:
        share_buffers(self._loop.model_to_use)
        self._loop.freeze_state()
        with current().leaving():
            metrics = self._measure(self._loop.model_to_use)
        self._loop.release_state()
        self._evaluated = iteration
        if self._writer and metrics:
            self._writer.record_evaluation(iteration, metrics)
        if self._writer and self._draw:
            self._writer.record_pictures(iteration, self._draw(self._loop.model_to_use))
        self._loop.model.train()
        if self._best and self._best.update(metrics, iteration):
            self._checkpointer.save_best(self._loop.model_to_use, iteration, self._best.summary())

    def _stop_if_spent(self) -> None:
        if self._best and self._best.is_spent:
            self._loop.stop()
            if is_main():
                logger.info("%s: TEST.PATIENCE ends the run", self._best)


def run_outcome(loop: TrainLoop, hooks: Sequence[Hook]) -> dict[str, Any]:
    """Returns what result.json says of how a run ended.

    Returns:
        `iteration`, the last finished one; `non_finite`, the updates that were skipped; with
        TEST.BEST_METRIC also `best` (metric, value and
        iteration) and `stopped_at` (the iteration that TEST.PATIENCE ended the run after, or None).
    """
    outcome: dict[str, Any] = {
        "iteration": loop.last_iteration,
        "non_finite": loop.guard.summary(),
    }
    for hook in hooks:
        if isinstance(hook, EvaluationHook):
            outcome |= hook.outcome()
    return outcome
