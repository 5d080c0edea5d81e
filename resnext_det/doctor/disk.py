"""Room on the disks that a run writes to. Engine-neutral."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from resnext_det.cache_folder import cache_folder
from resnext_det.doctor.findings import Finding, fine, gigabytes, note, problem
from resnext_det.doctor.places import nearest_folder

_TOO_LITTLE, _LITTLE = 10**9, 10**10
"""Bytes: a checkpoint of Faster R-CNN with ResNeXt-101 and FPN has 0.8 × 10⁹ with its momentum
(105 million parameters of 4 bytes, twice), and a new one is written before an old one goes."""


def look(output: Path) -> Iterator[Finding]:
    """Tells what is free where runs and fetched weights go; `output_folder` tells of a file."""
    if (folder := nearest_folder(output)).is_dir():
        yield judge("free for runs", folder)
    yield judge("free for weights", nearest_folder(cache_folder("weights")))


def judge(check: str, folder: Path) -> Finding:
    """Judges the room in a folder that is there; quotas of users are not seen."""
    free = shutil.disk_usage(folder).free
    text = f"{folder}: {gigabytes(free)} free"
    facts = {"folder": str(folder), "bytes": free}
    numbers = os.statvfs(folder)
    if numbers.f_files and not numbers.f_favail:
        advice = "Remove files: their number is used up, whatever their size"
        return problem(check, f"{folder}: no further file can be made", advice, **facts)
    if free < _TOO_LITTLE:
        return problem(check, text, "Make room: a checkpoint takes up to 1 GB", **facts)
    if free < _LITTLE:
        return note(
            check, text, "A few checkpoints fill that; see SOLVER.KEEP_CHECKPOINTS", **facts
        )
    return fine(check, text, **facts)
