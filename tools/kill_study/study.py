"""One study: a run that nothing stops, and runs that are killed. Engine-neutral; Linux."""

import json
import shutil
import sys
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from resnext_det.timing.conditions import conditions
from resnext_det.training.newest import holds_run
from resnext_det.whole_files import PARTIAL
from tools.kill_study.kills import (
    Kill,
    Pace,
    carry_out,
    plan_kills,
    seconds_of_orphans,
    seconds_to_start,
)
from tools.kill_study.sameness import differences
from tools.kill_study.traces import (
    Before,
    Phase,
    half_written,
    has_started,
    log_since,
    newest_iteration,
    phase_of,
)
from tools.tiny_runs import TinyEngine, TinyRun

WHOLE = "whole"
KEYS = {
    "SOLVER.MAX_ITER": 40,
    "SOLVER.STEPS": "[30]",
    "SOLVER.CHECKPOINT_PERIOD": 4,
    "SOLVER.KEEP_CHECKPOINTS": 3,
    "SOLVER.EMA.ENABLED": True,
    "SOLVER.EMA.DECAY": 0.9,
    "TEST.EVAL_PERIOD": 6,
    "TEST.VALIDATION_LOSS": True,
    "TEST.BEST_METRIC": "val/total_loss",
    "DATALOADER.NUM_WORKERS": 2,
}


@dataclass(frozen=True)
class Killed:
    """A kill that happened.

    Attributes:
        run: which of the runs, from 0.
        aim: at what moment it was aimed.
        target: "group" or "main".
        phase: what the run was at, by what its folder tells.
        seconds: from the start of the process.
        newest_iteration: of the checkpoint there; None without one.
        half_written: whether it left a checkpoint half written.
        orphans_seconds: how long the workers outlived their main process; None where it was
            killed with them.
        goes_on_with: the option of the next start.
        resume_seconds: of the next start, until its first iteration; None where it came to none.
    """

    run: int
    aim: str
    target: str
    phase: Phase
    seconds: float
    newest_iteration: int | None
    half_written: bool
    orphans_seconds: float | None
    goes_on_with: str
    resume_seconds: float | None


class KillStudy:
    """A study of one engine.

    Args:
        engine: which, or classification.
        folder: an empty one, for data and runs.
        kills: how many.
        seed: of the moments.
        keys: config keys of the runs.
    """

    def __init__(
        self,
        engine: TinyEngine,
        folder: Path,
        kills: int,
        seed: int,
        keys: dict[str, Any] | None = None,
    ) -> None:
        self._tiny = TinyRun(engine, folder, KEYS | (keys or {}))
        self._folder = folder
        self._seed = seed
        self._plan = plan_kills(kills, seed)
        self._pace = Pace(1.0, 1.0, 1.0, 0.01)
        self.killed: list[Killed] = []
        self.ends: list[dict[str, Any]] = []
        self.failures: list[str] = []

    @property
    def passed(self) -> bool:
        """Whether every run went on and ended as the undisturbed one did."""
        return not self.failures and all(not end["differences"] for end in self.ends)

    def run(self) -> None:
        """Runs all of it."""
        self._tiny.write()
        self._pace = self._run_whole()
        _say(f"undisturbed: {self._pace}")
        kills = list(reversed(self._plan))
        number = 0
        with ThreadPoolExecutor() as watches:
            while kills and not self.failures:
                self._run_cut(number, kills, watches)
                number += 1

    def summary(self) -> dict[str, Any]:
        """Returns what the JSON holds."""
        facts = conditions("-m tools.kill_study")
        facts.pop("threads")  # of this process; those of the runs have one
        return {
            **{key: value for key, value in facts.items() if key != "command"},
            "command": f"python -m tools.kill_study --engine {self._tiny.engine} --kills "
            f"{len(self._plan)} --seed {self._seed}",
            "engine": self._tiny.engine,
            "keys": dict(self._tiny.keys),
            "threads": 1,
            "undisturbed_seconds": {k: round(v, 3) for k, v in asdict(self._pace).items()},
            "passed": self.passed,
            "kills": len(self.killed),
            "kills_by_phase": dict(sorted(Counter(kill.phase for kill in self.killed).items())),
            "kills_by_target": dict(sorted(Counter(kill.target for kill in self.killed).items())),
            "left_half_written": sum(kill.half_written for kill in self.killed),
            "before_the_first_checkpoint": sum(k.newest_iteration is None for k in self.killed),
            "runs": self.ends,
            "failures": self.failures,
            "each": [asdict(kill) for kill in self.killed],
        }

    def _run_whole(self) -> Pace:
        began = time.monotonic()
        process = self._tiny.start(WHOLE)
        folder, start = self._folder / WHOLE, 0.0
        while process.poll() is None:
            if not start and has_started(log_since(folder, Before())):
                start = time.monotonic() - began
            time.sleep(0.01)
        if process.returncode or not start:
            raise RuntimeError(f"the undisturbed run failed:\n{self._said(WHOLE)}")
        whole = time.monotonic() - began
        rounds = self._tiny.keys["SOLVER.MAX_ITER"] / self._tiny.keys["TEST.EVAL_PERIOD"]
        # About: what these times are for is where in them a kill is aimed.
        return Pace(whole, start, 0.5 * (whole - start) / rounds, 0.02)

    def _run_cut(self, number: int, kills: list[Kill], watches: ThreadPoolExecutor) -> None:
        """Starts and kills one run until it ends; takes the kills from the end of the list."""
        name = f"cut{number}"
        folder, option = self._folder / name, "--auto-resume"
        pending: list[_Pending] = []
        starts, process = 0, None
        while process is None or process.returncode != 0:
            before, began = Before.of(folder), time.monotonic()
            process = self._tiny.start(name, option)
            starts += 1
            started = watches.submit(seconds_to_start, process, folder, before)
            if pending:
                pending[-1].resumed = started
            if kills and carry_out(kills[-1], process, folder, before, self._pace):
                seconds = round(time.monotonic() - began, 3)
                kill = kills.pop()
                killed = _look_at(folder, before, kill, number, seconds)
                option = killed.goes_on_with
                orphans = None
                if kill.target == "main":
                    orphans = watches.submit(seconds_of_orphans, process.pid)
                pending.append(_Pending(killed, orphans))
            elif process.wait() != 0:
                self.failures.append(f"run {number}, {option}: {self._said(name)}")
                break
        self.killed += [entry.result() for entry in pending]
        if not self.failures:
            self._compare(number, starts, len(pending))

    def _compare(self, number: int, starts: int, kills: int) -> None:
        folder = self._folder / f"cut{number}"
        left = [f"left: {path.name}" for path in folder.rglob(f"*{PARTIAL}")]
        found = [*differences(self._folder / WHOLE, folder), *left]
        self.ends.append({"starts": starts, "kills": kills, "differences": found})
        _say(f"run {number} has ended after {starts} starts: {found or 'equal'}")
        if not found:
            shutil.rmtree(folder)

    def _said(self, name: str) -> str:
        lines = (self._folder / f"{name}.txt").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])


@dataclass
class _Pending:
    """A kill of which not all is known yet."""

    killed: Killed
    orphans: Future[float | None] | None
    resumed: Future[float | None] | None = None

    def result(self) -> Killed:
        return replace(
            self.killed,
            orphans_seconds=self.orphans.result() if self.orphans else None,
            resume_seconds=self.resumed.result() if self.resumed else None,
        )


def _look_at(folder: Path, before: Before, kill: Kill, run: int, seconds: float) -> Killed:
    """Takes down what the folder of a killed run tells, before another process changes it."""
    killed = Killed(
        run=run,
        aim=kill.aim,
        target=kill.target,
        phase=phase_of(folder, before),
        seconds=seconds,
        newest_iteration=newest_iteration(folder),
        half_written=bool(half_written(folder, before)),
        orphans_seconds=None,
        goes_on_with="--resume" if holds_run(folder) else "--auto-resume",
        resume_seconds=None,
    )
    _say(
        f"run {run}, {kill.aim}: killed ({kill.target}) after {seconds} s at {killed.phase}, "
        f"newest checkpoint {killed.newest_iteration}; goes on with {killed.goes_on_with}"
    )
    return killed


def as_text(content: dict[str, Any]) -> str:
    """Returns the JSON, each kill and run on a line of its own."""
    lines = dict.fromkeys(("each", "runs"))
    rows = {key: [json.dumps(row) for row in content[key]] for key in lines}
    text = json.dumps({**content, **{key: f"@{key}@" for key in rows}}, indent=1)
    for key, found in rows.items():
        inner = ",\n  ".join(found)
        text = text.replace(f'"@{key}@"', f"[\n  {inner}\n ]" if found else "[]")
    return text + "\n"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
