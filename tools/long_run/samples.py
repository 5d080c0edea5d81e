"""What a process and its children hold, sampled from outside. Engine-neutral; Linux's /proc."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_MIB = 2**20
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """What there was at a moment.

    Attributes:
        seconds: since the process was started.
        done: iterations or predictions that were finished.
        main_mib: resident memory of the process.
        children_mib: that of each of its children, by their numbers; memory that they share
            with their parent since the fork counts in both.
        handles: open files and sockets of the process.
        threads: of the process.
        folder_mib: what lies in the folder of its output.
        folder_files: how many files that is.
    """

    seconds: float
    done: int
    main_mib: float
    children_mib: Mapping[int, float]
    handles: int
    threads: int
    folder_mib: float
    folder_files: int


def watch(
    process: subprocess.Popen[bytes],
    folder: Path,
    count_done: Callable[[], int],
    period: float = 1.0,
) -> list[Sample]:
    """Samples a process until it ends.

    Args:
        process: what is watched.
        folder: of its output.
        count_done: tells how far it is.
        period: seconds between two samples.
    """
    began = time.monotonic()
    found: list[Sample] = []
    while process.poll() is None:
        try:
            sample = _sample(process.pid, folder, count_done(), time.monotonic() - began)
            found += [sample] if sample.main_mib else []  # none where it has just ended
        except (OSError, ValueError):  # it is just ending
            continue
        finally:
            time.sleep(period)
    return found


def workers_mib(samples: Sequence[Sample]) -> list[float]:
    """Returns the memory of those children that lived through most of the samples, summed.

    These are the workers of the training loader; those of an evaluation come and go.
    """
    lives = Counter(pid for sample in samples for pid in sample.children_mib)
    lasting = {pid for pid, number in lives.items() if number > len(samples) / 2}
    return [
        sum(mib for pid, mib in sample.children_mib.items() if pid in lasting) for sample in samples
    ]


def _sample(pid: int, folder: Path, done: int, seconds: float) -> Sample:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return Sample(
        seconds=round(seconds, 2),
        done=done,
        main_mib=_resident_mib(pid),
        children_mib=dict(_children(pid)),
        handles=len(os.listdir(_PROC / str(pid) / "fd")),
        threads=len(os.listdir(_PROC / str(pid) / "task")),
        folder_mib=round(sum(_size(path) for path in files) / _MIB, 3),
        folder_files=len(files),
    )


def _children(pid: int) -> Iterator[tuple[int, float]]:
    """Yields the processes that any thread of a process has started, with their memory."""
    for path in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            for child in path.read_text().split():
                yield int(child), _resident_mib(int(child))
        except OSError:  # it has just ended
            continue


def _resident_mib(pid: int) -> float:
    pages = int((_PROC / str(pid) / "statm").read_text().split()[1])  # proc(5): resident
    return round(pages * _PAGE / _MIB, 3)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
