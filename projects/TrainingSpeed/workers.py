"""Where steps run: this process, or another for settings of a whole process. Engine-neutral.

What cuDNN finds for a shape is kept for the process, with `benchmark` or without; so contestants
with it and without it cannot share one. One process waits while the other is at work.
"""

import multiprocessing
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import torch

from projects.TrainingSpeed.contestants import Contestant, Step, Work
from projects.TrainingSpeed.options import why_not

Reasons = dict[str, str]
"""Name of a contestant -> why it cannot run, in one line."""


class Workers:
    """Builds contestants, each in the process that its setting asks for. Use it in a `with`.

    Attributes:
        steps: name -> its training step, run often enough to be timed; in the order given.
        skipped: the others.
    """

    def __init__(self, contestants: Mapping[str, Contestant], work: Work, warm_up: int) -> None:
        reasons = {n: why_not(c.setting, work.device) for n, c in contestants.items()}
        self.skipped: Reasons = {name: reason for name, reason in reasons.items() if reason}
        self.steps: dict[str, Step] = {}
        able = {n: c for n, c in contestants.items() if n not in self.skipped}
        self._order = list(able)
        self._here = {n: c for n, c in able.items() if not c.setting.cudnn_benchmark}
        self._there = {n: c for n, c in able.items() if c.setting.cudnn_benchmark}
        self._work, self._warm_up = work, warm_up
        self._open = ExitStack()

    def __enter__(self) -> Self:
        steps, reasons = build_all(self._here, self._work, self._warm_up)
        self.skipped |= reasons
        if self._there:
            process = self._open.enter_context(_Process(self._there, self._work, self._warm_up))
            self.skipped |= process.reasons
            for name in self._there.keys() - process.reasons.keys():
                steps[name] = partial(process.step, name)
        self.steps = {name: steps[name] for name in self._order if name in steps}
        return self

    def __exit__(self, *error: object) -> None:
        self.steps.clear()
        self._open.close()
        if self._work.device == "cuda":
            torch.cuda.empty_cache()


def build_all(
    contestants: Mapping[str, Contestant], work: Work, warm_up: int
) -> tuple[dict[str, Step], Reasons]:
    """Builds contestants and runs each one's step a few times.

    Returns:
        The steps, and why the others cannot run: memory, a compiler or a package is missing.
    """
    steps, reasons = {}, {}
    for name, contestant in contestants.items():
        try:
            step = contestant.build(work)
            for _ in range(warm_up):
                step()
            steps[name] = step
        except (RuntimeError, ImportError, OSError) as error:
            reasons[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return steps, reasons


class _Process:
    """Another process that runs its contestants' steps when asked to."""

    def __init__(self, contestants: Mapping[str, Contestant], work: Work, warm_up: int) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA cannot be forked
        self._connection, self._theirs = context.Pipe()
        arguments = (self._theirs, dict(contestants), work, warm_up)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self.reasons: Reasons = {}

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()  # so that its end is noticed
        self.reasons = self._connection.recv()
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()  # on which it ends
        self._process.join()

    def step(self, name: str) -> None:
        """Runs one step, and waits for its end."""
        self._connection.send(name)
        self._connection.recv()


def _serve(connection: Any, contestants: dict[str, Contestant], work: Work, warm_up: int) -> None:
    steps, reasons = build_all(contestants, work, warm_up)
    connection.send(reasons)
    while True:
        try:
            name = connection.recv()
        except EOFError:
            return
        steps[name]()
        if work.device == "cuda":
            torch.cuda.synchronize()
        connection.send(None)
