"""Writing weights under another project's names, in its convention. Engine-neutral.

A file is written whole or not at all, read back, and compared with what was meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.choices import PARTS
from resnext_det.weights.convention import Convention
from resnext_det.weights.expressing import NORM_EPS, NotExpressible, express, fold_norm_eps
from resnext_det.weights.heads import infer_head
from resnext_det.weights.naming.base import UnknownNames
from resnext_det.weights.naming.detectron2 import backbone_ending, is_backbone_key
from resnext_det.weights.side_car import SideCar, path_beside
from resnext_det.weights.side_car_files import digest_of, with_digest, write_beside
from resnext_det.weights.sources import Weights, weights_of_file
from resnext_det.weights.suiting import norm_of_weights
from resnext_det.weights.targets import Target, find_target
from resnext_det.whole_files import write_whole

_IN_HEADER = ".safetensors"  # holds its own side-car


@dataclass(frozen=True)
class Prepared:
    """What a file is going to hold.

    Attributes:
        target: what it is written as.
        state: our name -> tensor, re-expressed.
        tensors: name in the file -> the same tensor.
        side_car: with the digest of `tensors`.
        notes: a line each on what was changed or left out.
    """

    target: Target
    state: dict[str, Tensor]
    tensors: dict[str, Tensor]
    side_car: SideCar
    notes: tuple[str, ...]


def write_weights(
    path: Path, weights: Weights, to: str, *, part: str = "all", force: bool = False
) -> SideCar:
    """Writes weights as another project has them.

    Args:
        path: whose suffix says the form of the file.
        weights: as `resolve_weights` returns them; they are not changed.
        to: a name of `TARGETS`.
        part: "all", or "backbone" for stem and stages alone.
        force: whether a file that is there is replaced.

    Returns:
        The side-car that was written with the tensors.

    Raises:
        UserError: see `prepare` and `write_prepared`.
    """
    prepared = prepare(weights, to, part=part)
    write_prepared(path, prepared, weights.source, force=force)
    return prepared.side_car


def prepare(weights: Weights, to: str, *, part: str = "all") -> Prepared:
    """Renames and re-expresses weights, and writes nothing.

    Args:
        weights: as `resolve_weights` returns them; they are not changed.
        to: a name of `TARGETS`.
        part: "all", or "backbone" for stem and stages alone.

    Raises:
        UserError: there is no such target, or it has no place for what the weights have.
    """
    target = find_target(to)
    if not weights.state:
        raise UserError(f"{weights.source} holds no weights")
    state, side_car = _part(weights, part)
    notes = (*weights.notes, *_left_out(weights.state, state))
    norm = norm_of_weights(replace(weights, state=state, side_car=side_car))
    _check_place(target, state, norm, weights.source)
    state = fold_norm_eps(state, side_car.norm_eps)
    if side_car.norm_eps not in (None, NORM_EPS):
        notes = (*notes, f"epsilon {side_car.norm_eps:g} of the norms moved into their variances")
    state, convention = _expressed(target, state, side_car.convention, weights.source)
    state = {key: target.as_stored(tensor) for key, tensor in state.items()}
    try:
        tensors = target.naming.from_ours(state) if target.naming.from_ours else {}
    except UnknownNames as error:
        raise UserError(
            f"{weights.source}: {target.name} has no names for {error}: give --to detectron2 or "
            "--to safetensors, which hold everything, or --part backbone"
        ) from None
    described = _describe(weights, replace(side_car, norm=norm), state)
    described = with_digest(replace(described, convention=convention), tensors)
    return Prepared(target, state, tensors, described, notes)


def write_prepared(path: Path, prepared: Prepared, source: str, *, force: bool = False) -> None:
    """Writes the file and, where it has no header, the side-car beside it; reads both back.

    Args:
        path: whose suffix says the form of the file.
        prepared: from `prepare`.
        source: the path or address that the weights came from, which is not written to.
        force: whether files that are there are replaced.

    Raises:
        UserError: the target has no such files, something is there already, or the disk refuses
            the file or gives back something else.
    """
    write = prepared.target.write_for(path.suffix)
    check_free(path, source, force)
    content = write(prepared.tensors, prepared.side_car)
    if path.suffix == _IN_HEADER:
        write_whole(path, lambda file: file.write(content))
    else:
        _write_both(path, content, prepared.side_car)
    back = weights_of_file(path, str(path))
    if digest_of(back.state) != digest_of(prepared.state):
        raise UserError(f"{path}: the disk gave back other tensors than were written: remove it")


def check_free(path: Path, source: str, force: bool) -> None:
    """Checks that nothing is in the way of a file, before anything is read.

    Args:
        path: the file to be written.
        source: that is read.
        force: whether a file that is there may be replaced.

    Raises:
        UserError: it is the source, a folder, or there without `force`; its side-car, likewise.
    """
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise UserError(f"{path}: is the file that is read: give the new one another name")
    there = [path] if path.suffix == _IN_HEADER else [path, path_beside(path)]
    for file in there:
        if file.is_dir():
            raise UserError(f"{file}: is a folder: name a file")
        if file.exists() and not force:
            raise UserError(
                f"{file}: is there already: give another name, or --force to replace it"
            )


def _part(weights: Weights, part: str) -> tuple[dict[str, Tensor], SideCar]:
    if part not in PARTS:
        raise UserError(f"--part {part}: choose one of {', '.join(PARTS)}")
    if part == "all":
        return dict(weights.state), weights.side_car
    state: dict[str, Tensor] = {}
    for key, tensor in weights.state.items():
        if ending := backbone_ending(key):
            if ending in state:
                raise UserError(f"{weights.source}: holds two backbones ({key}): take one out")
            state[ending] = tensor
    if not state:
        raise UserError(f"{weights.source}: holds no backbone")
    return state, replace(weights.side_car, class_names=(), accuracy={}, outputs={})


def _left_out(whole: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> tuple[str, ...]:
    left = len(whole) - len(kept)
    if not left:
        return ()
    heads = sorted({key.split(".")[0] for key in whole if not is_backbone_key(key)})
    return (f"{left} tensors left out, beside the backbone: {', '.join(heads)}",)


def _check_place(target: Target, state: Mapping[str, Tensor], norm: str, source: str) -> None:
    if not target.whole_detectors and (head := infer_head(state)).is_detector:
        raise UserError(
            f"{source} is a detector ({head}), for which {target.name} has no names: give "
            "--to detectron2 or --to safetensors, or --part backbone"
        )
    if not target.keeps_any_norm and norm in ("affine", "GN"):
        what = {"affine": "BatchNorm folded into scale and bias", "GN": "GroupNorm"}[norm]
        raise UserError(
            f"{source} has {what}, for which {target.name}'s networks have no place: give "
            "--to detectron2 or --to safetensors"
        )


def _expressed(
    target: Target, state: dict[str, Tensor], from_: Convention | None, source: str
) -> tuple[dict[str, Tensor], Convention | None]:
    """Returns the tensors for the target's images, and their convention."""
    to = target.convention
    if to is None:
        return state, from_
    if from_ is None:
        raise UserError(
            f"{source} does not say how its images were normalised, and all of {target.name}'s are "
            f"{to}: say it in a side-car, or give --to detectron2 or --to safetensors"
        )
    try:
        return express(state, from_, to), to
    except NotExpressible as error:
        raise UserError(
            f"{source} cannot be written for {target.name}: {error}; give --to detectron2 or "
            "--to safetensors, which keep its convention"
        ) from None


def _describe(weights: Weights, side_car: SideCar, state: Mapping[str, Tensor]) -> SideCar:
    architecture = infer_architecture(state)
    source = weights.source
    is_batch_norm = side_car.norm == "BN"
    return replace(
        side_car,
        origin=side_car.origin or (source if "://" in source else Path(source).name),
        architecture=side_car.architecture or (architecture.name if architecture else ""),
        norm_eps=NORM_EPS if side_car.norm_eps is not None and is_batch_norm else side_car.norm_eps,
        origin_sha256=weights.file_sha256 or side_car.origin_sha256,
    )


def _write_both(path: Path, content: bytes, side_car: SideCar) -> None:
    """Writes the side-car first: where the weights are, their side-car is."""
    beside = path_beside(path)
    before = beside.read_bytes() if beside.is_file() else None
    write_beside(path, side_car)
    try:
        write_whole(path, lambda file: file.write(content))
    except BaseException:
        if before is None:
            beside.unlink(missing_ok=True)
        else:
            beside.write_bytes(before)
        raise
