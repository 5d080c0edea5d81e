"""Timing several functions in alternation, in one process. Engine-neutral."""

import itertools
import time
from collections.abc import Callable, Mapping

import torch

Rounds = dict[str, list[dict[str, float]]]
"""Clock ("wall", "cpu") -> one dict for each round: name -> seconds."""


def alternate(
    steps: Mapping[str, Callable[[], object]], rounds: int, *, cuda: bool = False
) -> Rounds:
    """Times each function once in every round, in all orders in turn, so that none gains by place.

    Args:
        steps: name -> what is timed.
        rounds: how often.
        cuda: wait for the GPU before the clock is read; its processor time is then left out,
            which would be that of the waiting.

    Returns:
        Seconds of the wall clock and of the processor (all threads of this process).
    """
    orders = itertools.cycle(itertools.permutations(steps))
    found: Rounds = {"wall": []} if cuda else {"wall": [], "cpu": []}
    for _, order in zip(range(rounds), orders, strict=False):
        taken = {name: _seconds(steps[name], cuda) for name in order}
        for clock in found:
            found[clock].append({name: taken[name][clock] for name in steps})
    return found


def _seconds(step: Callable[[], object], cuda: bool) -> dict[str, float]:
    if cuda:
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    if cuda:
        torch.cuda.synchronize()
    taken = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {clock: round(seconds, 6) for clock, seconds in taken.items()}
