"""Files of a folder of photographs, and which photograph a label file means. Engine-neutral.

A file of labels lies beside its photograph, or in a folder of its own: `Annotations/a.xml` and
`JPEGImages/a.jpg`, `labels/train/a.txt` and `images/train/a.jpg`. Both have the same name but for
the ending; what a label file itself calls its photograph counts where that is there.
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from resnext_det.data.file_names import leaves_folder, name_flaw, shown_name
from resnext_det.errors import UserError, few
from resnext_det.folder_walks import walk_folders

IMAGE_ENDINGS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
    ".avif",
)
_LABEL_FOLDERS = ("annotations", "labels", "xml", "xmls", "json", "jsons")
_IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img", "photos")


class Folder:
    """A folder of labels, and the one of photographs, which may be the same.

    Args:
        root: of the labels.
        image_root: of the photographs; the same by default.

    Raises:
        UserError: one is no folder, or there is no photograph in it.
    """

    def __init__(self, root: Path, image_root: Path | None = None) -> None:
        self.root = root
        self.image_root = root if image_root is None else image_root
        self.files = _names_below(root, "")
        same = image_root is None or image_root.resolve() == root.resolve()
        names = self.files if same else _names_below(self.image_root, "--images ")
        self.images = [name for name in names if name.lower().endswith(IMAGE_ENDINGS)]
        if not self.images:
            advice = "" if image_root else "; name their folder as --images"
            raise UserError(f"{self.image_root}: no image in this folder or below it{advice}")
        self.known = frozenset(self.images)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        # By folder, too: each of a thousand videos may have a frame 0001.jpg.
        self._by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in self.images:
            stem = PurePosixPath(name).stem
            self._by_stem[stem].append(name)
            self._by_place[posixpath.dirname(name).lower(), stem].append(name)

    def with_ending(self, *endings: str) -> list[str]:
        """Returns the names of files with one of some endings, sorted."""
        return [name for name in self.files if name.lower().endswith(endings)]

    def is_stem(self, stem: str) -> bool:
        """Tells whether a photograph is called so, but for its ending."""
        return stem in self._by_stem

    def image_of(self, file: str, called: str = "") -> str | None:
        """Returns the photograph that a file of labels means.

        Args:
            file: of labels.
            called: what it says in it, relative to itself or to a folder of photographs.

        Returns:
            Its name below the folder of photographs; None where it is not there.

        Raises:
            UserError: it may be any of several.
        """
        folder, stem = posixpath.dirname(file), PurePosixPath(file).stem
        named = self._named(folder, called.replace("\\", "/")) if called else []
        same_stem = self._nearest(folder, stem)
        if same_stem and not set(named) & set(same_stem):
            chosen = sorted({*named, *same_stem})
        else:
            chosen = [name for name in same_stem if name in named] or named or same_stem
        if len(chosen) > 1:
            raise UserError(
                f"{file}: may mean any of {len(chosen)} images: {few(chosen)}; leave one in the "
                "folder, or give them names of their own"
            )
        return chosen[0] if chosen else None

    def image_called(self, folder: str, called: str) -> str | None:
        """Returns the photograph of a name in a list.

        Args:
            folder: of the list.
            called: relative to the folder of photographs, to the list, or to one beside it.

        Raises:
            UserError: it may be any of several.
        """
        plain = posixpath.normpath(called.replace("\\", "/"))
        if plain in self.known:
            return plain
        found = self._named(folder, plain)
        if len(found) > 1:
            told = f"image {shown_name(called)}: may be any of {few(found)}"
            raise UserError(f"{self.root / folder}: {told}; leave one in the folder")
        return found[0] if found else None

    def _named(self, folder: str, called: str) -> list[str]:
        path = posixpath.normpath(posixpath.join(folder, called))
        if path in self.known:
            return [path]
        base = posixpath.basename(called)
        return self._nearest(folder, PurePosixPath(base).stem, base)

    def _nearest(self, folder: str, stem: str, base: str = "") -> list[str]:
        """Returns those of a stem, or of a whole name.

        In the labels' folder, else in the one that goes with it, else all.
        """
        for wanted in (folder, *_image_folders_of(folder)):
            near = _called(base, self._by_place.get((wanted.lower(), stem), []))
            if near:
                return near
        return _called(base, self._by_stem.get(stem, []))


def _called(base: str, names: list[str]) -> list[str]:
    return [name for name in names if base in ("", posixpath.basename(name))]


def _image_folders_of(folder: str) -> Iterator[str]:
    parts = folder.split("/")
    for number, part in enumerate(parts):
        if part.lower() in _LABEL_FOLDERS:
            before, after = parts[:number], parts[number + 1 :]
            yield from ("/".join([*before, other, *after]) for other in _IMAGE_FOLDERS)
            yield "/".join([*before, *after])  # images of another root, or in the folder above


def _names_below(root: Path, option: str) -> list[str]:
    """Returns the names of all files below a folder, with slashes, sorted.

    Raises:
        UserError: it is no folder, or cannot be read.
    """
    if not root.is_dir():
        reason = "is no folder" if root.exists() else "no such folder"
        raise UserError(f"{option}{root}: {reason}")

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})")

    names = []
    for place, files in walk_folders(str(root), refuse, lambda path: not _is_hidden(path)):
        below = Path(place).relative_to(root).as_posix()
        names += [
            posixpath.normpath(posixpath.join(below, file))
            for file in files
            if not _is_hidden(file)
        ]
    return sorted(names)


def _is_hidden(path: str) -> bool:
    """Tells whether a name begins with a dot, as ._a.jpg, which macOS leaves behind."""
    return posixpath.basename(path).startswith(".")


def check_image_name(name: str) -> None:
    """Checks that a photograph's name can stand in a COCO file that goes to any machine.

    Raises:
        UserError: it cannot.
    """
    if name_flaw(name) or leaves_folder(name) or not _is_text(name):
        raise UserError(
            f"image {shown_name(name)}: its name is no path on other systems; rename it"
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
