"""What a run tells while it trains: metrics.json, TensorBoard, progress. Engine-neutral."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from fvcore.common.history_buffer import HistoryBuffer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from resnext_det.training.result import finite_or_null

PERIOD = 20  # iterations between lines, and the window of the median, as in Detectron2
Note = Callable[[Mapping[str, float]], None]
_UNSMOOTHED = ("lr", "iteration", "eta_seconds")


class RunWriter:
    """Collects scalars every iteration and writes them every 20 and at the last.

    Losses and times are medians of the last 20 iterations. Create one in the main process,
    use it as a context manager.

    Args:
        output_dir: folder of the run.
        start: first iteration of this start of the run; lines of metrics.json from it
            on stem from work that was lost and is done again, and are removed.
        max_iter: SOLVER.MAX_ITER.
        console: where the bar is drawn; standard error when not given.
    """

    def __init__(
        self, output_dir: str | Path, start: int, max_iter: int, console: Console | None = None
    ) -> None:
        self._max_iter = max_iter
        self._history: dict[str, HistoryBuffer] = {}
        self._noted: dict[str, float] = {}
        self._metrics = _open_metrics(Path(output_dir) / "metrics.json", start)
        self._board = _open_tensorboard(output_dir, start)
        console = console or Console(stderr=True)
        self._bar = _ProgressBar(console, start, max_iter) if console.is_terminal else None

    def __enter__(self) -> "RunWriter":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()
        self._metrics.close()
        if self._board:
            self._board.close()

    def note(self, scalars: Mapping[str, float]) -> None:
        """Takes scalars beside the losses, which the next `record` adds to its own."""
        self._noted.update(scalars)

    def record(self, iteration: int, scalars: Mapping[str, float]) -> None:
        """Takes one iteration's scalars: lr, total_loss, each loss, time, data_time."""
        for name, value in {**self._noted, **scalars}.items():
            history = self._history.setdefault(name, HistoryBuffer(max_length=1000))
            history.update(value, iteration)
        self._noted.clear()
        if self._bar:
            self._bar.advance(iteration + 1, scalars)
        if (iteration + 1) % PERIOD == 0 or iteration + 1 == self._max_iter:
            self._write_window(iteration)

    def record_evaluation(self, iteration: int, metrics: Mapping[str, float | None]) -> None:
        """Writes an evaluation's metrics ("bbox/AP", "top1", …), null where there is none."""
        self._write_line(iteration, metrics)

    def _write_window(self, iteration: int) -> None:
        line = {
            name: history.latest() if name in _UNSMOOTHED else history.median(PERIOD)
            for name, history in self._history.items()
        }
        seconds = self._history["time"].median(1000) if "time" in self._history else 0.0
        line["eta_seconds"] = seconds * (self._max_iter - iteration - 1)
        self._write_line(iteration, line)
        if not self._bar:
            logging.getLogger(__name__).info("%s", _readable(iteration, line))

    def _write_line(self, iteration: int, scalars: Mapping[str, float | None]) -> None:
        line = finite_or_null({**scalars, "iteration": iteration})
        self._metrics.write(json.dumps(line, sort_keys=True) + "\n")
        self._metrics.flush()
        for name, value in scalars.items():
            if self._board and value is not None:
                self._board.add_scalar(name, value, iteration)


class _ProgressBar:
    def __init__(self, console: Console, start: int, max_iter: int) -> None:
        self._progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  lr {task.fields[lr]}  eta"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task(
            "training", total=max_iter, completed=start, loss="-", lr="-"
        )

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def advance(self, done: int, scalars: Mapping[str, float]) -> None:
        loss, lr = f"{scalars['total_loss']:.4g}", f"{scalars['lr']:.3g}"
        self._progress.update(self._task, completed=done, loss=loss, lr=lr)


def _open_metrics(path: Path, start: int) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [line for line in _lines(path) if _iteration_of(line) < start]
    path.write_text("".join(f"{line}\n" for line in kept))
    return path.open("a")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []


def _iteration_of(line: str) -> float:
    """Returns the line's iteration, infinite for a line that an interrupt cut short."""
    try:
        return json.loads(line)["iteration"]
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _open_tensorboard(output_dir: str | Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logging.getLogger(__name__).info("No TensorBoard events: pip install tensorboard")
        return None
    return SummaryWriter(str(output_dir), purge_step=start if start else None)


def _readable(iteration: int, line: Mapping[str, float]) -> str:
    losses = "  ".join(f"{name}: {value:.4g}" for name, value in line.items() if "loss" in name)
    eta = timedelta(seconds=int(line["eta_seconds"]))
    times = "  ".join(f"{name}: {line[name]:.4f}" for name in ("time", "data_time") if name in line)
    return f"eta: {eta}  iter: {iteration}  {losses}  {times}  lr: {line['lr']:.5g}"
