"""What the words of a command name: images and videos, in order. Engine-neutral.

| word | stands for |
|---|---|
| a file | an image, or a video where its name ends as a video's |
| a folder | every image and video below it, in linked folders too, hidden ones apart |
| a pattern | what it matches, `**` any number of folders: quote it, so that no shell expands it |
| - | standard input: one image, or names of files and folders, a line each (or NUL between them) |
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from resnext_det.data.plain_files import LARGEST_IMAGE
from resnext_det.errors import UserError, one_line
from resnext_det.folder_walks import walk_folders
from resnext_det.inference.places import with_places

STDIN = "-"
STDIN_FILE = "standard_input"
"""Name of the image that came in on standard input, which is kept."""
IMAGE_ENDINGS = tuple(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "jp2", "avif", "tga", "pcx", "qoi", "mpo"),
    )
)
VIDEO_ENDINGS = tuple(
    f".{ending}"
    for ending in (
        *("mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "flv", "ts", "3gp"),
    )
)


@dataclass(frozen=True)
class Source:
    """One image or video.

    Attributes:
        path: of the file.
        name: what results call it: its path below the folder or pattern that named it, else
            its file name; its path where two have one name.
        place: where its picture goes, a relative path without ending that no other has.
    """

    path: str
    name: str
    place: str = ""

    @property
    def is_video(self) -> bool:
        """Whether its name says that it is a video."""
        return self.path.lower().endswith(VIDEO_ENDINGS)

    def key(self) -> str:
        """Returns what tells it, as it is now, from a file that takes its place later."""
        try:
            found = os.stat(self.path)
        except OSError:
            return self.path
        return f"{self.path}|{found.st_size}|{found.st_mtime_ns}"


@dataclass(frozen=True)
class Inputs:
    """What a command is to look at.

    Attributes:
        sources: in the order of the words, those of a folder sorted; each file once.
        piped: the bytes of an image from standard input; its source is STDIN_FILE in the folder
            of results.
    """

    sources: tuple[Source, ...]
    piped: bytes | None = None


def find_inputs(words: Sequence[str], output: Path, stdin: BinaryIO) -> Inputs:
    """Finds the images and videos that words name.

    Args:
        words: of the command.
        output: the folder of results, which no folder's images are taken from.
        stdin: is read where a word is "-".

    Raises:
        UserError: a word names nothing, or no image; standard input is empty or too large.
    """
    found: list[Source] = []
    piped = None
    for word in words:
        if word != STDIN:
            found += _of_word(word, output)
            continue
        piped, names = _of_stdin(stdin)
        if piped is not None:
            found.append(Source(str(output / STDIN_FILE), STDIN_FILE))
        for name in names:
            found += _of_word(name, output)
    once = {_whole_path(source): source for source in reversed(found)}
    kept = [source for source in found if once.pop(_whole_path(source), None)]
    return Inputs(with_places(_with_own_names(kept)), piped)


def _whole_path(source: Source) -> str:
    """Returns a path that is the same by whichever folders it is given."""
    folder, name = os.path.split(source.path)
    return os.path.join(os.path.realpath(folder), name)


def _of_word(word: str, output: Path) -> list[Source]:
    path = os.path.expanduser(word)
    if os.path.isdir(path):
        below = sorted(_below(path, output))
        if not below:
            raise UserError(f"{one_line(word)}: a folder without an image or a video")
        return [Source(os.path.join(path, name), name) for name in below]
    if os.path.lexists(path):
        return [Source(path, os.path.basename(path))]
    if not glob.has_magic(path):
        raise UserError(f"{one_line(word)}: no such image, video or folder")
    matched = sorted(match for match in glob.iglob(path, recursive=True) if _may_be(match, output))
    if not matched:
        raise UserError(f"{one_line(word)}: nothing matches this pattern")
    root = _root_of(path)
    return [Source(match, os.path.relpath(match, root)) for match in matched]


def _below(folder: str, output: Path) -> Iterator[str]:
    """Yields the names of images and videos below a folder, relative to it."""

    def is_wanted(path: str) -> bool:
        return not os.path.basename(path).startswith(".") and not _is_inside(path, output)

    for parent, files in walk_folders(folder, _unlisted, is_wanted):
        for name in files:
            if not name.startswith(".") and _is_known(name):
                yield os.path.relpath(os.path.join(parent, name), folder)


def _unlisted(error: OSError) -> None:
    raise UserError(f"{one_line(str(error.filename))}: cannot be listed ({error.strerror})")


def _may_be(match: str, output: Path) -> bool:
    return not _is_inside(match, output) and not os.path.isdir(match)


def _is_inside(path: str, folder: Path) -> bool:
    """Tells whether a path leads to a folder or into it, through whatever links."""
    return Path(path).resolve().is_relative_to(folder.resolve())


def _is_known(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS + VIDEO_ENDINGS)


def _root_of(pattern: str) -> str:
    """Returns the folder that a pattern begins with, before its first special letter."""
    parts = pattern.split(os.sep)
    first = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    return os.sep.join(parts[:first]) or (os.sep if pattern.startswith(os.sep) else ".")


def _of_stdin(stdin: BinaryIO) -> tuple[bytes | None, list[str]]:
    """Reads an image, or names: text, of which no image's bytes are."""
    data = stdin.read(LARGEST_IMAGE + 1)
    if len(data) > LARGEST_IMAGE:
        raise UserError(f"standard input: more than {LARGEST_IMAGE:,} bytes")
    if not data.strip():
        raise UserError("standard input is empty: give an image, or names of files, a line each")
    if not _is_text(data.replace(b"\0", b"\n")):
        return data, []
    lines = data.decode().split("\0" if b"\0" in data else "\n")
    return None, [line.rstrip("\r") for line in lines if line.strip()]


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\r\n\t" for letter in text[:10_000])


def _with_own_names(sources: Sequence[Source]) -> list[Source]:
    names = [source.name for source in sources]
    twice = {name for name, count in Counter(names).items() if count > 1}
    return [replace(s, name=s.path) if s.name in twice else s for s in sources]
