"""What a file is known by, whatever it is called. Engine-neutral."""

import hashlib
from functools import partial
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 sum of a file, in hexadecimal; reads it once."""
    return _digest(path, "sha256")


def md5_of(path: Path) -> str:
    """Returns the MD5 sum of a file, which some name files by; no proof against an attacker."""
    return _digest(path, "md5")


def _digest(path: Path, algorithm: str) -> str:
    # A system in FIPS mode has MD5 only for what is not about security.
    new = partial(hashlib.new, algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, new).hexdigest()
