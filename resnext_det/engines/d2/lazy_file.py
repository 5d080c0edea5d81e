"""Reading a config in Detectron2's Python syntax, and its overrides. Detectron2."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import LazyConfig
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnext_det.config import find_config, flatten, meant
from resnext_det.engines.d2.lazy_keys import PLACES, plain_tree
from resnext_det.errors import UserError

SECTIONS = ("model", "optimizer", "lr_multiplier", "train", "dataloader.train", "dataloader.test")
# What is built: each a `LazyCall(Class)(...)`.
CALLS = (
    "model",
    "optimizer",
    "optimizer.params",
    "lr_multiplier",
    "dataloader.train.mapper",
    "dataloader.test.mapper",
)


def read_lazy_config(
    name: str, words: Sequence[str] = (), names: Mapping[str, Sequence[str]] | None = None
) -> DictConfig:
    """Reads a `.py` config and applies overrides in its own syntax.

    The file is a program and runs, as Detectron2's always do.

    Args:
        name: a path or `resnext_det://` name.
        words: `key=value`, in the grammar of Hydra.
        names: key of ours (DATASETS.TRAIN or .TEST) -> data sets instead of the file's.

    Raises:
        UserError: no such file, not a LazyConfig, or an override of nothing in it.
    """
    path = find_config(name)
    try:
        lazy = LazyConfig.load(str(path))
    except (Exception, SystemExit) as error:  # the file is a program: it fails in any way
        raise UserError(f"{path}: cannot be run as a config: {_one_line(error)}") from error
    missing = [key for key in SECTIONS if _part(lazy, key) is None]
    if missing:
        raise UserError(f"{path}: no LazyConfig of a detector: it has no {', '.join(missing)}")
    for word in words:
        try:
            _check_override(lazy, word)
            lazy = LazyConfig.apply_overrides(lazy, [word])
        except UserError:
            raise
        except Exception as error:  # Hydra's and OmegaConf's own types
            raise UserError(f"command line: {word}: {_one_line(error)}") from error
    _check_parts(lazy, path)
    for key, sets in (names or {}).items():
        OmegaConf.update(lazy, PLACES[key], list(sets))
    return lazy


def _part(lazy: DictConfig, key: str) -> Any:
    """Returns what stands at a dotted key; None for nothing, also where a reference is broken."""
    try:
        return OmegaConf.select(lazy, key)
    except OmegaConfBaseException:
        return None


def _check_parts(lazy: DictConfig, path: Path) -> None:
    """Refuses a config whose parts are not of the kind that is read or built."""
    for key in SECTIONS:
        if not isinstance(part := _part(lazy, key), DictConfig):
            raise UserError(f"{path}: {key} is {part}: it must be a part with keys of its own")
    for key in CALLS:
        part = _part(lazy, key)
        if not isinstance(part, DictConfig) or "_target_" not in part:
            raise UserError(f"{path}: {key} is {part}: it must be a LazyCall(Class)(...)")


def _check_override(lazy: DictConfig, word: str) -> None:
    """Refuses a word that sets nothing the file or one of its parts knows."""
    key, equals, _ = word.partition("=")
    key = key.lstrip("+~")
    if not equals and not word.startswith("~"):
        raise UserError(f"command line: {word!r} has no value; write key=value for a .py config")
    if key.split(".")[0] == "trainer" or key in PLACES.values():
        return
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(lazy, parent) if parent else lazy
    if isinstance(node, ListConfig) or (isinstance(node, DictConfig) and _takes(node, last)):
        return
    if key in PLACES:
        raise UserError(f"command line: unknown key {key}; {PLACES[key]} is meant?")
    hint = meant(key, (name for name, _ in flatten(plain_tree(lazy))))
    raise UserError(f"command line: unknown key {key}{hint}")


def _takes(node: DictConfig, name: str) -> bool:
    """Whether a part has this entry, or its class an argument of this name."""
    if name in node:
        return True
    target = node.get("_target_")
    if not isinstance(target, Callable):
        return False
    parameters = inspect.signature(target).parameters.values()
    explicit = getattr(target, "__wrapped__", None) is None
    return any(p.name == name or (p.kind is p.VAR_KEYWORD and explicit) for p in parameters)


def _one_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and isinstance(error.__cause__, SyntaxError):
        cause = error.__cause__  # Detectron2 checks the text first, and keeps the line to itself
        line = "" if cause.lineno is None else f"line {cause.lineno}: "
        return f"SyntaxError: {line}{cause.msg}"
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
