"""What the written files are known by, so that they alone may be written over. Engine-neutral."""

DESCRIPTION = "made by resnext-det dataset convert"


def is_ours(head: bytes) -> bool:
    """Tells by its beginning whether a file was written by this command."""
    return DESCRIPTION.encode() in head[:200]
