"""Weights by name: torchvision://, timm://, detectron2://, catalog://, http(s)://. Engine-neutral.

Each name leads to a file on this machine that our own readers read: no other library loads it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torchvision

from resnext_det.errors import UserError
from resnext_det.http_files import Wanted
from resnext_det.web_addresses import shown_address
from resnext_det.weights.cache import CachedFile, find_kept, obtain, parse_address
from resnext_det.weights.catalog import find_entry
from resnext_det.weights.convention import Convention
from resnext_det.weights.remote_names import is_plain_resnet, nearest
from resnext_det.weights.remote_timm import TimmWeights, resolve_timm
from resnext_det.weights.side_car import SideCar

FORMS = (
    "a file, an http(s) address, torchvision://NAME/WEIGHTS, timm://NAME[.TAG] or detectron2://PATH"
)
_DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2"
_DETECTRON = "https://dl.fbaipublicfiles.com/detectron"
# Source: C2_IMAGENET_MODELS in detectron2/checkpoint/catalog.py.
_CATALOG = {
    "MSRA/R-50": "MSRA/R-50.pkl",
    "MSRA/R-101": "MSRA/R-101.pkl",
    "FAIR/R-50-GN": "47261647/R-50-GN.pkl",
    "FAIR/R-101-GN": "47592356/R-101-GN.pkl",
    "FAIR/X-101-32x8d": "20171220/X-101-32x8d.pkl",
    "FAIR/X-101-64x4d": "FBResNeXt/X-101-64x4d.pkl",
    "FAIR/X-152-32x8d-IN5k": "25093814/X-152-32x8d-IN5k.pkl",
}


@dataclass(frozen=True)
class Named:
    """What a name stands for, before anything is fetched.

    Attributes:
        source: the name as messages show it: without passwords.
        place: an address, or files of timm's on its hub.
        known: what is known of the weights.
    """

    source: str
    place: Wanted | TimmWeights
    known: SideCar


@dataclass(frozen=True)
class Fetched:
    """A file on this machine.

    Attributes:
        path: of the file, whose digest was checked where one is known.
        source: the name as messages show it.
        side_car: what is known of the weights, the file's digest included.
    """

    path: Path
    source: str
    side_car: SideCar


def is_remote(spec: str) -> bool:
    """Tells a name or an address from a path."""
    return "://" in spec


def locate_weights(spec: str) -> Fetched:
    """Returns the file of a path as it is, and of a name what `fetch_weights` finds.

    Raises:
        UserError: as `fetch_weights`; whether a path leads to a file is not looked at.
    """
    return fetch_weights(spec) if is_remote(spec) else Fetched(Path(spec), spec, SideCar())


def fetch_weights(spec: str) -> Fetched:
    """Finds the file that a name stands for, in a cache or on its server.

    Raises:
        UserError: an unknown name, with the nearest; it cannot be fetched, or may not be (see
            `cache.is_offline`), with the place where to put it.
    """
    named = resolve_name(spec)
    try:
        file = named.place.obtain() if isinstance(named.place, TimmWeights) else obtain(named.place)
    except UserError as error:
        if str(error).startswith(named.source):
            raise
        raise UserError(f"{named.source}: {error}") from error
    return Fetched(file.path, named.source, replace(named.known, origin_sha256=file.sha256))


def find_cached(spec: str) -> CachedFile | None:
    """Returns the file that a name stands for if it is here already; nothing is fetched.

    Raises:
        UserError: an unknown name.
    """
    place = resolve_name(spec).place
    return place.find_kept() if isinstance(place, TimmWeights) else find_kept(place)


def resolve_name(spec: str) -> Named:
    """Says what a name stands for, without a network.

    Raises:
        UserError: an unknown name, with the nearest.
    """
    scheme, _, rest = spec.partition("://")
    resolve = _SCHEMES.get(scheme.lower())
    if resolve is None:
        raise UserError(f"{spec}: give {FORMS}")
    return resolve(rest, spec)


def _resolve_torchvision(name: str, spec: str) -> Named:
    model, _, weights = name.partition("/")
    models = [m for m in torchvision.models.list_models() if is_plain_resnet(m)]
    if model not in models:
        raise UserError(f"{spec}: torchvision has no ResNet of that name{nearest(model, models)}")
    choices = torchvision.models.get_model_weights(model).__members__
    if weights not in choices:
        raise UserError(
            f"{spec}: torchvision has no such weights{nearest(weights, list(choices))}; "
            f"there is {', '.join(f'{model}/{choice}' for choice in choices)}"
        )
    return Named(
        spec, parse_address(choices[weights].url), _torchvision_facts(choices[weights], spec)
    )


def _torchvision_facts(entry: Any, spec: str) -> SideCar:
    preset = entry.transforms()
    mean, std = (tuple(round(255.0 * v, 4) for v in values) for values in (preset.mean, preset.std))
    figures = entry.meta.get("_metrics", {}).get("ImageNet-1K", {})
    names = {"acc@1": "top1", "acc@5": "top5"}
    return SideCar(
        origin=spec,
        convention=Convention("RGB", mean, std),
        accuracy={ours: figures[theirs] for theirs, ours in names.items() if theirs in figures},
    ).over(_catalogued(spec))


def _resolve_timm(name: str, spec: str) -> Named:
    weights, known = resolve_timm(name, spec)
    return Named(spec, weights, known.over(_catalogued(known.origin)))


def _resolve_detectron2(path: str, spec: str) -> Named:
    return _named_address(f"{_DETECTRON2}/{path.lstrip('/')}", spec)


def _resolve_catalog(name: str, spec: str) -> Named:
    prefix, _, rest = name.partition("/")
    file = _CATALOG.get(rest) if prefix == "ImageNetPretrained" else None
    if file is None:
        known = [f"catalog://ImageNetPretrained/{known}" for known in _CATALOG]
        raise UserError(f"{spec}: Detectron2's catalogue has no such weights{nearest(spec, known)}")
    return _named_address(f"{_DETECTRON}/ImageNetPretrained/{file}", spec)


def _resolve_address(_: str, spec: str) -> Named:
    return _named_address(spec, shown_address(spec))


def _named_address(address: str, source: str) -> Named:
    wanted = parse_address(address)
    return Named(source, wanted, replace(_catalogued(wanted.address), origin=source))


def _catalogued(spec: str) -> SideCar:
    entry = find_entry(spec)
    return entry.as_side_car() if entry else SideCar()


_SCHEMES: dict[str, Callable[[str, str], Named]] = {
    "torchvision": _resolve_torchvision,
    "timm": _resolve_timm,
    "detectron2": _resolve_detectron2,
    "catalog": _resolve_catalog,
    "http": _resolve_address,
    "https": _resolve_address,
}
