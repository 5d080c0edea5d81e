"""Cores, threads and open files that a run may have. Engine-neutral."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

from resnext_det.doctor.findings import Finding, fine, note, problem
from resnext_det.training.machine import cores

_VARIABLE = "OMP_NUM_THREADS"
_ROOT = Path("/")
_FEW_FILES = 1024  # descriptors: each tensor that a worker hands over takes one for a while


def look() -> Iterator[Finding]:
    """Tells of threads and of open files."""
    yield judge_threads(os.environ.get(_VARIABLE), torch.get_num_threads(), cores(), quota())
    yield judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def judge_threads(stated: str | None, threads: int, cores: int, quota: float | None) -> Finding:
    """Compares torch's threads with the cores.

    Args:
        stated: OMP_NUM_THREADS; None where it is not set.
        threads: torch's.
        cores: that this process may use.
        quota: cores' worth of time that its control group gets; None without a limit.
    """
    check = "threads"
    facts = {"threads": threads, "cores": cores, "quota": quota, _VARIABLE: stated}
    if stated is not None and not all(
        part.strip().isdecimal() and int(part) > 0 for part in stated.split(",")
    ):
        text = f"{_VARIABLE}={stated!r} is no number of threads"
        return problem(check, text, "Unset it, or set it to the cores of each process", **facts)
    limit = cores if quota is None else min(cores, max(1, round(quota)))
    text = f"torch computes with {threads} thread(s) on {cores} core(s)"
    if threads > limit:
        timed = "" if limit == cores else f", of which the container gets {quota:g} cores' time"
        advice = f"They wait for each other: set {_VARIABLE}={limit}"
        return note(check, text + timed, advice, **facts)
    if threads == 1 and limit > 1:
        advice = f"Set {_VARIABLE}={limit} where nothing else runs and one process computes"
        return note(check, text, advice, **facts)
    return fine(check, text, **facts)


def judge_files(limit: int) -> Finding:
    """Judges how many files a process may have open."""
    if limit != resource.RLIM_INFINITY and limit < _FEW_FILES:
        text = f"a process may open {limit} files"
        advice = f"Data loaders may run out of them: `ulimit -n {4 * _FEW_FILES}`"
        return note("open files", text, advice, limit=limit)
    stated = None if limit == resource.RLIM_INFINITY else limit
    text = "no limit" if stated is None else f"a process may open {stated:,} files"
    return fine("open files", text, limit=stated)


def quota(root: Path = _ROOT) -> float | None:
    """Returns the cores' worth of time of this control group or one above it; None: no limit.

    Args:
        root: of the file system that holds proc and sys; another one in tests.
    """
    found = []
    for line in _words(root / "proc/self/cgroup"):
        _, controllers, path = line[0].split(":", 2)
        version_2 = not controllers
        if not version_2 and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("" if version_2 else "cpu")
        folder = top / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group == top.parent:
                break
            found += _share_v2(group) if version_2 else _share_v1(group)
    return min(found, default=None)


def _share_v2(group: Path) -> list[float]:
    return [int(own) / int(period) for own, period in _words(group / "cpu.max") if own != "max"]


def _share_v1(group: Path) -> list[float]:
    own, period = _words(group / "cpu.cfs_quota_us"), _words(group / "cpu.cfs_period_us")
    if not own or not period or int(own[0][0]) <= 0:
        return []
    return [int(own[0][0]) / int(period[0][0])]


def _words(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text().splitlines() if line.strip()]
    except OSError:
        return []
