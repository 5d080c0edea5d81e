"""Weights that torchvision, timm or an address provide, fetched by them. Engine-neutral."""

import difflib
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import Tensor

from resnext_det.errors import UserError

_FAMILIES = ("resnet", "resnext", "wide_resnet")


def fetch_torchvision(name: str) -> dict[str, Tensor]:
    """Returns the state dict of `NAME/WEIGHTS`, its digest checked by torchvision.

    Raises:
        UserError: an unknown name, with the nearest; or it cannot be fetched.
    """
    model, _, weights = name.partition("/")
    spec = f"torchvision://{name}"
    models = [m for m in torchvision.models.list_models() if m.startswith(_FAMILIES)]
    if model not in models:
        raise UserError(f"{spec}: torchvision has no ResNet of that name{_nearest(model, models)}")
    choices = torchvision.models.get_model_weights(model).__members__
    if weights not in choices:
        raise UserError(
            f"{spec}: torchvision has no such weights{_nearest(weights, list(choices))}; "
            f"there is {', '.join(f'{model}/{choice}' for choice in choices)}"
        )
    entry = choices[weights]
    try:
        return entry.get_state_dict(progress=False, check_hash=True, map_location="cpu")
    except (OSError, RuntimeError) as error:  # URLError is an OSError; RuntimeError: the digest
        raise UserError(_not_fetched(spec, entry.url, error)) from error


def fetch_timm(name: str) -> tuple[dict[str, Tensor], tuple[float, ...], tuple[float, ...]]:
    """Returns a timm model's state dict, and its mean and std in 0-255 units.

    Raises:
        UserError: timm is not installed; an unknown name; or it cannot be fetched.
    """
    spec = f"timm://{name}"
    try:
        import timm
    except ImportError:
        raise UserError(f"{spec} needs timm: pip install timm") from None
    known = timm.list_pretrained(filter=[f"{family}*" for family in _FAMILIES])
    base_names = {entry.partition(".")[0] for entry in known}
    if name not in known and name not in base_names:
        candidates = sorted({*known, *base_names})
        raise UserError(f"{spec}: timm has no such ResNet weights{_nearest(name, candidates)}")
    try:
        model = timm.create_model(name, pretrained=True)
    except Exception as error:  # huggingface_hub's errors share no base and change by version
        address = f"https://huggingface.co/timm/{name}"
        raise UserError(_not_fetched(spec, address, error)) from error
    settings: Any = model.pretrained_cfg
    mean, std = (tuple(255.0 * value for value in settings[key]) for key in ("mean", "std"))
    return model.state_dict(), mean, std


def fetch_address(url: str) -> Path:
    """Downloads a file once, into torch.hub's folder, and returns its path.

    Raises:
        UserError: it cannot be fetched.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / os.path.basename(urlparse(url).path)
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(_not_fetched(url, url, error)) from error
    return path


def _not_fetched(spec: str, url: str, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120].strip(" .")
    return (
        f"MODEL.WEIGHTS {spec}: could not fetch {url} ({reason}); fetch it elsewhere and set "
        "MODEL.WEIGHTS to that file"
    )


def _nearest(name: str, candidates: list[str]) -> str:
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.0)
    return f"; the nearest is {close[0]!r}" if close else ""
