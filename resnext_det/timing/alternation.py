"""Timing several functions in alternation, in one process. Engine-neutral."""

import itertools
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch

Rounds = dict[str, list[dict[str, float]]]
"""Clock ("wall", "cpu") -> one dict for each round: name -> seconds."""
CLOCKS = ("wall", "cpu")
CUDA_CLOCKS = ("wall",)
"""Of work on a GPU, where the processor's time is that of the waiting."""


def alternate(
    steps: Mapping[str, Callable[[], object]], rounds: int, *, cuda: bool = False
) -> Rounds:
    """Times each function once in every round, in balanced orders, so that none gains by place.

    Args:
        steps: name -> what is timed.
        rounds: how often.
        cuda: wait for the GPU before the clock is read; its processor time is then left out,
            which would be that of the waiting.

    Returns:
        Seconds of the wall clock and of the processor: all threads of this process, and the
        processes that it started and that ended meanwhile.
    """
    measures = {name: partial(seconds_of, step, cuda=cuda) for name, step in steps.items()}
    return alternate_measures(measures, rounds, CUDA_CLOCKS if cuda else CLOCKS)


def alternate_measures(
    measures: Mapping[str, Callable[[], Mapping[str, float]]],
    rounds: int,
    clocks: Sequence[str] = CLOCKS,
) -> Rounds:
    """Lets each contestant take its time itself; see `alternate`.

    Args:
        measures: name -> what takes one step and returns its seconds by clock.
        rounds: how often.
        clocks: those that are kept.
    """
    orders = itertools.cycle(balanced_orders(list(measures)))
    found: Rounds = {clock: [] for clock in clocks}
    for _, order in zip(range(rounds), orders, strict=False):
        taken = {name: measures[name]() for name in order}
        for clock, kept in found.items():
            kept.append({name: taken[name][clock] for name in measures})
    return found


def balanced_orders(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Gives orders in which each name has every place, and every predecessor, equally often.

    The design of Williams (1949, doi:10.1071/CH9490149): n orders of an even number of names, 2 n
    of an odd one. Of up to three names these are all orders.
    """
    count = len(names)
    # 0, n-1, 1, n-2, …: every distance between neighbours occurs once.
    zigzag = [place // 2 if place % 2 == 0 else count - 1 - place // 2 for place in range(count)]
    for first in (zigzag,) if count % 2 == 0 else (zigzag, zigzag[::-1]):
        for turn in range(count):
            yield tuple(names[(place + turn) % count] for place in first)


def seconds_of(step: Callable[[], object], *, cuda: bool = False) -> dict[str, float]:
    """Takes one step and returns its seconds, by clock of `CLOCKS`; see `alternate`."""
    if cuda:
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), _processor_time()
    step()
    if cuda:
        torch.cuda.synchronize()
    taken = {"wall": time.perf_counter() - wall, "cpu": _processor_time() - cpu}
    return {clock: round(seconds, 6) for clock, seconds in taken.items()}


def _processor_time() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
