"""The folders below a folder, linked ones too. Engine-neutral."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk_folders(
    root: str, onerror: Callable[[OSError], None]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walks as `os.walk` does, through links to other folders, too.

    A link that leads back into the tree, or to where another one has led, is passed over, so that
    no file is met twice and no circle is walked.

    Args:
        root: the folder.
        onerror: is given what a folder that cannot be listed raised.

    Yields:
        A folder, the names of the folders in it, which may be taken out of the list and are then
        not walked, and those of the files.
    """
    walked = {Path(root).resolve()}
    for place, folders, files in os.walk(root, onerror=onerror, followlinks=True):
        folders.sort()
        folders[:] = [name for name in folders if _is_new(Path(place, name), walked)]
        yield place, folders, files


def _is_new(folder: Path, walked: set[Path]) -> bool:
    """Tells whether a folder is to be walked; remembers where a link leads."""
    if not folder.is_symlink():
        return True
    target = folder.resolve()
    if any(target.is_relative_to(tree) or tree.is_relative_to(target) for tree in walked):
        return False
    walked.add(target)
    return True
