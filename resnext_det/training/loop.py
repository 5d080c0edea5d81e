"""The training loop that every task and engine shares. Engine-neutral."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resnext_det.errors import SaidInterruptError, UserError
from resnext_det.seeding import derive_seed
from resnext_det.training.averaging import AveragedWeights
from resnext_det.training.distributed import is_main, rank, unwrap_model, world_size
from resnext_det.training.non_finite.guard import NonFiniteGuard
from resnext_det.training.non_finite.step import take_step
from resnext_det.training.optimizer import GradientClipper
from resnext_det.training.parts import Hook, Shared, Stateful
from resnext_det.training.passes import Losses, Passes
from resnext_det.training.preemption import Preempted, current
from resnext_det.training.schedule import LRSchedule
from resnext_det.training.writers import RunWriter

__all__ = ["Hook", "Losses", "SaveNow", "Stateful", "TrainLoop"]

SaveNow = Callable[[int, bool], Path | None]
"""(last finished iteration, whether every process calls it) -> the checkpoint of it."""


class TrainLoop:
    """Trains a model from any iteration on, the same way however it got there.

    Args:
        model: on its device, wrapped for several processes by the caller.
        passes: make the gradients of an update.
        optimizer: its groups carry `initial_lr`.
        schedule: learning rate of each iteration.
        max_iter: iterations in all.
        seed: the run's seed; torch is seeded from (seed, iteration, rank) each iteration.
        clip_gradients: called between the backward pass and the update.
        averaged: takes in the weights after each update.
        stateful: what else a checkpoint keeps, by entry.
        shared: what the processes tell each other after an iteration in which one found out more.
        writer: where scalars go; only the main process has one.
        guard: decides on updates that are not finite; without one they end the run.

    Attributes:
        last_iteration: the last finished one, counted from 0; -1 before the first.
        first_iteration: of this start of the run.
        save_now: saves a run that is told to stop; the checkpoint hook sets it.
        has_checkpoint: whether there is a file to go on from; the checkpoint hook sets it, too.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        passes: Passes,
        optimizer: torch.optim.Optimizer,
        schedule: LRSchedule,
        max_iter: int,
        seed: int,
        clip_gradients: GradientClipper | None = None,
        averaged: AveragedWeights | None = None,
        stateful: Mapping[str, Stateful] | None = None,
        shared: Sequence[Shared] = (),
        writer: RunWriter | None = None,
        guard: NonFiniteGuard | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.last_iteration = -1
        self.first_iteration = 0
        self.save_now: SaveNow | None = None
        self.has_checkpoint: Callable[[], bool] = lambda: False
        self._passes = passes
        self._schedule = schedule
        self.max_iter = max_iter
        self._seed = seed
        self._clip_gradients = clip_gradients
        self._averaged = averaged
        self.guard = guard or NonFiniteGuard(unwrap_model(model), optimizer, passes.scaler)
        self._stateful = {**(stateful or {}), "non_finite": self.guard}
        self._shared = shared
        self._writer = writer
        self._loaded: Mapping[str, Any] = {}
        self._frozen: dict[str, Any] | None = None
        self._stopped = False

    @property
    def model_to_use(self) -> nn.Module:
        """The model to evaluate and to export: the averaged one where there is one."""
        return self._averaged.model if self._averaged else unwrap_model(self.model)

    def keep(self, name: str, part: Stateful) -> None:
        """Keeps a part's state in the checkpoints; a loaded one is given to it at once."""
        self._stateful[name] = part
        if name in self._loaded:
            part.load_state_dict(self._loaded[name])

    def stop(self) -> None:
        """Ends training after this iteration."""
        self._stopped = True

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint needs beside the weights and the iteration.

        Every process calls it at the same time, but after `freeze_state`.
        """
        if self._frozen is not None:
            return self._frozen
        return {
            "optimizer": self.optimizer.state_dict(),
            "grad_scaler": self._passes.scaler.state_dict(),
            "seed": self._seed,
            **({"ema": self._averaged.state_dict()} if self._averaged else {}),
            **{name: part.state_dict() for name, part in self._stateful.items()},
        }

    def freeze_state(self) -> None:
        """Keeps today's state for a checkpoint, whatever an evaluation adds, and until it ends."""
        self._frozen = self.state_dict()

    def release_state(self) -> None:
        """Ends what `freeze_state` began."""
        self._frozen = None

    def load_state_dict(self, state: Mapping[str, Any], source: object = "checkpoint") -> None:
        """Takes back what `state_dict` gave, out of a whole checkpoint.

        Raises:
            UserError: it is not of such a run: written by Detectron2's trainer, or by a
                run that trained other parameters.
        """
        if "optimizer" not in state:
            raise UserError(
                f"{source}: has no optimizer state (did Detectron2's own trainer write it?): start "
                "from it with MODEL.WEIGHTS"
            )
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise UserError(
                f"{source}: its optimizer trained other parameters ({error}); --resume needs the "
                "config the run began with"
            ) from error
        if self._passes.scaler.is_enabled() and state["grad_scaler"]:
            self._passes.scaler.load_state_dict(state["grad_scaler"])
        if self._averaged:
            self._averaged.load_state_dict(state)
        heavy = ("model", "training_model", "optimizer")
        self._loaded = {name: value for name, value in state.items() if name not in heavy}
        for name, part in self._stateful.items():
            if name in state:
                part.load_state_dict(state[name])

    def run(self, batches: Iterator[Any], start: int = 0, hooks: Sequence[Hook] = ()) -> None:
        """Does the iterations `start` … `max_iter` - 1, or until a hook calls `stop`.

        Args:
            batches: yields the batch of `start` first.
            start: first iteration to do, counted from 0.
            hooks: called in their order, and after training in the opposite order.

        Raises:
            FloatingPointError: a loss, what the model predicts on the way to it, or a gradient is
                not finite, and the guard does not skip the update; the weights are those before it.
            Preempted: the run was told to stop, and the last finished iteration is saved.
        """
        self.model.train()
        self.first_iteration, self.last_iteration = start, start - 1
        try:
            with current().finishing():
                self._run(batches, hooks)
            current().check()
        except Preempted:
            with current().finishing():
                self._save_and_leave()
            raise

    def _run(self, batches: Iterator[Any], hooks: Sequence[Hook]) -> None:
        for hook in hooks:
            hook.before_training()
        try:
            while not self._stopped and self.last_iteration + 1 < self.max_iter:
                self._iterate(self.last_iteration + 1, batches)
                self.last_iteration += 1
                self._leave_if_agreed()
                for hook in hooks:
                    hook.after_iteration(self.last_iteration)
        except KeyboardInterrupt:
            if is_main():
                logging.getLogger(__name__).warning(self._interrupted())
            raise SaidInterruptError from None
        if self._writer:
            self._writer.flush()
        self.guard.say_skipped(self.last_iteration + 1)
        for hook in reversed(hooks):
            hook.after_training(self.last_iteration)

    def _interrupted(self) -> str:
        """Says what an interrupt leaves."""
        done = _counted(self.last_iteration + 1)
        if self.has_checkpoint():
            return f"Interrupted after {done}; --resume continues from the last checkpoint"
        return (
            f"Interrupted, no checkpoint yet: the {done} are lost; give the same command again "
            "(--auto-resume fits both)"
        )

    def _leave_if_agreed(self) -> None:
        """Before the hooks: an evaluation that is due now can take long, and comes later."""
        told = current()
        told.agreed = told.agreed or (told.wanted and world_size() == 1)
        if told.agreed:
            told.leave()

    def _save_and_leave(self) -> None:
        """Saves and says so; where nothing was trained since the start, nothing has to be.

        Raises:
            Preempted: without a line where it has been said.
        """
        told = current()
        trained = self.last_iteration >= self.first_iteration
        if told.over or not trained or self.save_now is None or not (told.agreed or is_main()):
            return
        path = self.save_now(self.last_iteration, told.agreed)
        if is_main() and path is not None:
            logging.getLogger(__name__).warning(
                "Stopped by %s after %s, which %s holds: the same command with --resume goes on",
                told.signal,
                _counted(self.last_iteration + 1),
                path,
            )
        raise Preempted from None

    def _iterate(self, iteration: int, batches: Iterator[Any]) -> None:
        began = time.perf_counter()
        batch = next(batches)
        data_time = time.perf_counter() - began
        # After the batch: a loader's first one draws from torch's generator.
        torch.manual_seed(derive_seed(self._seed, iteration, rank()))
        self._schedule.apply(self.optimizer, iteration)
        self.optimizer.zero_grad()
        self.guard.remember()
        has_news = any(part.has_news for part in self._shared)
        step = take_step(
            self._passes,
            self.model,
            batch,
            self.guard.parameters,
            has_news=has_news,
            buffers=self.guard.buffers,
        )
        for part in self._shared if step.news else ():
            part.share()
        if not self.guard.allows(step, iteration, batch):
            if self._writer:
                self._writer.record_skipped(iteration)
            return
        self._update()
        if self._writer:
            rates = {"lr": self._schedule.lr_at(iteration)}
            times = {"time": time.perf_counter() - began, "data_time": data_time}
            self._writer.record(iteration, {**rates, **step.scalars(), **times})

    def _update(self) -> None:
        scaler = self._passes.scaler
        if self._clip_gradients:
            scaler.unscale_(self.optimizer)
            self._clip_gradients()
        scaler.step(self.optimizer)
        scaler.update()
        if self._averaged:
            self._averaged.update(unwrap_model(self.model))


def _counted(iterations: int) -> str:
    return f"{iterations} iteration{'' if iterations == 1 else 's'}"
