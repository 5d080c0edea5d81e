"""In what two finished runs differ that should not. Engine-neutral."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from resnext_det.training.checkpoint_file import load_checkpoint
from tools.kill_study.traces import curves

_OF_THE_FOLDER = ("/config",)
"""Entries of a checkpoint that know where their run lies."""
_MEDIANS = frozenset(("time", "data_time", "eta_seconds"))
_RESULT = ("metrics", "best", "iteration", "stopped_at", "set_aside", "non_finite", "seed")
_FREE_NAMES = ("events.out.tfevents.", "model_best_before")
"""Files of each start of a run: boards' events, and what a start without a checkpoint keeps."""


def differences(whole: Path, cut: Path) -> list[str]:
    """Returns what differs between two folders, one line each: none where the runs are the same.

    Compared are the names of the files; each checkpoint, entry by entry and tensor by tensor to
    the bit; the curves' evaluations, learning rates and iterations; the boxes found; and what
    result.json says of the outcome. Losses in metrics.json are medians since the start of the
    process, and so are not.

    Args:
        whole: OUTPUT_DIR of the run that nothing stopped.
        cut: of the other.
    """
    found = list(_unlike_sets("files", names(whole), names(cut)))
    for name in sorted(names(whole) & names(cut)):
        pair = whole / name, cut / name
        if name.startswith("inference/"):
            found += [f"{name}: other bytes"] * (pair[0].read_bytes() != pair[1].read_bytes())
        elif name.endswith(".pth"):
            found += unlike(load_checkpoint(pair[0]), load_checkpoint(pair[1]), name)
    found += unlike(told(whole), told(cut), "metrics.json")
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, cut)]
    one, other = ({key: result.get(key) for key in _RESULT} for result in results)
    return [*found, *unlike(one, other, "result.json")]


def names(folder: Path) -> set[str]:
    """Returns the files of a run, without those that each start has of its own."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    found = (path.relative_to(folder).as_posix() for path in paths)
    return {name for name in found if not name.startswith(_FREE_NAMES)}


def told(folder: Path) -> list[dict[str, Any]]:
    """Returns the lines of metrics.json in their order, without what depends on the start."""
    return [
        {key: line[key] for key in ("iteration", "lr")} if _MEDIANS & line.keys() else line
        for line in curves(folder)
    ]


def unlike(one: Any, other: Any, where: str) -> Iterator[str]:
    """Yields the places where two trees differ; tensors to the bit."""
    if where.endswith(_OF_THE_FOLDER):
        return
    if type(one) is not type(other):
        yield f"{where}: {type(one).__name__} and {type(other).__name__}"
    elif isinstance(one, torch.Tensor):
        if one.dtype != other.dtype or one.shape != other.shape or _bytes(one) != _bytes(other):
            yield f"{where}: other numbers"
    elif isinstance(one, Mapping):
        yield from _unlike_sets(where, {*one}, {*other})
        for key in one.keys() & other.keys():
            yield from unlike(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield f"{where}: {len(one)} and {len(other)} entries"
        for place, pair in enumerate(zip(one, other, strict=False)):
            yield from unlike(*pair, f"{where}/{place}")
    elif one != other:
        yield f"{where}: {one!r} and {other!r}"


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _unlike_sets(where: str, one: set[Any], other: set[Any]) -> Iterator[str]:
    for label, extra in (("only in the whole run", one - other), ("only in the cut", other - one)):
        if extra:
            yield f"{where}: {label}: {', '.join(sorted(map(str, extra)))}"
