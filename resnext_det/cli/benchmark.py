"""The verb that finds the fastest setting of this machine. Engine-neutral."""

import argparse
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from resnext_det.acceleration.machine import MODES, Mode, check_savable, machine_name
from resnext_det.acceleration.setting import EXACT, acceleration_of_words
from resnext_det.benchmarking.bench import Bench
from resnext_det.benchmarking.judging import tolerance_of, wish_of
from resnext_det.benchmarking.run import Outcome, run_benchmark, save_outcome
from resnext_det.benchmarking.sizes import DEFAULT_CONFIG, parse_size
from resnext_det.benchmarking.work import Work, work_of_checkpoint, work_of_config
from resnext_det.cli.printing import check_json, files_of_weights, open_console, write_json
from resnext_det.engines.base import resolve_engine
from resnext_det.errors import UserError
from resnext_det.export.pictures import built_in_pictures, pictures_of
from resnext_det.inference.detector import settle_device
from resnext_det.timing.conditions import conditions
from resnext_det.timing.processes import ContestantError

_NUM_IMAGES = 4


def run(args: argparse.Namespace) -> int:
    """Times every mode, prints what was found, saves the fastest, and writes the JSON.

    Returns:
        The exit status, 0.

    Raises:
        UserError: anything the user can mend, found before anything is timed where possible.
    """
    check_json(args.json, files_of_weights(args.checkpoint or ""))
    device = torch.device(settle_device(args.device))
    if args.save:
        check_savable()
    console = open_console(args.json)
    work = _work(args, str(device))
    console.print(machine_name(device), markup=False, highlight=False)
    modes: list[Mode] = [mode for mode in MODES if args.mode in (mode, "both")]
    found: dict[str, Any] = {}
    with _leaving_nothing(), tempfile.TemporaryDirectory() as folder:
        for mode in modes:
            bench = Bench(work, mode, device, Path(folder), args.rounds)
            outcome = _outcome(args, bench, console)
            found[mode] = outcome.as_dict()
            _print(console, outcome)
            if args.save:
                file = save_outcome(outcome)
                found[mode]["saved"] = file
                told = f"{mode} from now on: {outcome.chosen.setting.words()} (saved in {file})"
                console.print(told, markup=False, highlight=False, soft_wrap=True)
    write_json(args.json, _described(args, device, work) | found)
    return 0


@contextmanager
def _leaving_nothing() -> Iterator[None]:
    """Has SIGTERM unwind the body as an exception, which ends processes and removes folders."""
    if threading.current_thread() is not threading.main_thread():  # which alone may listen
        yield
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)  # as a shell tells a signal


def _work(args: argparse.Namespace, device: str) -> Work:
    engine, size = resolve_engine("portable"), parse_size(args.image)
    images = pictures_of(args.images, "--images", _NUM_IMAGES) if args.images else None
    images = built_in_pictures() if images is None else images
    if args.checkpoint:
        return work_of_checkpoint(
            args.checkpoint,
            engine,
            device=device,
            images=images,
            size=size,
            config_file=args.config_file,
        )
    name = args.config_file or DEFAULT_CONFIG
    return work_of_config(name, engine, device=device, images=images, size=size)


def _outcome(args: argparse.Namespace, bench: Bench, console: Console) -> Outcome:
    def say(line: str) -> None:
        console.print(f"{bench.mode}: {line}", markup=False, highlight=False, soft_wrap=True)

    settings = [acceleration_of_words(words, "--settings") for words in args.settings]
    try:
        return run_benchmark(bench, settings=settings, batches=args.batch, say=say)
    except ContestantError as error:
        raise UserError(
            f"{bench.mode} cannot be timed here: {error}: give another --image, --batch or --device"
        ) from error


def _print(console: Console, outcome: Outcome) -> None:
    bench = outcome.screening.bench
    console.print(_table(outcome))
    for name, why in outcome.finals["skipped"].items():
        console.print(f"{name}: left out: {why}", markup=False, highlight=False, soft_wrap=True)
    if outcome.batches:
        console.print(_batch_table(outcome))
    console.print(f"Larger batches ended: {outcome.batches_end}", markup=False, highlight=False)
    console.print(tolerance_of(wish_of(bench.work, bench.mode)), markup=False, highlight=False)


def _table(outcome: Outcome) -> Table:
    """One line for each that was timed in turn, the fastest first, then those only looked at."""
    table = Table(title=outcome.mode, title_justify="left")
    table.add_column("setting", overflow="fold")
    for title in ("ms", "times as fast as exact", "processor ms"):
        table.add_column(title, justify="right")
    table.add_column("beside the exact one")
    told = {one.setting.words(): one.verdict for one in outcome.screening.found}
    exact = outcome.seconds[EXACT.words()]
    processor = outcome.finals["clocks"].get("cpu", {})
    for name, seconds in sorted(outcome.seconds.items(), key=lambda item: item[1]):
        verdict = told.get(name)
        mark = "" if verdict is None else verdict.told
        if verdict is not None and not verdict.near_enough:
            mark += ": not near enough"
        used = f"{1000 * processor[name]['median']:.1f}" if name in processor else "–"
        chosen = " *" if name == outcome.chosen.setting.words() else ""
        table.add_row(
            f"{name}{chosen}", f"{1000 * seconds:.1f}", f"{exact / seconds:.2f}", used, mark
        )
    table.caption = "* the fastest that is near enough. Medians, all timed in turn."
    return table


def _batch_table(outcome: Outcome) -> Table:
    table = Table(title="images per second")
    table.add_column("images at once", justify="right")
    names = list(outcome.batches[0]["images_per_second"])
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for timed in outcome.batches:
        rates = timed["images_per_second"]
        table.add_row(str(timed["batch"]), *(f"{rates[name]:.2f}" for name in names))
    return table


def _described(args: argparse.Namespace, device: torch.device, work: Work) -> dict[str, Any]:
    return {
        **conditions("benchmark"),
        "command": " ".join(["resnext-det", *sys.argv[1:]]),
        "machine": machine_name(device),
        "config_file": args.config_file or (None if args.checkpoint else DEFAULT_CONFIG),
        "checkpoint": args.checkpoint,
        "image": list(work.images[0].shape[:2]),
    }
