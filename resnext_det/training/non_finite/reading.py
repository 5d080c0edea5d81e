"""Bundles read back as what they may be: files of a stranger. Engine-neutral."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from resnext_det.errors import UserError, one_line
from resnext_det.small_files import check_plain, read_small
from resnext_det.training.non_finite.bundle import FORMAT
from resnext_det.training.non_finite.bundle_files import CONFIG, FACTS, MODEL, check_is_bundle
from resnext_det.training.non_finite.trees import Kind, decode

ENGINES = ("portable", "d2", "classification")
_MOST_BYTES = 2**28
"""Of a JSON file: polygons of a crowded batch are some millions of numbers."""
_MOST_SHARES = 4096


@dataclass(frozen=True)
class Bundle:
    """What `bundle.json` says, checked.

    Attributes:
        folder: the bundle.
        engine: "portable", "d2" or "classification".
        iteration: counted from 0.
        processes: how many shared the update.
        reason: one line.
        error: what the model said when it broke off the forward pass.
        terms: name -> loss, and the gradient norm; not finite ones too.
        not_finite: names of the terms that are not finite.
        scaler: state of float16's scaler; {} without one.
        parts: further state before the update, by entry.
        seeds: torch's seed in each process.
        images: what each process's images are called.
        versions: of what it ran with.
    """

    folder: Path
    engine: str
    iteration: int
    processes: int
    reason: str
    error: str
    terms: Mapping[str, float]
    not_finite: tuple[str, ...]
    scaler: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    images: tuple[tuple[Mapping[str, Any], ...], ...]
    versions: Mapping[str, str]

    @property
    def config(self) -> Path:
        """The run's config."""
        return self.folder / CONFIG

    def model(self) -> dict[str, Tensor]:
        """Reads the weights and buffers before the update.

        Raises:
            UserError: they are not there, or no file of tensors.
        """
        return _tensors(self.folder / MODEL)

    def batch(self, rank: int, kinds: Sequence[Kind]) -> tuple[Any, dict[str, Tensor]]:
        """Reads a process's share of the batch.

        Args:
            rank: of the process.
            kinds: the classes of objects that it may hold.

        Returns:
            The batch, and its tensors by their places.

        Raises:
            UserError: it is not there, was not kept, or is damaged.
        """
        file = self.folder / f"rank_{rank}.json"
        said = _object(_read(file), file)
        if "batch" not in said:
            raise UserError(
                f"{file}: the batch was not kept: {one_line(str(said.get('not_kept')))}"
            )
        tensors = _tensors(file.with_suffix(".safetensors"))
        return _made(file, lambda: decode(said["batch"], kinds, tensors)), tensors


def read_bundle(folder: Path) -> Bundle:
    """Reads what a bundle says; its tensors are read when they are asked for.

    Raises:
        UserError: it is no bundle, of another version, or damaged.
    """
    check_is_bundle(folder)
    file = folder / FACTS
    said = _object(_read(file), file)
    _check_plain(folder / CONFIG)
    if said.get("format") != FORMAT:
        raise UserError(
            f"{file}: has the format {said.get('format')!r}, this version reads {FORMAT}"
        )
    return _made(file, lambda: _bundle(folder, said))


def _bundle(folder: Path, said: Mapping[str, Any]) -> Bundle:
    shares = said["shares"]
    processes = int(said["processes"])
    seeds = tuple(int(share["torch_seed"]) for share in shares)
    if not all(0 <= seed < 2**32 for seed in seeds):
        raise ValueError("a seed out of range")
    if said["engine"] not in ENGINES:
        raise ValueError("unknown engine")
    if len(shares) != processes or not 0 < processes <= _MOST_SHARES:
        raise ValueError("not a share for each process")
    return Bundle(
        folder=folder,
        engine=said["engine"],
        iteration=int(said["iteration"]),
        processes=processes,
        reason=one_line(str(said["reason"])),
        error=one_line(str(said["error"])),
        terms={one_line(name): float(value) for name, value in said["terms"].items()},
        not_finite=tuple(one_line(name) for name in said["not_finite"]),
        scaler=dict(said["scaler"]),
        parts={str(name): dict(state) for name, state in said["parts"].items()},
        seeds=seeds,
        images=tuple(tuple(map(dict, share["images"])) for share in shares),
        versions={str(name): str(value) for name, value in said["versions"].items()},
    )


def _read(file: Path) -> Any:
    try:
        return json.loads(read_small(file, _MOST_BYTES))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: is damaged, it is no JSON ({type(error).__name__})") from error


def _object(content: Any, file: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{file}: is damaged, it holds a {type(content).__name__}")
    return content


def _check_plain(file: Path) -> None:
    """Checks a file that another reader opens."""
    try:
        check_plain(file)
    except FileNotFoundError as error:
        raise UserError(f"{file}: is not there: the bundle is not whole") from error
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error


def _tensors(file: Path) -> dict[str, Tensor]:
    _check_plain(file)
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: is damaged ({one_line(str(error))})") from error


def _made(file: Path, make: Callable[[], Any]) -> Any:
    """Makes something of a file's content, whatever that is."""
    try:
        return make()
    except UserError:
        raise
    except (
        *(AssertionError, AttributeError, LookupError, OverflowError, RecursionError),
        *(RuntimeError, TypeError, ValueError),
    ) as error:
        reason = one_line(" ".join(str(error).split()))[:160]
        raise UserError(f"{file}: is damaged ({type(error).__name__}: {reason})") from error
