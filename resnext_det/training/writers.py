"""What a run tells while it trains: metrics.json, boards, progress. Engine-neutral."""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import nullcontext, suppress
from pathlib import Path

from fvcore.common.history_buffer import HistoryBuffer
from rich.console import Console

from resnext_det.training.boards import Board, Pictures
from resnext_det.training.progress import ProgressBar, log_line
from resnext_det.training.result import finite_or_null
from resnext_det.whole_files import write_text_safe

PERIOD = 20  # iterations between lines, and the window of the median, as in Detectron2
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
        epoch_of_one: the share of the training set that an iteration sees; 0 where it is
            not known, and no epochs are told.
        boards: where else the numbers go.
        console: where the bar is drawn; standard error when not given.
    """

    def __init__(
        self,
        output_dir: str | Path,
        start: int,
        max_iter: int,
        *,
        epoch_of_one: float = 0.0,
        boards: Sequence[Board] = (),
        console: Console | None = None,
    ) -> None:
        self._start = start
        self._max_iter = max_iter
        self._epoch_of_one = epoch_of_one
        self._boards = boards
        self._history: dict[str, HistoryBuffer] = {}
        self._noted: dict[str, float] = {}
        self._unwritten: int | None = None
        self._metrics = _Lines(Path(output_dir) / "metrics.json", start)
        console = console or Console(stderr=True)
        self._bar = ProgressBar(console, start, max_iter) if console.is_terminal else None

    def __enter__(self) -> "RunWriter":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if self._bar:
            self._bar.stop()
        for close in (self._metrics.close, *(board.close for board in self._boards)):
            # A disk that has just ended the run is not to say so again.
            with suppress(OSError) if kind else nullcontext():
                close()

    def note(self, scalars: Mapping[str, float]) -> None:
        """Takes scalars beside the losses, which the next `record` adds to its own."""
        self._noted.update(scalars)

    def record(self, iteration: int, scalars: Mapping[str, float]) -> None:
        """Takes one iteration's scalars: lr, total_loss, each loss, time, data_time."""
        for name, value in {**self._noted, **scalars}.items():
            history = self._history.setdefault(name, HistoryBuffer(max_length=1000))
            history.update(value, iteration)
        self._noted.clear()
        self._unwritten = iteration
        if self._bar:
            epoch = self._epoch(iteration).get("epoch")
            self._bar.advance(iteration + 1, scalars["total_loss"], scalars["lr"], epoch)
        if (iteration + 1) % PERIOD == 0 or iteration + 1 == self._max_iter:
            self.flush()

    def record_skipped(self, iteration: int) -> None:
        """Takes note that an iteration left nothing to tell."""
        self._noted.clear()
        if self._bar:
            self._bar.skip_to(iteration + 1)
        if (iteration + 1) % PERIOD == 0 or iteration + 1 == self._max_iter:
            self.flush()

    def flush(self) -> None:
        """Writes what was recorded since the last line, when training ends between two."""
        if self._unwritten is None:
            return
        iteration, self._unwritten = self._unwritten, None
        line = {
            name: history.latest() if name in _UNSMOOTHED else history.median(PERIOD)
            for name, history in self._history.items()
        }
        seconds = self._history["time"].median(1000) if "time" in self._history else 0.0
        line["eta_seconds"] = seconds * (self._max_iter - iteration - 1)
        line |= self._epoch(iteration)
        self._write_line(iteration, line)
        log_line(iteration, self._max_iter, line)

    def record_evaluation(self, iteration: int, metrics: Mapping[str, float | None]) -> None:
        """Writes an evaluation's metrics ("bbox/AP", "top1", …), null where there is none.

        A run that was killed after its last evaluation makes that once more: its line takes the
        place of the earlier one.
        """
        scalars = {**metrics, **self._epoch(iteration)}
        if iteration < self._start:
            self._metrics.remove(iteration, {*scalars, "iteration"})
        self._write_line(iteration, scalars)

    def record_pictures(self, iteration: int, pictures: Pictures) -> None:
        """Hands pictures to the boards, which show them at once; without any does nothing."""
        for board in self._boards if pictures else ():
            board.pictures(iteration, pictures)

    def _epoch(self, iteration: int) -> dict[str, float]:
        done = (iteration + 1) * self._epoch_of_one
        return {"epoch": round(done, 6)} if done else {}

    def _write_line(self, iteration: int, scalars: Mapping[str, float | None]) -> None:
        line = finite_or_null({**scalars, "iteration": iteration})
        self._metrics.write(json.dumps(line, sort_keys=True))
        values = {name: value for name, value in scalars.items() if value is not None}
        for board in self._boards:
            board.scalars(iteration, values)


class _Lines:
    """metrics.json, open for further lines.

    Args:
        path: the file.
        start: lines of this iteration and later ones are removed.
    """

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._keep(lambda line: _iteration_of(line) < start)
        self._file = path.open("a")

    def remove(self, iteration: int, names: Set[str]) -> None:
        """Removes the lines of an iteration that hold scalars of these names and no others."""
        self._file.close()
        self._keep(lambda line: _iteration_of(line) != iteration or {*json.loads(line)} != names)
        self._file = self._path.open("a")

    def _keep(self, stays: Callable[[str], bool]) -> None:
        found = _text(self._path)
        kept = "".join(f"{line}\n" for line in found.splitlines() if stays(line))
        # A last line that is whole but for its end would run into the next.
        if kept != found or not self._path.is_file():
            write_text_safe(self._path, kept)

    def write(self, line: str) -> None:
        try:
            self._file.write(f"{line}\n")
            self._file.flush()
        except OSError as error:  # which does not know the file's name
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def close(self) -> None:
        self._file.close()


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def _iteration_of(line: str) -> float:
    """Returns the line's iteration, infinite for a line that an interrupt cut short."""
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return float("inf")
