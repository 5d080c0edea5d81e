"""What the written files are known by, so that they alone may be written over. Engine-neutral."""

from typing import Any

DESCRIPTION = "made by resnext-det dataset convert"


def is_ours(head: bytes) -> bool:
    """Tells by its beginning whether a file was written by this command."""
    return DESCRIPTION.encode() in head[:200]


def was_made(content: Any) -> bool:
    """Tells the same of what a JSON file holds."""
    info = content.get("info") if isinstance(content, dict) else None
    return isinstance(info, dict) and info.get("description") == DESCRIPTION
