"""How long jobs take on this machine, from a few iterations of each. Engine-neutral."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projects.studies.code_version import REPOSITORY
from projects.studies.places import Place
from projects.studies.planning.job_facts import JobFacts
from projects.studies.planning.measured_inputs import few_test_images, starting_weights
from projects.studies.planning.timed_run import AT_MOST, WARM_UP
from resnext_det.errors import UserError, one_line
from resnext_det.json_files import read_json

TIMED_RUN = (sys.executable, "-m", "projects.studies.planning.timed_run")
_A_CORE = Place()
LIMIT_SECONDS = 1800.0  # of one measured run, with reading its data
_RECORD = "timed.json"
_CONSOLE = "console.txt"
# A measured run neither saves nor evaluates before its end, and tells no one.
_OVERRIDES = (
    *("SOLVER.MAX_ITER", str(WARM_UP + AT_MOST), "SOLVER.CHECKPOINT_PERIOD", "1000000"),
    *("TEST.EVAL_PERIOD", "0", "TEST.BEST_METRIC", "", "TEST.PATIENCE", "0"),
    *("TEST.VALIDATION_LOSS", "False", "TEST.PICTURES", "0", "TEST.EXPECTED_RESULTS", "[]"),
    *("TEST.MORE_CROPS", "[]", "TEST.TEN_CROP", "False", "WANDB.PROJECT", ""),
)


@dataclass(frozen=True)
class Measurement:
    """What a few iterations of a job took.

    Attributes:
        iterations: how many are timed.
        seconds_per_iteration: of these, a mean.
        seconds_per_test_image: of the evaluation; None where there was none.
        start_up_seconds: of a run, beside its iterations and evaluations.
        core_share: what of a core's time the training process had, at most 1; it is less where
            other work takes the machine's cores, or where it waits for data.
        memory_bytes: the peak, of the training process, or on a GPU of what torch allocated.
        on_gpu: whether it is a GPU's.
    """

    iterations: int
    seconds_per_iteration: float
    seconds_per_test_image: float | None
    start_up_seconds: float
    core_share: float
    memory_bytes: int
    on_gpu: bool


@dataclass
class _Running:
    facts: JobFacts
    folder: Path
    test_images: int
    process: subprocess.Popen[bytes]
    begin: float


def measure_jobs(
    jobs: Sequence[JobFacts],
    *,
    side_by_side: int = 1,
    place: Place = _A_CORE,
    say: Callable[[str], object] = print,
    words: Sequence[str] = TIMED_RUN,
) -> list[Measurement | str]:
    """Measures jobs whose data are here, each in a temporary folder.

    Args:
        jobs: to measure.
        side_by_side: how many at a time, as they will run.
        place: where each of them runs.
        say: is given a line for each.
        words: what is run in place of train_net.py.

    Returns:
        For each job its measurement, or why there is none.
    """
    found: dict[int, Measurement | str] = {}
    waiting, running = list(enumerate(jobs)), dict[int, _Running]()
    with tempfile.TemporaryDirectory(prefix="plan-") as folder, _stopped_at_the_end(running):
        while waiting or running:
            while waiting and len(running) < side_by_side:
                number, facts = waiting.pop(0)
                say(f"Measuring {number + 1} of {len(jobs)}: {facts.job.title}")
                try:
                    own = Path(folder) / str(number)
                    running[number] = _start(facts, own, words, place)
                except UserError as error:
                    found[number] = one_line(str(error))
            time.sleep(0.05)
            for number, entry in list(running.items()):
                if _has_ended(entry):
                    found[number] = _result(running.pop(number))
                    shutil.rmtree(entry.folder)  # of large networks, before the next begins
    return [found[number] for number in range(len(jobs))]


def measured_arguments(facts: JobFacts, folder: Path) -> tuple[list[str], int]:
    """Returns the arguments of a measured run, and how many images it is evaluated on.

    Args:
        facts: the job.
        folder: of the measurement; the run's own is below it.
    """
    front = _without_option(facts.front, "--test-data")
    tests, images = few_test_images(facts, folder)
    weights = starting_weights(facts.cfg, folder / "weights.pth")
    own = ["MODEL.WEIGHTS", weights, "OUTPUT_DIR", str(folder / "run")]
    if not images:
        own += ["DATASETS.TEST", "[]", "DATASETS.PROPOSAL_FILES_TEST", "[]"]
    elif facts.classifies:
        own += ["TEST.CLASS_SUBSET", "True"]  # a few images need not be of every class
    return [*front, *tests, *facts.pairs, *_OVERRIDES, *own], images


def _start(facts: JobFacts, folder: Path, words: Sequence[str], place: Place) -> _Running:
    (folder / "run").mkdir(parents=True)
    arguments, images = measured_arguments(facts, folder)
    with (folder / _CONSOLE).open("wb") as console:
        process = subprocess.Popen(
            place.words([*words, str(folder / "run" / _RECORD), *arguments]),
            stdout=console,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": _python_path(), **place.environment},
            start_new_session=True,
        )
    return _Running(facts, folder, images, process, time.monotonic())


def _python_path() -> str:
    """This checkout first: the same code as train_net.py's."""
    return os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))


def _has_ended(entry: _Running) -> bool:
    if entry.process.poll() is None and time.monotonic() - entry.begin > LIMIT_SECONDS:
        _kill(entry.process)
    return entry.process.poll() is not None


def _result(entry: _Running) -> Measurement | str:
    whole = time.monotonic() - entry.begin
    record = entry.folder / "run" / _RECORD
    status = entry.process.returncode
    if status != 0 or not record.exists():
        return _why(entry, status, whole)
    try:
        content: dict[str, Any] = read_json(record)
    except UserError as error:  # it was killed while it wrote, or the disk is full
        return one_line(str(error))
    images, evaluation = entry.test_images, content["evaluation_seconds"]
    return Measurement(
        iterations=content["iterations"],
        seconds_per_iteration=content["seconds"] / content["iterations"],
        seconds_per_test_image=evaluation / images if images else None,
        start_up_seconds=max(0.0, whole - content["training_seconds"] - evaluation),
        core_share=min(1.0, content["cpu_seconds"] / content["seconds"]),
        memory_bytes=content["memory_bytes"],
        on_gpu=content["on_gpu"],
    )


def _why(entry: _Running, status: int, seconds: float) -> str:
    """Says in a line why a measured run has no result."""
    if seconds > LIMIT_SECONDS:
        return f"no iterations within {LIMIT_SECONDS / 60:.0f} minutes"
    if status == -signal.SIGKILL:
        return "the run was killed: too little memory?"
    text = (entry.folder / _CONSOLE).read_text(errors="replace")
    lines = [one_line(line.strip()) for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    said = (errors or lines or ["it said nothing"])[-1].removeprefix("error: ")
    return said if errors else f"the run ended with status {status}: {said}"


def _without_option(words: Sequence[str], option: str) -> list[str]:
    return [
        word
        for before, word in zip(("", *words), words, strict=False)
        if option not in (word, before) and not word.startswith(f"{option}=")
    ]


@contextmanager
def _stopped_at_the_end(running: Mapping[int, _Running]) -> Iterator[None]:
    """Ends what still runs when a plan is interrupted."""
    try:
        yield
    finally:
        for entry in running.values():
            _kill(entry.process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a run and the processes that it started: nothing of it is worth keeping."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
