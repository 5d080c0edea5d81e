"""torchrun's restarts: where an attempt's processes meet, which run is theirs. Engine-neutral.

torchrun keeps one store for all attempts, so what an earlier one left there must
not be taken for today's: each has a number, which rank 0 draws and hands to the others.
"""

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import torch.distributed as dist

from resnext_det.training.rendezvous import not_come

_PAUSE = 0.05
_runs: dist.Store | None = None
"""What all attempts know; None where torchrun has not started this process."""
_is_restarted = False


def has_agent_store(variables: Mapping[str, str]) -> bool:
    """Tells whether torchrun itself keeps the store at MASTER_ADDR, over all attempts."""
    return variables.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)


def join_attempt(agents: dist.Store, rank: int, world_size: int, timeout: float) -> dist.Store:
    """Returns where the processes of this attempt meet.

    torchrun counts restarts too, but on each machine by itself: the counts can differ.

    Args:
        agents: the store that torchrun keeps.
        rank: this process.
        world_size: how many come.
        timeout: seconds to wait for them.

    Raises:
        UserError: some have not come.
    """
    global _runs, _is_restarted
    _runs = dist.PrefixStore("resnext_det/runs", agents)
    attempts = dist.PrefixStore("resnext_det/attempts", agents)
    if rank == 0:
        number = attempts.add("number", 1)
        _take_in(attempts, number, world_size, timeout)
    else:
        number = _ask(attempts, rank, world_size, timeout)
    _is_restarted = number > 1
    return dist.PrefixStore(f"resnext_det/attempt/{number}", agents)


def is_restarted() -> bool:
    """Tells whether torchrun has begun this run's processes before."""
    # Its own count can be 0 on a machine whose processes were well.
    return _is_restarted or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def note_opened(folder: Path) -> None:
    """Notes that the run in a folder is this torchrun's: it found the folder fit for it."""
    if _runs is not None:
        _runs.set(str(folder.absolute()), "")


def goes_on_by_itself(folder: Path) -> bool:
    """Tells whether an earlier attempt of this torchrun began the run in a folder."""
    return _runs is not None and _runs.check([str(folder.absolute())])


def _take_in(attempts: dist.Store, number: int, world_size: int, timeout: float) -> None:
    """Answers whoever comes, by the word that it came with: what died is not answered."""
    missing = set(range(1, world_size))
    end = time.monotonic() + timeout
    while missing:
        for rank in sorted(missing):
            if attempts.check([f"{number}/came/{rank}"]):
                word = attempts.get(f"{number}/came/{rank}").decode()
                attempts.set(f"{number}/answer/{rank}", word)
                missing.remove(rank)
        if missing and time.monotonic() >= end:
            raise not_come("rank", sorted(missing), world_size, timeout)
        time.sleep(_PAUSE if missing else 0)


def _ask(attempts: dist.Store, rank: int, world_size: int, timeout: float) -> int:
    """Waits for an attempt whose rank 0 answers: that of an earlier one is no more."""
    word = f"{os.getpid()}-{secrets.token_hex(8)}"
    end = time.monotonic() + timeout
    number = 0
    while time.monotonic() < end:
        newest = attempts.add("number", 0)
        if newest != number:
            number = newest
            attempts.set(f"{number}/came/{rank}", word)
        answer = f"{number}/answer/{rank}"
        if attempts.check([answer]) and attempts.get(answer).decode() == word:
            return number
        time.sleep(_PAUSE)
    raise not_come("rank", [0], world_size, timeout)
