"""Find and read config files: paths, `resnext_det://` names, YAML. Engine-neutral."""

import difflib
import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from resnext_det.errors import UserError

SCHEME = "resnext_det://"


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
    if name.startswith(SCHEME):
        path = config_root() / name.removeprefix(SCHEME)
    elif "://" in name:
        raise UserError(f"{name}: a config is read from a file; download it first")
    else:
        path = Path(os.path.normpath((folder or Path()) / Path(name).expanduser()))
    if path.is_dir():
        raise UserError(f"{name} is a folder, not a config file")
    if not path.is_file():
        raise UserError(_not_found(name, path))
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


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key written twice is an error and not the later one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else key_node
            if key in seen:
                problem = f"{key} is written twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty one. Runs no code of the file.

    Raises:
        UserError: not UTF-8, not plain YAML (names the line), or no mapping.
    """
    try:
        tree = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # a SafeLoader
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" line {mark.line + 1}:" if mark else ""
        raise UserError(f"{path}:{line} not plain YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not plain YAML: {str(error).splitlines()[0]}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds a {type(tree).__name__}, not config keys")
    return tree
