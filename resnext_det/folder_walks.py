"""The folders below a folder, linked ones too. Engine-neutral."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path


def walk_folders(
    root: str,
    onerror: Callable[[OSError], None],
    is_wanted: Callable[[str], bool] = lambda folder: True,
) -> Iterator[tuple[str, list[str]]]:
    """Walks as `os.walk` does, and then through links to other folders.

    Each folder is entered once, by its own path where it has one in the tree, so that no file is
    met twice and no circle is walked; a link to a folder around the root is passed over.

    Args:
        root: the folder.
        onerror: is given what a folder that cannot be listed raised.
        is_wanted: says of a folder's path whether to walk it.

    Yields:
        A folder, and the names of the files in it.
    """
    around = Path(root).resolve().parents
    entered, starts = set[tuple[int, int]](), deque([root])
    while starts:
        for place, folders, files in os.walk(starts.popleft(), onerror=onerror):
            known = os.stat(place)
            if (known.st_dev, known.st_ino) in entered:
                folders.clear()
                continue
            entered.add((known.st_dev, known.st_ino))
            folders[:] = [name for name in folders if is_wanted(os.path.join(place, name))]
            linked = [path for name in folders if (path := Path(place, name)).is_symlink()]
            starts.extend(str(path) for path in sorted(linked) if path.resolve() not in around)
            yield place, files
