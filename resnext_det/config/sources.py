"""Find and read config files: paths, `resnext_det://` names, YAML. Engine-neutral."""

import difflib
import os
import re
import stat
from pathlib import Path
from typing import Any

from resnext_det.config.plain_yaml import MOST_CHARACTERS, NotPlainYAMLError, read_plain_yaml
from resnext_det.errors import UserError, one_line

SCHEME = "resnext_det://"
_LONGEST_NAME = 1000  # letters; longer paths are no file's


def config_root() -> Path:
    """The folder that `resnext_det://` stands for.

    An installed package carries the files in `resnext_det/_configs`; a checkout has them
    beside the package.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / "_configs"
    return installed if installed.is_dir() else package.parent / "configs"


def find_config(name: str, folder: Path | None = None) -> Path:
    """The path of a config file.

    Args:
        name: an absolute path, a `~` path, `resnext_det://...`, or a path relative to `folder`.
        folder: where a relative path starts; None is the current folder.

    Raises:
        UserError: no such file (names the nearest ones), a web address, or a folder.
    """
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise UserError(f"{one_line(name[:60])!r} cannot be the name of a config file")
    if name.startswith(SCHEME):
        place = name.removeprefix(SCHEME)
        if place.startswith("/") or ".." in place.split("/"):
            raise UserError(f"{name} leaves the folder of the installed configs")
        path = config_root() / place
    elif "://" in name:
        raise UserError(f"{name}: a config is read from a file; download it first")
    else:
        path = Path(os.path.normpath((folder or Path()) / os.path.expanduser(name)))
    try:
        found = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise UserError(_not_found(name, path)) from error
        raise UserError(f"{name} cannot be read ({error.strerror})") from error
    if stat.S_ISDIR(found.st_mode):
        raise UserError(f"{name} is a folder, not a config file")
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited on, a device has no end
        raise UserError(f"{name} is no plain file")
    return path


def _not_found(name: str, path: Path) -> str:
    """One line on a missing file: what is like it, there or among the installed configs."""
    shipped = config_root() / name.removeprefix("configs/")
    if not name.startswith(SCHEME) and shipped.is_file():
        return f"no config file {path}; {SCHEME}{name.removeprefix('configs/')} is installed"
    if not path.parent.is_dir():
        return f"no config file {path}: there is no folder {path.parent}"
    there = sorted(p.name for p in path.parent.iterdir() if p.suffix in (".yaml", ".yml", ".py"))
    close = _closest(path.name, there)
    return f"no config file {path}" + (f"; nearest there: {', '.join(close)}" if close else "")


def _closest(name: str, others: list[str], count: int = 3) -> list[str]:
    """The file names most like `name`: first by words in common, then by spelling.

    So `faster_rcnn_X_50_FPN_1x` finds `X_50_32x4d` before `R_50`, which is fewer letters away.
    """
    words = set(re.split(r"[_.-]", name))
    close = difflib.get_close_matches(name, others, n=len(others) or 1, cutoff=0.5)
    return sorted(close, key=lambda other: -len(words & set(re.split(r"[_.-]", other))))[:count]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one. Runs no code of the file.

    Raises:
        UserError: not UTF-8, not plain YAML (names the line), or no mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(4 * MOST_CHARACTERS + 1)
        if len(data) > 4 * MOST_CHARACTERS:  # a letter has at most 4 bytes
            raise NotPlainYAMLError("it is too long")
        tree = read_plain_yaml(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8") from error
    except NotPlainYAMLError as error:
        line = f" line {error.line}:" if error.line else ""
        raise UserError(f"{path}:{line} not plain YAML: {error}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds a {type(tree).__name__}, not config keys")
    return tree
