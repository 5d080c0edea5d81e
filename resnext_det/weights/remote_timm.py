"""timm's weights: which files they are, on its hub and in the hub's cache. Engine-neutral."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError
from resnext_det.weights.cache import (
    CachedFile,
    find_kept,
    is_offline,
    kept_sum,
    obtain,
    parse_address,
)
from resnext_det.weights.convention import Convention
from resnext_det.weights.licences import normalised
from resnext_det.weights.remote_names import is_plain_resnet, nearest
from resnext_det.weights.side_car import SideCar

_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which they are asked for
_INSTALL = "pip install timm"


@dataclass(frozen=True)
class TimmWeights:
    """Where a model's weights are.

    Attributes:
        hub_id: OWNER/NAME on the hub, and perhaps @REVISION; "" where there is only an address.
        files: their names there, the preferred one first.
        address: of another copy, "" for none.
    """

    hub_id: str
    files: tuple[str, ...]
    address: str

    def obtain(self) -> CachedFile:
        """Returns a file from the hub's cache, and lets the hub's library fetch it if need be.

        Raises:
            UserError: it is not there and cannot be fetched; it is damaged and offline.
        """
        if not self.hub_id:
            return obtain(parse_address(self.address))
        found = self._look()
        fault = _fault_of(found) if found else ""
        if found and not fault:
            return CachedFile(found, kept_sum(found))
        if is_offline():
            what = f"the one in the cache {fault}" if found else "it is not in the cache"
            raise UserError(self._refusal(f"{what}, and nothing is fetched offline"))
        if found:
            logging.getLogger(__name__).warning("%s %s: it is fetched again", found, fault)
            found.resolve().unlink()
        found = self._fetch()
        if fault := _fault_of(found):
            raise UserError(self._refusal(f"what came {fault}"))
        return CachedFile(found, kept_sum(found))

    def find_kept(self) -> CachedFile | None:
        """Returns a file that is here already and right; nothing is fetched."""
        if not self.hub_id:
            return find_kept(parse_address(self.address))
        found = self._look()
        return CachedFile(found, kept_sum(found)) if found and not _fault_of(found) else None

    def _look(self) -> Path | None:
        """A file in the hub's cache, right or not."""
        from huggingface_hub import try_to_load_from_cache

        name, _, revision = self.hub_id.partition("@")
        for file in self.files:
            found = try_to_load_from_cache(name, file, revision=revision or None)
            if isinstance(found, str):
                return Path(found)
        return None

    def _fetch(self) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        name, _, revision = self.hub_id.partition("@")
        for file in self.files:
            try:
                return Path(hf_hub_download(name, file, revision=revision or None))
            except LocalEntryNotFoundError as error:  # the hub cannot be reached
                raise UserError(self._refusal(_first_line(error))) from error
            except EntryNotFoundError:  # the hub has no such file
                continue
            except Exception as error:  # its errors share no base, and change by version
                raise UserError(self._refusal(_first_line(error))) from error
        raise UserError(self._refusal(f"there is none of {', '.join(self.files)}"))

    def _refusal(self, reason: str) -> str:
        name, _, revision = self.hub_id.partition("@")
        address = f"https://huggingface.co/{name}/resolve/{revision or 'main'}/{self.files[0]}"
        return (
            f"{address} cannot be fetched ({reason}); fetch it elsewhere and set MODEL.WEIGHTS to "
            "that file, or copy the folder that HF_HOME names from a machine that has it"
        )


def resolve_timm(name: str, spec: str) -> tuple[TimmWeights, SideCar]:
    """Says which files a timm model's weights are, and what timm says of them.

    Args:
        name: NAME or NAME.TAG; without a tag timm's default one is taken, and the log says which.
        spec: as the user gave it.

    Raises:
        UserError: timm is not installed; it has no such weights; or they are of no plain ResNet.
    """
    try:
        from timm.models import get_pretrained_cfg
    except ImportError:
        raise UserError(f"{spec} needs timm: pip install timm") from None
    _check_name(name, spec)
    settings: Any = get_pretrained_cfg(name)
    full = f"{settings.architecture}.{settings.tag}" if settings.tag else settings.architecture
    if full != name:
        logging.getLogger(__name__).info("%s is timm://%s", spec, full)
    files = (settings.hf_hub_filename,) if settings.hf_hub_filename else _FILES
    mean, std = (
        tuple(round(255.0 * value, 4) for value in getattr(settings, key))
        for key in ("mean", "std")
    )
    known = SideCar(
        origin=f"timm://{full}",
        convention=Convention("RGB", mean, std),
        licence=normalised(settings.license or ""),
    )
    return TimmWeights(settings.hf_hub_id or "", files, settings.url or ""), known


def _check_name(name: str, spec: str) -> None:
    import timm

    base = name.partition(".")[0]
    if timm.is_model(base) and not is_plain_resnet(base):
        raise UserError(f"{spec}: that network of timm's is no plain ResNet or ResNeXt")
    known = [n for n in timm.list_pretrained() if is_plain_resnet(n.partition(".")[0])]
    names = {*known, *(n.partition(".")[0] for n in known)}
    if name not in names:
        close = nearest(name, sorted(names))
        raise UserError(f"{spec}: timm has no such ResNet weights{close}")


def _fault_of(path: Path) -> str:
    """The hub's cache names a large file's bytes by their SHA-256 sum."""
    sum_in_name = path.resolve().name
    if not re.fullmatch(r"[0-9a-f]{64}", sum_in_name) or kept_sum(path.resolve()) == sum_in_name:
        return ""
    return f"is damaged, its SHA-256 sum is not {sum_in_name}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120].strip(" .")
