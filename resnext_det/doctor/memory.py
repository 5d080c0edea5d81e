"""Memory that is left by every limit, and what data loaders share. Engine-neutral."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from resnext_det.available_memory import available_memory
from resnext_det.doctor.findings import Finding, fine, gigabytes, note, problem

_TOO_LITTLE, _LITTLE = 10**9, 4 * 10**9
"""Bytes: torch, torchvision and a small detector take the first; COCO's annotations and workers
that read them the second."""
_SHARED_TOO_LITTLE, _SHARED_LITTLE = 10**8, 4 * 10**8
"""Bytes: a container has 64 MiB unless told otherwise; the default four workers hold two batches
of 16 images of 3 × 800 × 1333 bytes each, 0.4 × 10⁹."""
_SHARED = Path("/dev/shm")


def look() -> Iterator[Finding]:
    """Tells of memory and shared memory."""
    yield judge_memory(available_memory())
    yield judge_shared(_SHARED)


def judge_memory(left: int | None) -> Finding:
    """Judges the bytes that this process may still take."""
    check = "memory"
    if left is None:
        return note(check, "how much is free is not known", "Look at it yourself before a long run")
    text, facts = f"{gigabytes(left)} can still be had, by every limit", {"bytes": left}
    if left < _TOO_LITTLE:
        advice = "Free some, or raise the container's or job's limit: a run needs more"
        return problem(check, text, advice, **facts)
    if left < _LITTLE:
        advice = "Fine for small sets; else fewer DATALOADER.NUM_WORKERS and smaller batches"
        return note(check, text, advice, **facts)
    return fine(check, text, **facts)


def judge_shared(folder: Path) -> Finding:
    """Judges the room where the workers of a data loader leave batches."""
    check = "shared memory"
    if not folder.is_dir():
        return note(check, f"there is no {folder}", "Where workers fail: DATALOADER.NUM_WORKERS 0")
    free = shutil.disk_usage(folder).free
    text, facts = f"{folder}: {gigabytes(free)} free", {"bytes": free}
    advice = "Start the container with `--shm-size=8g`, or set DATALOADER.NUM_WORKERS 0"
    if free < _SHARED_TOO_LITTLE:
        return problem(check, f"{text}: workers die of bus errors", advice, **facts)
    if free < _SHARED_LITTLE:
        return note(check, text, advice, **facts)
    return fine(check, text, **facts)
