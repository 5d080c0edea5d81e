"""Larger batches, up to what memory holds. Engine-neutral."""

from collections.abc import Sequence
from typing import Any

import torch

from resnext_det.acceleration.setting import Acceleration
from resnext_det.available_memory import available_memory
from resnext_det.benchmarking.bench import Bench, median_seconds, warm_up
from resnext_det.benchmarking.screening import Say
from resnext_det.timing.processes import ContestantError, Contestants

LONGEST = 60.0
"""Seconds of a step; a batch that takes longer is the last, if no batches are named."""
_MOST = 4096


def time_batches(
    bench: Bench, settings: Sequence[Acceleration], batches: Sequence[int], first: int, say: Say
) -> tuple[list[dict[str, Any]], str]:
    """Times settings at several batch sizes, in turn.

    Args:
        bench: what is timed.
        settings: of ours.
        batches: sizes to time; none: `first` doubled, and doubled again, up to memory.
        first: a size that has been timed.
        say: is told of each.

    Returns:
        For each size what `Bench.alternate` returns, with `images_per_second` and `peak_bytes`
        by name; and why it ended there.
    """
    found: list[dict[str, Any]] = []
    with Contestants() as contestants:
        contestants.open({s.words(): bench.contestant(bench.ours(s)) for s in settings})
        bases = {name: contestant.base for name, contestant in contestants.opened.items()}
        if contestants.skipped:
            return found, "; ".join(f"{n}: {why}" for n, why in contestants.skipped.items())
        for batch in batches or (first * 2**k for k in range(_MOST.bit_length())):
            try:
                timed = _time(bench, contestants, batch)
            except ContestantError as error:
                return found, f"{batch} images: {error}"
            found.append(timed)
            rates = timed["images_per_second"]
            told = ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items())
            say(f"{batch} images at once: images per second: {told}")
            if not batches and (reason := _why_no_more(bench, timed, bases)):
                return found, reason
    return found, "no more were asked for"


def _time(bench: Bench, contestants: Contestants, batch: int) -> dict[str, Any]:
    peaks: dict[str, int] = {}
    for name, contestant in contestants.opened.items():
        for request in warm_up(batch):
            peaks[name] = contestant.ask(request).peak
    timed = bench.alternate(contestants, batch)
    rates = {name: batch / seconds for name, seconds in median_seconds(timed).items()}
    return timed | {"images_per_second": rates, "peak_bytes": peaks}


def _why_no_more(bench: Bench, timed: dict[str, Any], bases: dict[str, int]) -> str | None:
    """Says why twice the batch is not to be tried; None where it is."""
    batch = timed["batch"]
    slowest = max(median_seconds(timed).values())
    if slowest > LONGEST:
        return f"{batch} images take {slowest:.0f} s"
    if 2 * batch > _MOST:
        return f"{batch} images are the most that is tried"
    taken = {name: peak - bases[name] for name, peak in timed["peak_bytes"].items()}
    needed = 2 * max(taken.values())
    if bench.device.type == "cuda":
        # What a process has taken of the GPU once, it keeps for itself.
        needed -= max(taken.values())
        free = torch.cuda.mem_get_info(bench.device)[0]
    else:
        free = available_memory()
    if free is None or needed <= free:
        return None
    return (
        f"{2 * batch} images would take about {needed / 1e9:.1f} GB more, of {free / 1e9:.1f} GB "
        "that are free"
    )
