"""Weights set the config's keys, or are contradicted by what the user gave. Engine-neutral."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config import get_value, validate_config, with_values
from resnext_det.config.variant import VARIANT_KEY, variant_keys
from resnext_det.weights.architecture import Architecture, architecture_of, infer_architecture
from resnext_det.weights.convention import check_convention, refuse_given
from resnext_det.weights.licences import POLICY_KEY, check_licence
from resnext_det.weights.sources import Weights
from resnext_det.weights.suiting import check_architecture, norm_of_weights

_NORM = "MODEL.RESNETS.NORM"
_DEPTH = "MODEL.RESNETS.DEPTH"
_GROUPS, _WIDTH = "MODEL.RESNETS.NUM_GROUPS", "MODEL.RESNETS.WIDTH_PER_GROUP"
_STEM, _STEM_OUT = "MODEL.RESNETS.STEM", "MODEL.RESNETS.STEM_OUT_CHANNELS"
_RES2_OUT = "MODEL.RESNETS.RES2_OUT_CHANNELS"
_STRIDE = "MODEL.RESNETS.STRIDE_IN_1X1"


def apply_to_config(cfg: CfgNode, user_given: Collection[str], weights: Weights | None) -> CfgNode:
    """Returns the configuration as the weights want it, and checks that they may be used.

    They set pixel order, mean, std and stride, and the numbers of their architecture; GroupNorm
    where they have it. What is set is said in the log. A config in Python syntax
    (`LAZY_CONFIG`) builds its model without these keys: what it says is only compared.

    Args:
        cfg: the configuration; it is not changed.
        user_given: dotted keys that the user gave, in the named file or on the command line.
        weights: None leaves everything as it is.

    Raises:
        UserError: MODEL.WEIGHTS_LICENCE_POLICY does not allow the weights; a key that the user
            gave contradicts them; or the keys that they set do not go with others.
    """
    if weights is None:
        return cfg
    check_licence(weights.side_car, weights.source, get_value(cfg, POLICY_KEY))
    changes = check_convention(cfg, user_given, weights)
    if cfg.LAZY_CONFIG:
        _warn_of_unsaid(changes, weights)
        return cfg
    if cfg.MODEL.WEIGHTS_MIN_SHARE > 0:  # at 0 whatever fits is loaded into the config's network
        changes |= _architecture_changes(cfg, user_given, weights)
        changes |= _norm_changes(cfg, user_given, weights)
    changes |= _variant_change(cfg, changes)
    for key, value in changes.items():
        logging.getLogger(__name__).info("%s is set to %s, as the weights want", key, value)
    changed = with_values(cfg, changes)
    if changes:
        validate_config(changed, where=f"the config with {weights.source}")
    return changed


def _warn_of_unsaid(changes: Mapping[str, Any], weights: Weights) -> None:
    """A config in Python syntax need not say these keys where they are looked for."""
    for key, value in changes.items():
        logging.getLogger(__name__).warning(
            "the config does not say %s, and %s was trained with %s: see that its code has that",
            key,
            weights.source,
            value,
        )


def _architecture_changes(
    cfg: CfgNode, user_given: Collection[str], weights: Weights
) -> dict[str, Any]:
    """Key -> the weights' value where it differs from the config's."""
    theirs = infer_architecture(weights.state)
    if theirs is None or cfg.MODEL.RESNETS.BLOCK_FORM != "grouped":
        return {}
    wanted = _wanted(theirs, get_value(cfg, _DEPTH))
    changes = {key: value for key, value in wanted.items() if get_value(cfg, key) != value}
    if not changes:
        return {}
    variant = get_value(cfg, VARIANT_KEY)
    of_variant = variant_keys(variant) if variant else {}
    given = {*user_given, *(of_variant if VARIANT_KEY in user_given else ())}
    if given & changes.keys():
        check_architecture(theirs, _of_config(cfg), weights.source)
    for key in sorted(given & changes.keys()):
        refuse_given(key, get_value(cfg, key), changes[key], weights.source)
    if any(changes.get(key, value) != value for key, value in of_variant.items()):
        changes[VARIANT_KEY] = theirs.variant or ""
    return changes


def _variant_change(cfg: CfgNode, changes: Mapping[str, Any]) -> dict[str, str]:
    """No variant, where weights stride elsewhere than all variants, as MSRA's ResNets do.

    The two keys beside each other are refused, also in the config that the run writes.
    """
    variant = changes.get(VARIANT_KEY, get_value(cfg, VARIANT_KEY))
    contradicts = variant and changes.get(_STRIDE, variant_keys(variant)[_STRIDE]) is True
    return {VARIANT_KEY: ""} if contradicts else {}


def _wanted(theirs: Architecture, depth: int) -> dict[str, Any]:
    """The keys that an architecture determines; none where its depth is not known."""
    fitting = theirs.depths
    if depth not in fitting and len(fitting) != 1:
        return {}
    keys = {
        _DEPTH: depth if depth in fitting else fitting[0],
        _GROUPS: theirs.num_groups,
        _WIDTH: theirs.width_per_group,
        _STEM: theirs.stem,
        _STEM_OUT: theirs.stem_out_channels,
        _RES2_OUT: theirs.res2_out_channels,
    }
    return {key: value for key, value in keys.items() if value}


def _of_config(cfg: CfgNode) -> Architecture:
    return architecture_of(*(get_value(cfg, key) for key in (_DEPTH, _GROUPS, _WIDTH)))


def _norm_changes(cfg: CfgNode, user_given: Collection[str], weights: Weights) -> Mapping[str, str]:
    """GroupNorm is the weights' alone; which kind of BatchNorm is the user's choice."""
    ours = get_value(cfg, _NORM)
    if norm_of_weights(weights) != "GN" or ours == "GN" or _NORM in user_given:
        return {}  # `check_norm` compares them once the model is built
    return {_NORM: "GN"}
