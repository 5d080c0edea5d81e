"""What a plan says: a line for each job, and what they come to. Engine-neutral."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["new", "started", "finished"]


@dataclass(frozen=True)
class PlannedJob:
    """What is left of one job, and what it takes.

    Attributes:
        title: of the job.
        folder: of the job.
        needs: folders of the jobs before it.
        state: how far it is.
        iterations: of the whole job.
        iterations_left: from its last checkpoint on.
        images: that these iterations see, each as often as it is seen.
        train_images: of its training sets; None where these are not here.
        hours: that are left; None where nobody knows.
        source: where the hours come from, or why there are none.
        memory_bytes: the peak; None where nobody knows.
        on_gpu: whether that is a GPU's; else it is the training process's.
        idle_hours: the hours if no other work took the machine's cores; None on GPUs, and where
            nothing was measured.
        disk_bytes: that its folder will still grow by; None where nobody knows.
        missing: what is not here, a sentence each.
        fetches: the weights that it names by an address or a library's name; "" for none.
    """

    title: str
    folder: Path
    needs: tuple[Path, ...]
    state: State
    iterations: int
    iterations_left: int
    images: int
    train_images: int | None
    hours: float | None
    source: str
    memory_bytes: int | None
    on_gpu: bool
    disk_bytes: int | None
    idle_hours: float | None = None
    missing: tuple[str, ...] = ()
    fetches: str = ""


@dataclass(frozen=True)
class Plan:
    """What is left of a study.

    Attributes:
        title: of the study.
        output: its folder.
        jobs: in the order of their start.
        places_at_a_time: how many run side by side.
        free_bytes: of the disk that the study's folder is on.
        is_busy: whether this machine had more to do than it has cores when the plan was made.
        memory_bytes_here: of this machine, or of the GPU where that is what the jobs need; None
            where it is not known.
    """

    title: str
    output: Path
    jobs: tuple[PlannedJob, ...]
    places_at_a_time: int
    free_bytes: int
    is_busy: bool = False
    memory_bytes_here: int | None = None

    @property
    def hours(self) -> float:
        """Of all jobs one after another, as far as they are known."""
        return sum(job.hours or 0.0 for job in self.jobs)

    @property
    def hours_side_by_side(self) -> float:
        """Until the last job ends, with as many at a time as there are places."""
        return makespan(self.jobs, self.places_at_a_time)

    @property
    def idle_hours(self) -> float:
        """Of all jobs one after another, were no other work on this machine."""
        hours = (job.hours if job.idle_hours is None else job.idle_hours for job in self.jobs)
        return sum(one or 0.0 for one in hours)

    @property
    def num_unknown(self) -> int:
        """How many jobs nobody knows the hours of."""
        return sum(job.hours is None for job in self.jobs)

    @property
    def disk_bytes(self) -> int:
        """Of all that is still to be written, as far as it is known."""
        return sum(job.disk_bytes or 0 for job in self.jobs)

    @property
    def disk_suffices(self) -> bool:
        """Whether what is known fits on the disk."""
        return self.disk_bytes <= self.free_bytes

    @property
    def memory_bytes(self) -> int | None:
        """The most that jobs running side by side take; on GPUs the most of one."""
        known = [job for job in self.jobs if job.memory_bytes is not None and job.iterations_left]
        if not known:
            return None
        sizes = sorted((job.memory_bytes or 0 for job in known), reverse=True)
        return sum(sizes[: 1 if known[0].on_gpu else self.places_at_a_time])

    @property
    def missing(self) -> dict[str, list[str]]:
        """What is not here -> the titles of the jobs that need it."""
        return _titles((sentence, job) for job in self.jobs for sentence in job.missing)

    @property
    def fetches(self) -> dict[str, list[str]]:
        """Weights that are fetched, unless they are at hand -> the titles of the jobs that do."""
        return _titles((job.fetches, job) for job in self.jobs if job.fetches)

    def as_dict(self) -> dict[str, Any]:
        """Returns the plan for a JSON file; the jobs' folders are relative to the study's."""
        jobs = [
            {
                **asdict(job),
                "folder": os.path.relpath(job.folder, self.output),
                "needs": [os.path.relpath(folder, self.output) for folder in job.needs],
                "missing": list(job.missing),
            }
            for job in self.jobs
        ]
        total = {
            "hours": self.hours,
            "hours_side_by_side": self.hours_side_by_side,
            "idle_hours": self.idle_hours,
            "is_busy": self.is_busy,
            "places_at_a_time": self.places_at_a_time,
            "jobs_of_unknown_hours": self.num_unknown,
            "memory_bytes": self.memory_bytes,
            "memory_bytes_here": self.memory_bytes_here,
            "disk_bytes": self.disk_bytes,
            "free_bytes": self.free_bytes,
            "disk_suffices": self.disk_suffices,
        }
        return {"title": self.title, "jobs": jobs, "total": total, "missing": self.missing}


def _titles(pairs: Iterable[tuple[str, PlannedJob]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, job in pairs:
        found.setdefault(key, []).append(job.title)
    return found


def makespan(jobs: Sequence[PlannedJob], places: int) -> float:
    """Returns the hours until the last job ends.

    The jobs start as the runner starts them: whenever a place is free, the first in the order whose
    needs are done. Jobs of unknown hours take none.
    """
    ends: dict[Path, float] = {}
    free = [0.0] * places
    waiting = list(jobs)
    now = 0.0
    while waiting:
        within = {job.folder for job in waiting}
        ready = [
            job
            for job in waiting
            if not any(need in within or ends.get(need, 0.0) > now for need in job.needs)
        ]
        free.sort()
        if ready and free[0] <= now:
            job = ready[0]
            waiting.remove(job)
            ends[job.folder] = now + (job.hours or 0.0)
            free[0] = ends[job.folder]
            continue
        later = [moment for moment in (*ends.values(), *free) if moment > now]
        if not later:  # jobs that wait for each other, or for one that is not in the study
            break
        now = min(later)
    return max(ends.values(), default=0.0)
