"""A plan on the terminal: a table of 100 columns, and what it comes to. Engine-neutral."""

import re

from rich.console import Console
from rich.table import Table

from projects.studies.planning.plan_lines import Plan, PlannedJob

_WIDTH = 100
_BUSY = 0.9  # of the time that a process has of a core, below which it is said
_MEASURED = re.compile(r"measured here on (\d+) iterations")
_SHOWN = 3  # jobs named where one thing is said of many


def print_plan(plan: Plan, console: Console) -> None:
    """Prints what each job will take, the sums, and what is missing."""
    console.print(plan_table(plan))
    for line, style in plan_lines(plan):
        console.print(line, style=style, markup=False, highlight=False)


def plan_table(plan: Plan) -> Table:
    """Lays a plan out, a row for each job."""
    table = Table(title=f"{plan.title}: the plan", width=_WIDTH, title_justify="left")
    table.add_column("job", overflow="fold", ratio=1)
    for title in ("iterations", "images", "time", "memory", "disk"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    for job in plan.jobs:
        table.add_row(*_cells(job))
    return table


def plan_lines(plan: Plan) -> list[tuple[str, str]]:
    """Returns the sentences below the table, each with the style it is printed in."""
    lines = [(_total(plan), "bold")]
    lines += [(line, "") for line in _origins(plan)]
    if plan.is_busy and plan.idle_hours < _BUSY * plan.hours:
        alone = duration(plan.idle_hours)
        text = f"Other work takes part of this machine now; without it, about {alone} in all."
        lines.append((text, "yellow"))
    disk = f"{size(plan.disk_bytes)} are still to be written, {size(plan.free_bytes)} are free."
    if any(job.disk_bytes is None for job in plan.jobs):
        disk = disk.replace(" are still", " at least are still", 1)
    lines.append((f"Disk: {disk}", ""))
    if not plan.disk_suffices:
        lines.append(("The disk does not suffice: free some, or give another --output.", "red"))
    lines += _memory(plan)
    for name, titles in plan.fetches.items():
        lines.append((f"Fetched when {_named(titles)} start, if need be: {name}", ""))
    for sentence, titles in plan.missing.items():
        lines.append((f"Missing for {_named(titles)}: {sentence}", "red"))
    return lines


def duration(hours: float) -> str:
    """Writes hours as seconds, minutes, hours or days, whichever reads best."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def size(number: float) -> str:
    """Writes bytes in units of 1000, three digits: 1.23 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"


def _cells(job: PlannedJob) -> list[str]:
    hours = "–" if job.hours is None else duration(job.hours)
    memory = "–" if job.memory_bytes is None else size(job.memory_bytes)
    disk = "–" if job.disk_bytes is None else size(job.disk_bytes)
    left = f"{job.iterations_left:,}"
    if job.state == "finished":
        return [job.title, "0", "0", "–", "–", "–", "finished"]
    if job.state == "started":
        left = f"{left} left"
    return [job.title, left, _count(job.images), hours, memory, disk, _source(job)]


def _source(job: PlannedJob) -> str:
    """The column's word; the sentences below say the whole."""
    if job.hours is None:
        return "missing" if job.missing else "unknown"
    words = {"measured": "measured", "a finished": "finished run", "configs": "costs.json"}
    return next(word for start, word in words.items() if job.source.startswith(start))


def _total(plan: Plan) -> str:
    left = [job for job in plan.jobs if job.state != "finished"]
    if not left:
        return "Nothing is left to do: every job is finished."
    if plan.num_unknown == len(left):
        return f"In all: {_jobs(len(left))}, whose time is not known."
    known = len(left) - plan.num_unknown
    text = f"In all: {duration(plan.hours)} for {_jobs(known)}"
    if plan.places_at_a_time > 1:
        together = duration(plan.hours_side_by_side)
        text += f", about {together} with {plan.places_at_a_time} at a time"
    if plan.num_unknown:
        text += f"; {plan.num_unknown} more, whose time is not known, come on top"
    return f"{text}."


def _origins(plan: Plan) -> list[str]:
    """Says where the times come from, and of those that there are not why."""
    found: dict[str, list[str]] = {}
    counts: list[int] = []
    for job in plan.jobs:
        counts += [int(number) for number in _MEASURED.findall(job.source)]
        if job.state != "finished":
            found.setdefault(_MEASURED.sub("measured here", job.source), []).append(job.title)
    if counts:
        on = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{counts[0]}"
        how = f"measured here on {on} iterations"
        found = {source.replace("measured here", how): titles for source, titles in found.items()}
    return [f"{source[0].upper()}{source[1:]}: {_named(t)}." for source, t in found.items()]


def _memory(plan: Plan) -> list[tuple[str, str]]:
    needed, here = plan.memory_bytes, plan.memory_bytes_here
    if needed is None or here is None:
        return []
    on_gpu = any(job.on_gpu for job in plan.jobs)
    at_a_time = 1 if on_gpu else plan.places_at_a_time
    where = "a GPU" if on_gpu else "this machine"
    text = f"Memory: {size(needed)} with {at_a_time} at a time, of {where}'s {size(here)}"
    if needed <= here:
        return [(f"{text}.", "")]
    mend = "a smaller SOLVER.IMS_PER_BATCH" if on_gpu else "fewer --jobs"
    return [(f"{text}: too little; give {mend}.", "red")]


def _named(titles: list[str]) -> str:
    if len(titles) <= _SHOWN:
        return ", ".join(titles)
    return f"{', '.join(titles[:_SHOWN])} and {len(titles) - _SHOWN} more"


def _jobs(number: int) -> str:
    return f"{number} job{'s' if number > 1 else ''}"


def _count(number: float) -> str:
    for unit in ("", " k", " M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} G"
