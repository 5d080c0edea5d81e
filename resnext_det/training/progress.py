"""How far a run is: the bar on a terminal, and the line in the log. Engine-neutral."""

import logging
from collections.abc import Mapping
from datetime import timedelta

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from resnext_det.training.log import ROOT

logger = logging.getLogger(__name__)


class ProgressBar:
    """A bar on a terminal; meanwhile the lines of the log go to log.txt alone.

    Args:
        console: the terminal.
        start: first iteration of this start of the run.
        max_iter: iterations in all.
    """

    def __init__(self, console: Console, start: int, max_iter: int) -> None:
        self._progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}  eta"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("training", total=max_iter, completed=start, more="")
        self._terminals: list[logging.Handler] = []

    def start(self) -> None:
        """Shows the bar."""
        handlers = logging.getLogger(ROOT).handlers
        self._terminals = [h for h in handlers if not isinstance(h, logging.FileHandler)]
        for handler in self._terminals:
            handler.addFilter(_is_no_progress)
        self._progress.start()

    def stop(self) -> None:
        """Leaves the bar as it is."""
        self._progress.stop()
        for handler in self._terminals:
            handler.removeFilter(_is_no_progress)

    def advance(self, done: int, loss: float, lr: float, epoch: float | None) -> None:
        """Moves the bar to `done` iterations."""
        shown = "" if epoch is None else f"epoch {epoch:.2f}  "
        more = f"{shown}loss {loss:.4g}  lr {lr:.3g}"
        self._progress.update(self._task, completed=done, more=more)

    def skip_to(self, done: int) -> None:
        """Moves the bar to `done` iterations, of which the last has nothing to show."""
        self._progress.update(self._task, completed=done)


def log_line(iteration: int, max_iter: int, scalars: Mapping[str, float]) -> None:
    """Logs one line on the iterations that a line of metrics.json stands for.

    Args:
        iteration: the last finished one, counted from 0.
        max_iter: iterations in all.
        scalars: eta_seconds, lr, losses; epoch, time and data_time where they are known.
    """
    done = iteration + 1
    parts = [f"eta: {timedelta(seconds=int(scalars['eta_seconds']))}", f"iter: {done}/{max_iter}"]
    if "epoch" in scalars:
        epoch = scalars["epoch"]
        parts.append(f"epoch: {epoch:.2f}/{epoch * max_iter / done:.2f}")
    parts += [f"{name}: {value:.4g}" for name, value in scalars.items() if "loss" in name]
    parts += [f"{n}: {scalars[n]:.4f}" for n in ("time", "data_time") if n in scalars]
    parts.append(f"lr: {scalars['lr']:.5g}")
    if torch.cuda.is_available():
        parts.append(f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M")  # Detectron2's
    logger.info("  ".join(parts))


def _is_no_progress(record: logging.LogRecord) -> bool:
    return record.name != __name__
