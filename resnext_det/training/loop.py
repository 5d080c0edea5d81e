"""The training loop that classification and the portable detector share. Engine-neutral."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed
from resnext_det.training.checkpoint import FINAL, Checkpointer, checkpoint_name
from resnext_det.training.distributed import mean_over_processes, rank
from resnext_det.training.optimizer import GradientClipper
from resnext_det.training.schedule import LRSchedule
from resnext_det.training.writers import RunWriter

Losses = Callable[[nn.Module, Any], Mapping[str, Tensor]]
Hook = Callable[[int], None]


class Stateful(Protocol):
    """Something whose state goes into a checkpoint and comes back from it."""

    def state_dict(self) -> dict[str, Any]:
        """Returns tensors, numbers and strings."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Takes back what `state_dict` gave."""
        ...


class TrainLoop:
    """Trains a model from any iteration on, the same way however it got there.

    Args:
        model: on its device, wrapped for several processes by the caller.
        compute_losses: (model, batch) -> name -> 0-d loss; their sum is minimised.
        optimizer: its groups carry `initial_lr`.
        schedule: learning rate of each iteration.
        max_iter: iterations in all.
        seed: the run's seed; torch is seeded from (seed, iteration, rank) each iteration.
        clip_gradients: called between the backward pass and the update.
        mixed_precision: float16 autocast with a gradient scaler; needs a GPU.
        stateful: what else a checkpoint keeps, by entry.
        writer: where scalars go; only the main process has one.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        compute_losses: Losses,
        optimizer: torch.optim.Optimizer,
        schedule: LRSchedule,
        max_iter: int,
        seed: int,
        clip_gradients: GradientClipper | None = None,
        mixed_precision: bool = False,
        stateful: Mapping[str, Stateful] | None = None,
        writer: RunWriter | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self._compute_losses = compute_losses
        self._schedule = schedule
        self._max_iter = max_iter
        self._seed = seed
        self._clip_gradients = clip_gradients
        self._mixed_precision = mixed_precision
        self._scaler = torch.amp.GradScaler("cuda", enabled=mixed_precision)
        self._stateful = stateful or {}
        self._writer = writer

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint needs beside the weights and the iteration."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "grad_scaler": self._scaler.state_dict(),
            "seed": self._seed,
            **{name: part.state_dict() for name, part in self._stateful.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any], source: object = "checkpoint") -> None:
        """Takes back what `state_dict` gave; other entries of the checkpoint are left alone.

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
        if self._mixed_precision and state["grad_scaler"]:
            self._scaler.load_state_dict(state["grad_scaler"])
        for name, part in self._stateful.items():
            if name in state:
                part.load_state_dict(state[name])

    def run(self, batches: Iterator[Any], start: int = 0, hooks: Sequence[Hook] = ()) -> None:
        """Does the iterations `start` … `max_iter` - 1, calling each hook after each.

        Args:
            batches: yields the batch of `start` first.
            start: first iteration to do, counted from 0.
            hooks: called with the iteration that has just ended.

        Raises:
            FloatingPointError: a loss, or what the model predicts on the way to it, is not
                finite; the weights are those before it.
        """
        self.model.train()
        iteration = start
        try:
            for iteration in range(start, self._max_iter):
                began = time.perf_counter()
                batch = next(batches)
                data_time = time.perf_counter() - began
                # After the batch: a loader's first one draws from torch's generator.
                torch.manual_seed(derive_seed(self._seed, iteration, rank()))
                self._schedule.apply(self.optimizer, iteration)
                losses = self._backward(iteration, batch)
                values = self._checked(iteration, losses)
                self._update()
                times = {"time": time.perf_counter() - began, "data_time": data_time}
                self._record(iteration, {**values, **times})
                for hook in hooks:
                    hook(iteration)
        except KeyboardInterrupt:
            logging.getLogger(__name__).warning(
                "Interrupted at iteration %d; --resume continues from the last checkpoint",
                iteration,
            )
            raise

    def _backward(self, iteration: int, batch: Any) -> Mapping[str, Tensor]:
        with torch.autocast("cuda", enabled=self._mixed_precision):
            try:
                losses = self._compute_losses(self.model, batch)
            except FloatingPointError as error:  # the model knows neither iteration nor lr
                message = f"iteration {iteration}: {error}; {self._mend(iteration)}"
                raise FloatingPointError(message) from error
            total = sum(losses.values(), start=torch.zeros((), device=_device_of(losses)))
        self.optimizer.zero_grad()
        self._scaler.scale(total).backward()
        return losses

    def _checked(self, iteration: int, losses: Mapping[str, Tensor]) -> dict[str, float]:
        # Averaged first: a process whose own losses are finite must stop with the others.
        values = mean_over_processes(losses)
        bad = [name for name, value in values.items() if not _is_finite(value)]
        if bad:
            raise FloatingPointError(
                f"iteration {iteration}: {', '.join(bad)} not finite, of {values}; "
                f"{self._mend(iteration)}"
            )
        return values if "total_loss" in values else {"total_loss": sum(values.values()), **values}

    def _mend(self, iteration: int) -> str:
        lr = self._schedule.lr_at(iteration)
        return f"lower SOLVER.BASE_LR (now {lr:.4g} here) or clip gradients"

    def _update(self) -> None:
        if self._clip_gradients:
            self._scaler.unscale_(self.optimizer)
            self._clip_gradients()
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def _record(self, iteration: int, values: Mapping[str, float]) -> None:
        if self._writer:
            self._writer.record(iteration, {"lr": self._schedule.lr_at(iteration), **values})


def checkpoint_hook(
    checkpointer: Checkpointer, loop: TrainLoop, *, period: int, max_iter: int
) -> Hook:
    """Returns a hook that saves every `period` iterations, and model_final after the last."""

    def save(name: str, iteration: int) -> None:
        checkpointer.save(
            name, model=loop.model, iteration=iteration, training_state=loop.state_dict()
        )

    def hook(iteration: int) -> None:
        if period > 0 and (iteration + 1) % period == 0:
            save(checkpoint_name(iteration), iteration)
        if iteration + 1 == max_iter:
            save(FINAL, iteration)

    return hook


def evaluation_hook(
    evaluate: Callable[[], Mapping[str, float | None]],
    loop: TrainLoop,
    writer: RunWriter | None,
    *,
    period: int,
    max_iter: int,
) -> Hook:
    """Returns a hook that evaluates every `period` iterations, but not after the last.

    The caller evaluates after training, as Detectron2's trainer does.

    Args:
        evaluate: evaluates the model in all processes; metrics count in the main one.
        loop: its model goes back to training mode afterwards.
        writer: where the metrics go; None outside the main process.
        period: TEST.EVAL_PERIOD; 0 never.
        max_iter: SOLVER.MAX_ITER.
    """

    def hook(iteration: int) -> None:
        if period <= 0 or (iteration + 1) % period or iteration + 1 == max_iter:
            return
        metrics = evaluate()
        loop.model.train()
        if writer:
            writer.record_evaluation(iteration, metrics)

    return hook


def _device_of(losses: Mapping[str, Tensor]) -> torch.device:
    return next(iter(losses.values())).device


def _is_finite(value: float) -> bool:
    return value - value == 0.0
