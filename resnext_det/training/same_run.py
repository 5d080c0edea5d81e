"""Whether a checkpoint is of the run that a config describes. Engine-neutral."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

import yaml
from fvcore.common.config import CfgNode

from resnext_det.config import dump_config, flatten, get_value, with_values
from resnext_det.config.plain_yaml import NotPlainYAMLError, read_plain_yaml
from resnext_det.errors import UserError
from resnext_det.training.acceleration import ACCELERATION_KEYS
from resnext_det.training.distributed import is_main

# The first three say where to compute and start, SEED is settled apart, REFERENCE_BATCH follows
# IMS_PER_BATCH, LAZY_CONFIG is pages of text (its solver has keys of its own, its model is held to
# the checkpoint tensor by tensor), VARIANT is a name for numbers that are compared themselves, and
# the rest follows the weights.
FREE_ON_RESUME = frozenset(
    {
        "MODEL.DEVICE",
        "MODEL.WEIGHTS",
        "MODEL.WEIGHTS_LICENCE_POLICY",
        "MODEL.WEIGHTS_MIN_SHARE",
        "MODEL.RESNETS.VARIANT",
        "SEED",
        "SOLVER.REFERENCE_BATCH",
        "LAZY_CONFIG",
        "INPUT.FORMAT",
        "MODEL.PIXEL_MEAN",
        "MODEL.PIXEL_STD",
        "MODEL.RESNETS.STRIDE_IN_1X1",
    }
)

# What weights set in a config where the user did not: the architecture, and GroupNorm.
SET_BY_WEIGHTS = (
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.NORM",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.RES2_OUT_CHANNELS",
    "MODEL.RESNETS.STEM",
    "MODEL.RESNETS.STEM_OUT_CHANNELS",
    "MODEL.RESNETS.VARIANT",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
)


def as_begun(
    cfg: CfgNode, state: Mapping[str, Any], source: str, user_given: Collection[str] | None
) -> CfgNode:
    """Returns the configuration with what the run's start set in it beside the user, once more.

    That is what its first weights set, and how it is accelerated.

    Args:
        cfg: the configuration now.
        state: what the checkpoint holds, with its `config` as YAML text.
        source: the checkpoint's path, for messages.
        user_given: dotted keys that the user gave, which stay; None where all count as given.

    Raises:
        UserError: the checkpoint's config is no YAML of config keys.
    """
    if user_given is None:
        return cfg
    earlier = _earlier_config(state.get("config", ""), source)
    kept = (*SET_BY_WEIGHTS, *ACCELERATION_KEYS)
    free = {key: earlier[key] for key in kept if key in earlier and key not in user_given}
    same_type = {k: v for k, v in free.items() if type(v) is type(get_value(cfg, k))}
    for key in ACCELERATION_KEYS:
        if same_type.get(key, get_value(cfg, key)) != get_value(cfg, key) and is_main():
            logging.getLogger(__name__).info(
                "%s stays %s, as the run began; --acceleration says otherwise", key, same_type[key]
            )
    return with_values(cfg, same_type)


def check_resumable(cfg: CfgNode, state: Mapping[str, Any], source: str, engine: str) -> None:
    """Refuses to continue another engine's run, or a run of another model.

    Other settings may change, SOLVER.MAX_ITER for example; the log names them.

    Args:
        cfg: the configuration now.
        state: what the checkpoint holds, with its `engine` and its `config` as YAML text.
        source: the checkpoint's path, for messages.
        engine: the engine now.

    Raises:
        UserError: the engine or a key under MODEL has changed.
    """
    wrote = state.get("engine", engine)
    if wrote != engine:
        raise UserError(
            f"{source} was written by the {wrote} engine: continue it with --engine {wrote}, or "
            f"start a new run in another OUTPUT_DIR with MODEL.WEIGHTS {source}"
        )
    earlier = _earlier_config(state.get("config", ""), source)
    now = dict(flatten(yaml.safe_load(dump_config(cfg))))
    changed = {key for key, value in now.items() if key in earlier and earlier[key] != value}
    for key in sorted(changed - FREE_ON_RESUME):
        if key.startswith("MODEL."):
            raise UserError(
                f"{key} is {now[key]}, but {source} was trained with {earlier[key]}: "
                "--resume continues the same model; start a new one in another OUTPUT_DIR"
            )
        if is_main():
            logging.getLogger(__name__).info(
                "%s was %s before and is %s from here on", key, earlier[key], now[key]
            )


def _earlier_config(text: object, source: str) -> dict[str, Any]:
    """The flat config that a checkpoint carries; empty where it carries none."""
    try:
        tree = read_plain_yaml(text) if isinstance(text, str) else text
    except NotPlainYAMLError:
        tree = text
    if tree is not None and not isinstance(tree, Mapping):
        raise UserError(
            f"{source}: its config is no YAML of config keys, so --resume cannot tell whether it "
            "fits: go on from another checkpoint, or start from it with MODEL.WEIGHTS"
        )
    return dict(flatten(tree or {}))
