"""Load a config: file, `_BASE_` chain, command line, checks. Engine-neutral."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config.batch_scaling import scale_to_batch, users_own_keys
from resnext_det.config.coerce import coerce
from resnext_det.config.plain_yaml import NotPlainYAMLError, read_plain_yaml
from resnext_det.config.sources import find_config, read_yaml
from resnext_det.config.tree import flatten, get_cfg, meant, set_value, with_values
from resnext_det.config.validate import COMMAND_LINE, validate_config
from resnext_det.config.variant import apply_variant
from resnext_det.errors import UserError

BASE_KEY = "_BASE_"
# Ours are at most two deep; a longer chain than this is a mistake.
MAX_DEPTH = 8
# Keys that older versions had, and what has come in their place.
_SKIP_BROKEN = "INPUT.CLASSIFICATION.SKIP_BROKEN"
_REPLACED = {
    _SKIP_BROKEN: (
        "DATASETS.MAX_BROKEN_IMAGES, which is how many broken images a run sets aside (False is 0)"
    )
}
MAX_FILES = 64

_RATE = "SOLVER.BASE_LR"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedConfig:
    """A config and where its values come from.

    Attributes:
        cfg: the whole tree, frozen; `cfg.clone()` and `defrost()` to change one.
        path: the file as the user named it.
        given: dotted keys set in the file, in one of its bases or on the command line.
        user_given: dotted keys set in the named file itself or on the command line.
        notes: what was changed and why, for the log of a run.
        recipe_rate: SOLVER.BASE_LR of the files for the run's batch, whatever the command line
            says; infinite where they have none.
    """

    cfg: CfgNode
    path: str
    given: frozenset[str]
    user_given: frozenset[str]
    notes: tuple[str, ...] = ()
    recipe_rate: float = math.inf


def load_config(path: str, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Load, merge, complete and check a config, and scale it to its batch.

    Args:
        path: a file, or `resnext_det://` and its place under configs/.
        overrides: `KEY VALUE` pairs from the command line.

    Raises:
        UserError: file not found or not YAML, unknown key, wrong type, a `_BASE_` circle,
            a key without a value, a variant that another key contradicts, or a value with
            which no run could work.
    """
    cfg = get_cfg()
    known = dict(flatten(cfg))
    files = [(f, _merge(cfg, flatten(tree), known, str(f))) for f, tree in read_chain(path)]
    rate = cfg.SOLVER.BASE_LR if any(_RATE in keys for _, keys in files) else math.inf
    from_command_line = _merge(cfg, override_pairs(overrides), known, COMMAND_LINE)
    user_given = files[-1][1] | from_command_line  # the named file comes last
    given = from_command_line.union(*(keys for _, keys in files))
    apply_variant(cfg, frozenset(given))
    warnings = validate_config(cfg, where=path, command_line=from_command_line)
    own = users_own_keys(files, from_command_line - {_RATE})
    recipe, _ = scale_to_batch(with_values(cfg, {_RATE: rate}), own)
    cfg, notes = scale_to_batch(cfg, users_own_keys(files, from_command_line))
    if notes:
        warnings = validate_config(cfg, where=path, command_line=from_command_line)
    for warning in warnings:
        logger.warning(warning)
    cfg.freeze()
    return LoadedConfig(
        cfg, path, frozenset(given), frozenset(user_given), notes, recipe.SOLVER.BASE_LR
    )


def config_of_text(text: str, where: str) -> CfgNode:
    """The config that a checkpoint carries: a whole tree, as `dump_config` wrote it.

    Args:
        text: YAML, perhaps a stranger's, or an older version's.
        where: the checkpoint, for messages.

    Raises:
        UserError: not plain YAML, no mapping, an unknown key, a wrong type, or a value with which
            no run could work.
    """
    try:
        tree = read_plain_yaml(text)
    except NotPlainYAMLError as error:
        raise UserError(f"{where}: its config is not plain YAML: {error}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{where}: its config holds no keys")
    cfg = get_cfg()
    items = _in_todays_keys(flatten(tree))
    given = _merge(cfg, items, dict(flatten(cfg)), f"{where}: its config")
    apply_variant(cfg, frozenset(given))
    validate_config(cfg, where=f"{where}: its config")
    cfg.freeze()
    return cfg


def _in_todays_keys(items: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Says of an older version's keys what they meant; who wrote the file cannot mend it."""
    for key, value in items:
        if key != _SKIP_BROKEN:
            yield key, value
        elif value is False:
            yield "DATASETS.MAX_BROKEN_IMAGES", 0


def read_chain(name: str) -> list[tuple[Path, dict[str, Any]]]:
    """A file and its bases, the furthest base first, each without its `_BASE_`.

    `_BASE_` is one file or a list, of which later ones win; paths start at the file's folder.

    Raises:
        UserError: a file not found or not YAML, or a chain that is circular or too long.
    """
    return _read_chain(find_config(name), (), [])


def _read_chain(
    path: Path, trail: tuple[Path, ...], read: list[Path]
) -> list[tuple[Path, dict[str, Any]]]:
    """The chain above one file.

    Args:
        path: the file.
        trail: the files that led to it.
        read: every file read so far, to which this one is added: lists of bases that name each
            other's files several times would make endless chains of short files.
    """
    read.append(path)
    if len(read) > MAX_FILES:
        raise UserError(f"{read[0]}: its {BASE_KEY} chain reads more than {MAX_FILES} files")
    shown = " -> ".join(str(p) for p in (*trail, path))
    if path.resolve() in [p.resolve() for p in trail]:
        raise UserError(f"{BASE_KEY} goes round in a circle: {shown}")
    if len(trail) > MAX_DEPTH:
        raise UserError(f"{BASE_KEY} goes deeper than {MAX_DEPTH} files: {shown}")
    tree = read_yaml(path)
    chain = []
    for base in _bases(tree.pop(BASE_KEY, []), path):
        try:
            file = find_config(base, path.parent)
        except UserError as error:
            raise UserError(f"{path}: {BASE_KEY}: {error}") from error
        chain += _read_chain(file, (*trail, path), read)
    return [*chain, (path, tree)]


def _bases(value: Any, path: Path) -> list[str]:
    bases = value if isinstance(value, list) else [value]
    if not all(isinstance(base, str) and base for base in bases):
        raise UserError(f"{path}: {BASE_KEY} is a file name or a list of them, got {value!r}")
    return bases


def override_pairs(overrides: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """(key, value) of a flat command-line list.

    Raises:
        UserError: the last key has no value.
    """
    if len(overrides) % 2:
        hint = "; write KEY VALUE, without '='" if "=" in str(overrides[-1]) else ""
        raise UserError(f"{COMMAND_LINE}: {overrides[-1]!r} has no value{hint}")
    return zip(map(str, overrides[0::2]), overrides[1::2], strict=True)


def _merge(
    cfg: CfgNode, items: Iterator[tuple[str, Any]], known: Mapping[str, Any], where: str
) -> set[str]:
    """Set the values into `cfg` after checking key and type; return the keys.

    Args:
        cfg: the tree to change.
        items: (dotted key, value as parsed).
        known: every dotted key with its default.
        where: the file or "command line", for the messages.
    """
    keys = set()
    for key, value in items:
        if key not in known:
            raise UserError(f"{where}: {_unknown(key, known)}")
        set_value(cfg, key, coerce(value, known[key], key=key, where=where))
        keys.add(key)
    return keys


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    if any(name.startswith(f"{key}.") for name in known):
        return f"{key} is a group of keys and takes no value of its own"
    if key in _REPLACED:
        return f"{key} is no longer a key; write {_REPLACED[key]}"
    if key == BASE_KEY:
        return f"{BASE_KEY} belongs in a file"
    parents = [name for name in known if key.startswith(f"{name}.")]
    if parents:
        return f"{parents[0]} takes a value and is no group of keys"
    return f"unknown key {key}{meant(key, known)}"
