"""MODEL.WEIGHTS: a file, an address, torchvision://… or timm://… Engine-neutral."""

import json
import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.convention import (
    Convention,
    check_convention,
    convention_from_config,
    torchvision_convention,
)
from resnext_det.weights.names import is_foreign, is_ours, rename_foreign
from resnext_det.weights.remote import fetch_address, fetch_timm, fetch_torchvision

__all__ = [
    "Weights",
    "check_convention",
    "resolve_weights",
    "weights_from_checkpoint",
    "weights_from_state",
]


@dataclass(frozen=True)
class Weights:
    """Tensors by our names, and what is known of where they come from.

    Attributes:
        state: a detector's full names, or a classifier's without a prefix (`res2.0.…`).
        source: the path or address that the user gave, for messages.
        convention: how its images were normalised, None where that is not known.
        class_names: of the head, empty where they are not known.
    """

    state: dict[str, Tensor]
    source: str
    convention: Convention | None = None
    class_names: tuple[str, ...] = ()


def resolve_weights(spec: str) -> Weights | None:
    """Reads what MODEL.WEIGHTS names, onto the CPU.

    Args:
        spec: a path to a .pth or .safetensors in our, Detectron2's, torchvision's or
            timm's names; an http(s) address of one; `torchvision://NAME/WEIGHTS`;
            `timm://NAME`; or "".

    Returns:
        The weights, or None for "": training from scratch, which the log then says.

    Raises:
        UserError: it is not there, cannot be fetched, or is nothing we can read.
    """
    if not spec:
        logging.getLogger(__name__).info("MODEL.WEIGHTS is empty: training from scratch")
        return None
    scheme, separator, rest = spec.partition("://")
    if not separator:
        return _read_file(Path(spec), spec)
    if scheme == "torchvision":
        return weights_from_state(fetch_torchvision(rest), spec, torchvision_convention())
    if scheme == "timm":
        state, mean, std = fetch_timm(rest)
        return weights_from_state(state, spec, Convention("RGB", mean, std))
    if scheme in ("http", "https") and not spec.endswith(".pkl"):
        return _read_file(fetch_address(spec), spec)
    raise UserError(f"MODEL.WEIGHTS {spec}: {_why_not(spec)}")


def weights_from_state(
    state: Mapping[str, Any],
    source: str,
    convention: Convention | None = None,
    class_names: tuple[str, ...] = (),
) -> Weights:
    """Takes a state dict in any known naming and gives it ours.

    Raises:
        UserError: its names are of no ResNet or ResNeXt that we know, or a tensor has no plain
            real numbers.
    """
    tensors = {
        _without_wrapper(k): v
        for k, v in state.items()
        if isinstance(k, str) and isinstance(v, Tensor)
    }
    _check_numbers(tensors, source)
    if is_ours(tensors):
        return Weights(tensors, source, convention, class_names)
    if not is_foreign(tensors):
        raise UserError(
            f"{source}: its names ({', '.join(list(tensors)[:3]) or 'none'} …) are neither "
            "Detectron2's nor torchvision's or timm's for a ResNet or ResNeXt"
        )
    try:
        renamed = rename_foreign(tensors)
    except KeyError as error:
        raise UserError(
            f"{source}: no plain ResNet or ResNeXt, it also has {error.args[0]}"
        ) from None
    return Weights(renamed, source, convention or torchvision_convention(), class_names)


def _read_file(path: Path, source: str) -> Weights:
    if path.suffix in (".pkl", ".t7", ".pyth"):
        raise UserError(f"MODEL.WEIGHTS {source}: {_why_not(source)}")
    if not path.is_file():
        raise UserError(f"MODEL.WEIGHTS {source}: no such file")
    try:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"MODEL.WEIGHTS {source}: torn, or it holds more than tensors, which could run code; "
            "save its state_dict() alone"
        ) from error
    except Exception as error:  # garbage makes the readers fail in any way, IndexError too
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"MODEL.WEIGHTS {source}: torn, or no weights file ({reason})") from error
    if not isinstance(content, Mapping):
        raise UserError(f"MODEL.WEIGHTS {source}: holds a {type(content).__name__}, no state dict")
    return weights_from_checkpoint(content, source)


def weights_from_checkpoint(content: Mapping[str, Any], source: str) -> Weights:
    """Takes the weights, the convention and the class names out of a loaded checkpoint.

    Args:
        content: a bare state dict, or one under `model` or `state_dict` with more beside it.
        source: its path, for messages.

    Raises:
        UserError: as `weights_from_state`.
    """
    state = next(
        (content[k] for k in ("model", "state_dict") if isinstance(content.get(k), Mapping)),
        content,
    )
    config = content.get("config")
    convention = convention_from_config(config) if isinstance(config, str) else None
    return weights_from_state(state, source, convention, _class_names(content, source))


def _class_names(content: Mapping[str, Any], source: str) -> tuple[str, ...]:
    names = content.get("class_names")
    if names is None:
        return ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source}: its class_names are no list of names; mend or remove them")
    if len(set(names)) < len(names):
        raise UserError(f"{source}: its class_names have a name twice; mend or remove them")
    return tuple(names)


def _check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Refuses what no model is filled from, though torch saves it."""
    for name, value in tensors.items():
        kind = "complex" if value.is_complex() else "quantized" if value.is_quantized else None
        kind = "sparse" if value.layout != torch.strided else "meta" if value.is_meta else kind
        if kind:
            raise UserError(f"{source}: {name} is a {kind} tensor; save it as plain numbers")


def _read_pth(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator)
    names = json.loads(metadata["class_names"]) if "class_names" in metadata else []
    return {"model": state, "config": metadata.get("config"), "class_names": names}


def _without_wrapper(key: str) -> str:
    return key.removeprefix("module.")  # DistributedDataParallel's


def _why_not(spec: str) -> str:
    if spec.endswith(".pkl") or spec.startswith(("detectron2://", "catalog://")):
        return (
            "pickled files are not read, they can hold code: load it with Detectron2 and save the "
            "model's state_dict() as a .pth"
        )
    return (
        "give a .pth or .safetensors file, an http(s) address, torchvision://NAME/WEIGHTS "
        "or timm://NAME"
    )
