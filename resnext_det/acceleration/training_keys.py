"""An acceleration setting of training, as keys of the run's config. Engine-neutral.

The keys are the one way to say what a run is trained with: its config.yaml and its checkpoints
tell them, and a run that is continued goes on with them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.acceleration.ability import check_acceleration
from resnext_det.acceleration.choice import AUTO
from resnext_det.acceleration.machine import saved_acceleration
from resnext_det.acceleration.setting import (
    OF_INFERENCE,
    Acceleration,
    acceleration_of_words,
    check_for_inference,
)
from resnext_det.config import LoadedConfig, get_value, task_of, with_values
from resnext_det.errors import UserError
from resnext_det.training.device import find_device
from resnext_det.training.distributed import broadcast_object

_KEYS = {
    "channels_last": "SOLVER.CHANNELS_LAST",
    "fold_norms": "SOLVER.FOLD_NORMS",
    "fast_pooling": "SOLVER.FAST_POOLING",
    "fast_suppression": "SOLVER.FAST_SUPPRESSION",
    "keep_memory": "SOLVER.KEEP_MEMORY",
    "sampled_anchors": "SOLVER.SAMPLED_ANCHORS",
    "compile": "SOLVER.COMPILE",
}
Check = Callable[[CfgNode], None]
"""Raises UserError where a config cannot be trained."""


def training_keys(setting: Acceleration) -> dict[str, Any]:
    """Returns the values of all keys that a setting is.

    Raises:
        UserError: it has cuda_graphs, for training images differ in size, or winograd, which has
            no gradient.
    """
    if setting.winograd:
        raise UserError("winograd is of inference alone, for it has no gradient: leave it out")
    if setting.cuda_graphs:
        raise UserError(
            "cuda_graphs is of inference alone, for training images differ in size: leave it out"
        )
    keys: dict[str, Any] = {"SOLVER.AMP.ENABLED": setting.precision != "float32"}
    if keys["SOLVER.AMP.ENABLED"]:
        keys["SOLVER.AMP.DTYPE"] = setting.precision
    return keys | {key: getattr(setting, name) for name, key in _KEYS.items()}


def check_words(words: str, *, eval_only: bool = False) -> None:
    """Checks `--acceleration` before anything is read.

    Raises:
        UserError: a word is unknown, or does not suit what is to be done.
    """
    if words == AUTO:
        return
    setting = acceleration_of_words(words, listed=OF_INFERENCE if eval_only else _KEYS)
    if not eval_only:
        training_keys(setting)
        return
    check_for_inference(setting)
    if setting.cuda_graphs:
        raise UserError(
            "cuda_graphs is of `resnext-det predict`, and --eval-only has none: leave it out"
        )


def with_acceleration(loaded: LoadedConfig, words: str, check: Check) -> LoadedConfig:
    """Puts a setting into the config of a run that is to be trained.

    Keys that the user gave keep their values; from the machine's setting, keys of base files
    too, and what cannot be trained so is left out. Words count as keys that the user gave.

    Args:
        loaded: the config.
        words: AUTO is this machine's saved setting, none where none was saved; "exact"; or a
            setting in words.
        check: of the engine.

    Returns:
        The config, with a note for the run's log where a key was set.

    Raises:
        UserError: a word is unknown or not possible here, or the machine's file of settings is
            broken.
    """
    if words != AUTO:
        setting = acceleration_of_words(words)
        check_acceleration(setting, find_device(loaded.cfg), "training")
        keys = training_keys(setting)
        found = _taken(loaded, keys, loaded.user_given, f"--acceleration {words}")
        return replace(found, user_given=found.user_given | (keys.keys() - loaded.user_given))
    saved = None
    if task_of(loaded.cfg) == "detection":
        # The first process's, should the others be on other machines.
        saved = broadcast_object(saved_acceleration(find_device(loaded.cfg), "training"))
    if saved is None:
        return loaded
    wanted = training_keys(replace(saved, cuda_graphs=False))
    changed = {k: v for k, v in wanted.items() if get_value(loaded.cfg, k) != v}
    keys = {k: v for k, v in changed.items() if _can_be(loaded.cfg, {k: v}, check)}
    return _taken(loaded, keys, loaded.given, "the setting saved for this machine")


def _taken(
    loaded: LoadedConfig, keys: Mapping[str, Any], kept: Collection[str], source: str
) -> LoadedConfig:
    """Returns the config with those of the keys that are not to be kept."""
    free = {key: value for key, value in keys.items() if key not in kept}
    changed = {k: v for k, v in free.items() if get_value(loaded.cfg, k) != v}
    if not changed:
        return loaded
    told = ", ".join(f"{key} {value}" for key, value in changed.items())
    others = {k: get_value(loaded.cfg, k) for k in keys if k in kept}
    stays = [f"{k} {v}" for k, v in others.items() if v != keys[k]]
    more = f"; as given stays {', '.join(stays)}" if stays else ""
    return replace(
        loaded,
        cfg=with_values(loaded.cfg, changed),
        given=loaded.given | changed.keys(),
        notes=(*loaded.notes, f"Acceleration by {source}: {told}{more}"),
    )


def _can_be(cfg: CfgNode, keys: Mapping[str, Any], check: Check) -> bool:
    try:
        check(with_values(cfg, keys))
    except UserError:
        return False
    return True
