"""A study's command from the options to the page: run, gather, report. Engine-neutral.

A project's whole `main` is one call, and `make_grid` is its own part of it:

    def main(argv: Sequence[str] | None = None) -> int:
        parser = argparse.ArgumentParser(prog="comparison", description="…")
        parser.add_argument("--scale", choices=SCALES, default="mini")
        return study_main(parser, argv, make_grid, output=Path("output/comparison"))

    def make_grid(args: argparse.Namespace, options: StudyOptions, console: Console) -> Grid: …
"""

import argparse
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from projects.studies.findings import FindingsOf, difference_findings
from projects.studies.folders.study_folder import check_study, hold_folder, mark_study
from projects.studies.gathering.gather import check_result, gather, unfinished
from projects.studies.grid import Grid
from projects.studies.job_words import job_words
from projects.studies.options import StudyOptions, parse_options
from projects.studies.places import Place, choose_places
from projects.studies.planning.plan import make_plan, print_plan
from projects.studies.running.processes import JobFailedError
from projects.studies.running.runner import run_jobs
from projects.studies.running.slurm import submit_jobs
from projects.studies.test_sets import find_test_set, keep_test_set
from projects.studies.training_inputs import keep_training_inputs
from resnext_det.data.catalog import parse_data_argument
from resnext_det.errors import UserError
from resnext_det.replacing import check_json_replaceable
from resnext_det.reports.html import write_report
from resnext_det.reports.study import Study, read_study
from resnext_det.reports.table import rich_table
from resnext_det.training.result import RESULT
from resnext_det.whole_files import write_text_safe

MakeGrid = Callable[[argparse.Namespace, StudyOptions, Console], Grid]
_TITLES = {
    "detection": "Held-out images, box AP in percent",
    "classification": "Held-out images, accuracy in percent",
}


def study_main(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    make_grid: MakeGrid,
    *,
    output: Path,
    seeds: int = 1,
    findings: FindingsOf = difference_findings,
) -> int:
    """Runs a study's command.

    Args:
        parser: with the project's own options.
        argv: the words after the script's name; None takes the process's own.
        make_grid: the project's part: makes what data it needs, in `options.data_for(…)`, and
            says what is trained.
        output: what --output is without being given.
        seeds: what --seeds is without being given.
        findings: as in `run_study`.

    Returns:
        0; 1 where a run failed or a check is not met; 2 after a mistake the user can mend;
        130 after an interrupt.
    """
    args, options = parse_options(parser, argv, output=output, seeds=seeds)
    console = Console(emoji=False)  # a path may have :b: in it
    # Set for Ctrl-C too: a shell's background job, and all it starts, would ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with _prepared(options) as prepared:
            grid = make_grid(args, prepared, console)
            return run_study(grid, prepared, console, findings=findings)
    except UserError as error:
        console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        return 2
    except JobFailedError as error:
        console.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted. The same command continues.")
        return 130


@contextmanager
def _prepared(options: StudyOptions) -> Iterator[StudyOptions]:
    """Holds the study's folder while the data are made, too.

    A plan leaves it alone: it reads what data are whole there, and makes others aside.
    """
    if not options.plan:
        with hold_folder(options.output):
            yield options
    else:
        with TemporaryDirectory(prefix="plan-") as folder:
            yield replace(options, aside=Path(folder))


def run_study(
    grid: Grid,
    options: StudyOptions,
    console: Console,
    *,
    findings: FindingsOf = difference_findings,
) -> int:
    """Runs what is not finished, gathers result.json, writes report.html and prints the table.

    The folder is held (`hold_folder`). With --plan it only says what it would run. With --slurm
    it submits what is not finished, and makes the table when called after all are.

    Args:
        grid: the study, at every seed of `options`.
        options: the shared options.
        console: where progress and the table go.
        findings: the study's own sentences, from the content of its result.json; they follow the
            checks that every study makes.

    Returns:
        0; 1 where a check is not met.

    Raises:
        UserError: a row that is not there, a folder of another study, an unfinished study that
            is asked for its table, and whatever `run_jobs` and `gather` refuse.
        JobFailedError: a run ended with an error.
    """
    begin = time.monotonic()
    grid = chosen(grid, options.rows)
    if options.plan:
        check_study(grid.output, title=grid.title, kind=grid.kind, scale=grid.scale)
        return _plan(grid, options, console)
    check_result(grid)
    mark_study(grid)
    test_set = find_test_set(grid)
    keep_test_set(grid, test_set)
    keep_training_inputs(grid)
    fresh = False
    if unfinished(grid) and not options.gather_only:
        if options.slurm is not None:
            if not _submit(grid, options, options.slurm, console):
                return 0
        else:
            fresh = run_jobs(grid.jobs, places=_places(options), console=console)
        test_set = find_test_set(grid)  # hours have gone by
    seconds = time.monotonic() - begin if fresh else None
    result = gather(grid, options, test_set, findings=findings, seconds=seconds)
    page = write_report(result)
    study = read_study(result)
    _print(study, grid, console)
    console.print(f"{result} and {page} are written.", soft_wrap=True)
    return 0 if all(f["passed"] is not False for f in study.more["findings"]) else 1


def _places(options: StudyOptions) -> list[Place]:
    return choose_places(options.jobs, options.gpus, options.gpus_per_run)


def _submit(grid: Grid, options: StudyOptions, slurm: str, console: Console) -> bool:
    return submit_jobs(grid.jobs, options=slurm, console=console, num_gpus=options.gpus_per_run)


def _plan(grid: Grid, options: StudyOptions, console: Console) -> int:
    """Prints what is left to do, and writes it where it was asked for; returns 0."""
    if options.plan_json is not None:
        _check_plan_json(options.plan_json, grid)
    if options.slurm is None:
        places = _places(options)
        plan = make_plan(grid, places_at_a_time=len(places), place=places[0], console=console)
    else:  # a queue may start all rows at once
        plan = make_plan(grid, places_at_a_time=len(grid.cells), console=console)
    print_plan(plan, console)
    if options.plan_json is not None:
        write_text_safe(options.plan_json, json.dumps(plan.as_dict(), indent=1) + "\n")
    return 0


def _check_plan_json(path: Path, grid: Grid) -> None:
    """Refuses to write a plan where a study or a run keeps its own files, or over a data set's."""
    folder = path.resolve().parent
    if folder.is_relative_to(grid.output.resolve()):
        raise UserError(f"--json {path}: lies in the study's folder: name a file elsewhere")
    if path.name == RESULT and path.exists():
        raise UserError(f"--json {path}: is a result's name and is there: name another file")
    commands = [job_words(job) for job in grid.jobs]
    sets = {text for words in commands for text in (*words.train_data, *words.test_data)}
    places = [place for text in sets for place in parse_data_argument(text).places if place]
    check_json_replaceable(path, places)


def chosen(grid: Grid, tags: Sequence[str]) -> Grid:
    """Returns a grid of some rows alone.

    Args:
        grid: the whole study.
        tags: of the rows wanted; none for all.

    Raises:
        UserError: a tag that no row has.
    """
    if not tags:
        return grid
    known = list(dict.fromkeys(row.tag for row in grid.rows))
    if strange := [tag for tag in tags if tag not in known]:
        raise UserError(f"--rows {strange[0]}: the rows are {', '.join(known)}")
    return replace(
        grid,
        cells=tuple(cell for cell in grid.cells if cell.row.tag in tags),
        pairs=tuple(pair for pair in grid.pairs if all(row.tag in tags for row in pair)),
    )


def _print(study: Study, grid: Grid, console: Console) -> None:
    console.print(rich_table(study.rows, _TITLES[grid.kind], study.published))
    marks = {True: "[green]✓ met[/]", False: "[red]✗ not met[/]", None: "[yellow]note[/]"}
    for finding in study.more["findings"]:
        console.print(marks[finding["passed"]], end=" ")
        console.print(finding["text"], markup=False, highlight=False)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
