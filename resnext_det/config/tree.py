"""The config tree: its defaults, its dotted keys, and the nearest name. Engine-neutral."""

import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Any, Literal

import yaml
from fvcore.common.config import CfgNode

from resnext_det.config.keys import add_keys
from resnext_det.errors import UserError

CLASSIFIER = "ImageClassifier"
_LONGEST = 200  # letters of a name for which a like one is sought


def get_cfg() -> CfgNode:
    """A fresh, mutable tree of every key with its default: Detectron2's and our own."""
    return _defaults().clone()


@functools.cache
def _defaults() -> CfgNode:
    """The defaults, read once; nobody changes this tree, `get_cfg` gives copies of it."""
    text = resources.files("resnext_det.config").joinpath("defaults.yaml").read_text("utf-8")
    cfg = CfgNode(yaml.safe_load(text))
    add_keys(cfg)
    return cfg


def dump_config(cfg: CfgNode) -> str:
    """The whole tree as YAML that `load_config` and Detectron2 read back equal."""
    return cfg.dump()


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of every leaf; an empty group yields nothing."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{key}.")
        else:
            yield key, value


def get_value(cfg: Mapping[str, Any], key: str) -> Any:
    """The value (or group) at a dotted key.

    Raises:
        KeyError: no such key.
    """
    node: Any = cfg
    for name in key.split("."):
        if not isinstance(node, Mapping) or name not in node:
            raise KeyError(key)
        node = node[name]
    return node


def set_value(cfg: CfgNode, key: str, value: Any) -> None:
    """Set an existing dotted key, keeping the tree's own container for lists.

    Detectron2's tree has tuples where ours has lists.
    """
    *groups, name = key.split(".")
    node = get_value(cfg, ".".join(groups)) if groups else cfg
    if isinstance(node[name], tuple) and isinstance(value, list):
        value = tuple(value)
    setattr(node, name, value)  # refuses on a frozen tree, which node[name] would not


def with_values(cfg: CfgNode, changes: Mapping[str, Any]) -> CfgNode:
    """A frozen copy of the tree with the given dotted keys set.

    Raises:
        KeyError: no such key.
    """
    changed = cfg.clone()
    changed.defrost()
    for key, value in changes.items():
        set_value(changed, key, value)
    changed.freeze()
    return changed


def nearest(name: str, candidates: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The candidate most like `name`, or None where nothing is close.

    Case does not count. For dotted keys the right last name in the wrong group wins
    (`MODEL.BASE_LR` -> `SOLVER.BASE_LR`) over a like spelling of the whole.

    Args:
        name: what was written; of one of more than 200 letters nothing is close.
        candidates: the names that there are.
        cutoff: how alike they have to be, 0 … 1.
    """
    if len(name) > _LONGEST:  # comparing takes as long as the name
        return None
    known = sorted(set(candidates))
    folded = {candidate.lower(): candidate for candidate in reversed(known)}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=cutoff)
    last = name.lower().rsplit(".", 1)[-1]
    same_last = [c for c in folded if c.rsplit(".", 1)[-1] == last]
    if same_last:
        score = {c: difflib.SequenceMatcher(None, name.lower(), c).ratio() for c in same_last}
        return folded[max(sorted(score), key=lambda c: score[c])]
    return folded[close[0]] if close else None


def meant(name: str, candidates: Iterable[str], prefix: str = "") -> str:
    """Returns the end of a message on an unknown name: "; NEAREST is meant?", or nothing."""
    guess = nearest(name, candidates)
    return f"; {prefix}{guess} is meant?" if guess else ""


def task_of(cfg: CfgNode) -> Literal["classification", "detection"]:
    """Which task a config is for: `MODEL.META_ARCHITECTURE` says.

    Any name but `ImageClassifier` is a detector's, Detectron2's or a user's own.

    Raises:
        UserError: the name looks like a misspelt `ImageClassifier`.
    """
    name = cfg.MODEL.META_ARCHITECTURE
    if name == CLASSIFIER:
        return "classification"
    if nearest(name, [CLASSIFIER], cutoff=0.8):
        raise UserError(f"MODEL.META_ARCHITECTURE: {name!r} is unknown; {CLASSIFIER!r} is meant?")
    return "detection"
