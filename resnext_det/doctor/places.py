"""Folders that may not be there yet, tried without leaving anything. Engine-neutral."""

import tempfile
from pathlib import Path


def nearest_folder(folder: Path) -> Path:
    """Returns the folder, or the nearest one above it that is there: it would be made in that."""
    whole = folder.expanduser().absolute()
    return next((place for place in (whole, *whole.parents) if place.exists()), Path("/"))


def refusal_to_write(folder: Path) -> str:
    """Writes a file into a folder and removes it; returns what the system says against it."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror})"
    return ""
