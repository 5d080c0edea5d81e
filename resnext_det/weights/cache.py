"""Files of weights that were fetched: kept, and checked each time they are used. Engine-neutral.

A file is known by its address, and lies in a folder of its own in `$RESNEXT_DET_CACHE`/weights,
with its SHA-256 sum beside it as `sha256sum` writes it. A file that somebody put there by hand is
taken, too.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch

from resnext_det.cache_folder import OFFLINE, cache_folder, is_set, locked
from resnext_det.errors import UserError, one_line
from resnext_det.file_digests import md5_of, sha256_of
from resnext_det.http_files import Patience, Wanted, fetch_file
from resnext_det.web_addresses import shown_address, split_credentials
from resnext_det.whole_files import write_text_safe

_LARGEST = 1 << 36  # bytes; of a server that does not say how many
_PATIENCE = Patience(tries=3)
_HUB_OFFLINE = "HF_HUB_OFFLINE"
_FRAGMENT = re.compile(r"sha256=([0-9a-f]{64})")
_SHA256_IN_NAME = re.compile(r"-([0-9a-f]{8})\.[a-z0-9]+$")  # torch.hub's and mmpretrain's
_MD5_IN_NAME = re.compile(r"^model_(?:final|\d{7})_([0-9a-f]{6})\.pkl$")  # Detectron2's
_OTHER_NAME = "or its name does not mean that: then end the address with #sha256= and its sum"
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")

_sums: dict[tuple[str, int, int], str] = {}  # path, size, time of change -> SHA-256 sum


@dataclass(frozen=True)
class CachedFile:
    """A file on this machine whose digest is as it should be.

    Attributes:
        path: of the file.
        sha256: of its bytes.
    """

    path: Path
    sha256: str


def is_offline() -> bool:
    """Tells whether the environment says to fetch nothing: ours, or Hugging Face's variable."""
    return is_set(OFFLINE) or is_set(_HUB_OFFLINE)


def parse_address(address: str) -> Wanted:
    """Reads an http(s) address, and what its name or its fragment says of the digest.

    Args:
        address: may end with `#sha256=<64 digits>`, which goes before what the file's name says.

    Raises:
        UserError: it has no file's name, or another fragment.
    """
    address, _, fragment = address.partition("#")
    shown = shown_address(address)
    said = _FRAGMENT.fullmatch(fragment)
    if fragment and not said:
        raise UserError(f"{shown}#{one_line(fragment)}: give #sha256= and 64 digits of 0-9a-f")
    name = _file_name(address)
    if not name:
        raise UserError(f"{shown}: names no file")
    wanted = Wanted(address, largest=_LARGEST)
    if said:
        return replace(wanted, sha256=said[1])
    if (found := _SHA256_IN_NAME.search(name)) and not _DATE.fullmatch(found[1]):
        return replace(wanted, sha256=found[1], if_other=_OTHER_NAME)
    if found := _MD5_IN_NAME.match(name):
        return replace(wanted, md5=found[1], if_other=_OTHER_NAME)
    return wanted


def place_of(wanted: Wanted) -> Path:
    """Returns where a file is kept; files of one name from two addresses do not meet."""
    plain, _ = split_credentials(wanted.address)
    key = hashlib.sha256(plain.encode()).hexdigest()[:16]
    return cache_folder("weights") / key / _file_name(wanted.address)


def find_kept(wanted: Wanted) -> CachedFile | None:
    """Returns a file that is here already and right: in the cache, or in that of PyTorch.

    One of another program's is taken only if its digest is known.
    """
    found = _right_one(wanted, [place_of(wanted)])
    if found is None and (wanted.sha256 or wanted.md5):
        found = _right_one(wanted, _places_of_others(wanted))
    return found


def obtain(wanted: Wanted) -> CachedFile:
    """Returns a file from the cache, and fetches it if it is not there, or damaged.

    Raises:
        UserError: it is not there and cannot be fetched; the message says where to put it.
    """
    found = find_kept(wanted)
    if found:
        return found
    path = place_of(wanted)
    if is_offline():
        what = "is damaged" if path.exists() else "is not in the cache"
        variable = f"--offline or {OFFLINE}" if is_set(OFFLINE) else _HUB_OFFLINE
        raise UserError(f"{wanted}: {what}, and {variable} says to fetch nothing; {_advice(path)}")
    with locked(path):
        found = _right_one(wanted, [path])  # another process may have fetched it meanwhile
        return found or _fetch(wanted, path)


def kept_sum(path: Path) -> str:
    """Returns a file's SHA-256 sum; it is read once in a process, unless it changes."""
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _sums:
        _sums[key] = sha256_of(path)
    return _sums[key]


def _fetch(wanted: Wanted, path: Path) -> CachedFile:
    log = logging.getLogger(__name__)
    if path.exists():
        log.warning("%s is damaged: it is removed, and fetched again", path)
        path.unlink()
    log.info("%s is fetched into %s", wanted, path.parent)
    try:
        fetch_file(wanted, path, _PATIENCE)
    except UserError as error:
        message = str(error)
        if not message.startswith(f"{wanted}: "):  # of the cache, not of the server
            raise
        reason = message.removeprefix(f"{wanted}: ").removeprefix("cannot be fetched ").strip("()")
        raise UserError(f"{wanted}: cannot be fetched ({reason}); {_advice(path)}") from error
    found = CachedFile(path, kept_sum(path))
    write_text_safe(_record_of(path), f"{found.sha256}  {path.name}\n")
    return found


def _advice(path: Path) -> str:
    return f"put the file at {path}, or set MODEL.WEIGHTS to where it is"


def _right_one(wanted: Wanted, paths: Iterable[Path]) -> CachedFile | None:
    for path in paths:
        if path.is_file() and _is_right(wanted, path):
            return CachedFile(path, kept_sum(path))
    return None


def _is_right(wanted: Wanted, path: Path) -> bool:
    recorded = _recorded_sum(path)
    if recorded and kept_sum(path) != recorded:
        return False
    if wanted.sha256:
        return kept_sum(path).startswith(wanted.sha256)
    # What was recorded was checked when it was fetched.
    return bool(recorded) or not wanted.md5 or md5_of(path).startswith(wanted.md5)


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded_sum(path: Path) -> str:
    try:
        words = _record_of(path).read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return ""
    return words[0] if words and re.fullmatch(r"[0-9a-f]{64}", words[0]) else ""


def _places_of_others(wanted: Wanted) -> list[Path]:
    """Where torch.hub and iopath, which Detectron2 fetches with, keep the same file."""
    parts = urlsplit(wanted.address)
    iopath = Path(os.environ.get("FVCORE_CACHE") or "~/.torch/iopath_cache").expanduser()
    hub = Path(torch.hub.get_dir()) / "checkpoints" / _file_name(wanted.address)
    return [hub, iopath / Path(parts.path.lstrip("/")).parent / _file_name(wanted.address)]


def _file_name(address: str) -> str:
    name = unquote(urlsplit(address).path.rpartition("/")[2])
    name = re.sub(r"[^\w.+=@-]", "_", name)[-150:]  # what every file system takes
    return "" if name in (".", "..") else name
