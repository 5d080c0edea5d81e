"""What a study will take, before anything is trained. Engine-neutral."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from projects.studies.grid import Grid
from projects.studies.places import Place, choose_places
from projects.studies.planning.disk import folder_bytes, run_bytes
from projects.studies.planning.hours import finished_twin, hours_of, proposals_are_here, state_of
from projects.studies.planning.job_facts import DataSets, JobFacts, read_job
from projects.studies.planning.measure import TIMED_RUN, Measurement, measure_jobs
from projects.studies.planning.plan_lines import Plan, PlannedJob
from projects.studies.planning.plan_table import print_plan
from resnext_det.errors import UserError

__all__ = ["Plan", "PlannedJob", "make_plan", "print_plan"]


def make_plan(
    grid: Grid,
    *,
    places_at_a_time: int,
    measure: bool = True,
    console: Console,
    place: Place | None = None,
    words: Sequence[str] = TIMED_RUN,
) -> Plan:
    """Plans what is left of a study; nothing in its folder changes.

    Args:
        grid: the study.
        places_at_a_time: how many jobs will run side by side.
        measure: whether to time a few iterations of each distinct config here.
        console: where it says what is measured.
        place: where one of them will run; None for what the machine offers by itself.
        words: what is run in place of train_net.py to measure.

    Raises:
        UserError: a job's config is missing or malformed.
    """
    is_busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    place = choose_places()[0] if place is None else place
    data = DataSets()
    made = [job.folder for job in grid.jobs]
    facts = [read_job(job, made, data) for job in grid.jobs]
    found: dict[tuple[str, ...], Measurement | str] = {}
    if measure:
        chosen = _to_measure(facts)
        results = measure_jobs(
            list(chosen.values()),
            # On the CPU as many as will run, for they share its memory; a GPU has one by itself.
            side_by_side=1 if place.devices else places_at_a_time,
            place=place,
            say=lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True),
            words=words,
        )
        found = dict(zip(chosen, results, strict=True))
    on_gpu = bool(place.devices)
    sizes = {key: _run_bytes(one) for key, one in {one.key: one for one in facts}.items()}
    lines = tuple(
        _planned(one, facts, found.get(one.key), size=sizes[one.key], on_gpu=on_gpu)
        for one in facts
    )
    free = _free_bytes(grid.output)
    return Plan(
        grid.title, grid.output, lines, places_at_a_time, free, is_busy, _memory(on_gpu=on_gpu)
    )


def _to_measure(facts: Sequence[JobFacts]) -> dict[tuple[str, ...], JobFacts]:
    """Returns one job of each kind of which none is finished and one can run now."""
    chosen: dict[tuple[str, ...], JobFacts] = {}
    for one in facts:
        can_run = not one.missing and proposals_are_here(one)
        if can_run and state_of(one.job)[0] != "finished" and finished_twin(one, facts) is None:
            chosen.setdefault(one.key, one)
    return chosen


def _planned(
    facts: JobFacts,
    others: Sequence[JobFacts],
    found: Measurement | str | None,
    *,
    size: int | None,
    on_gpu: bool,
) -> PlannedJob:
    job, weights = facts.job, facts.cfg.MODEL.WEIGHTS
    state, left = state_of(job)
    hours, source = hours_of(facts, others, found, state, left, on_gpu=on_gpu)
    measured = found if isinstance(found, Measurement) and state != "finished" else None
    idle = None
    if measured and hours is not None and not measured.on_gpu:
        idle = hours * measured.core_share
    return PlannedJob(
        title=job.title,
        folder=job.folder,
        needs=job.needs,
        state=state,
        iterations=job.max_iter,
        iterations_left=left,
        images=left * facts.cfg.SOLVER.IMS_PER_BATCH,
        train_images=facts.train_images,
        hours=hours,
        source=source,
        memory_bytes=measured.memory_bytes if measured else None,
        on_gpu=bool(measured and measured.on_gpu),
        idle_hours=idle,
        disk_bytes=0 if state == "finished" else _still_to_write(size, job.folder),
        missing=() if state == "finished" else facts.missing,
        fetches=weights if state == "new" and "://" in weights else "",
    )


def _run_bytes(facts: JobFacts) -> int | None:
    try:
        return run_bytes(facts)
    except UserError:  # an engine that is not here
        return None


def _still_to_write(size: int | None, folder: Path) -> int | None:
    return None if size is None else max(0, size - folder_bytes(folder))


def _free_bytes(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _memory(*, on_gpu: bool) -> int | None:
    if on_gpu:
        return torch.cuda.mem_get_info()[1]
    found = Path("/proc/meminfo")
    if sys.platform != "linux" or not found.exists():
        return None
    line = next(line for line in found.read_text().splitlines() if line.startswith("MemTotal"))
    return 1024 * int(line.split()[1])
