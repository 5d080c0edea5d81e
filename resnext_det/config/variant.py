"""`MODEL.RESNETS.VARIANT`: one name for the keys that make an architecture. Engine-neutral."""

from collections.abc import Collection

from fvcore.common.config import CfgNode

from resnext_det.config.backbone import BASIC_DEPTHS
from resnext_det.config.tree import get_cfg, get_value, set_value
from resnext_det.errors import UserError

VARIANT_KEY = "MODEL.RESNETS.VARIANT"


def variant_keys(name: str) -> dict[str, int | bool | str]:
    """The dotted keys that a variant sets, with its values.

    Raises:
        UserError: no variant of that name.
    """
    from resnext_det.modeling.variants import get_variant  # the config needs it only here

    variant = get_variant(name)
    keys: dict[str, int | bool | str] = {
        "MODEL.RESNETS.DEPTH": variant.depth,
        "MODEL.RESNETS.NUM_GROUPS": variant.num_groups,
        "MODEL.RESNETS.WIDTH_PER_GROUP": variant.width_per_group,
        # Detectron2's default, True, is right for MSRA's ResNets alone.
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
        "MODEL.RESNETS.STEM": variant.stem,
    }
    if variant.depth in BASIC_DEPTHS:
        keys["MODEL.RESNETS.RES2_OUT_CHANNELS"] = 64  # Detectron2's 256 suits bottlenecks alone
    return keys


def apply_variant(cfg: CfgNode, given: Collection[str] | None) -> None:
    """Set the keys that the variant stands for; a tree without a variant stays as it is.

    Args:
        cfg: our own tree or Detectron2's after `add_keys`, not frozen; changed in place.
        given: the dotted keys that somebody set. None where nobody knows, as in a plain
            Detectron2 tree: there a value is taken as set when it is not the default.

    Raises:
        UserError: unknown variant, or a key that was set to another value than the variant's.
    """
    name = get_value(cfg, VARIANT_KEY)
    if not name:
        return
    defaults = get_cfg()
    wanted = variant_keys(name)
    for key, want in wanted.items():
        have = get_value(cfg, key)
        was_set = key in given if given is not None else have != get_value(defaults, key)
        if was_set and have != want:
            short = key.rsplit(".", 1)[-1]
            raise UserError(
                f"{VARIANT_KEY} {name} has {short} {want}, but {key} is set to {have}; "
                "remove one of the two"
            )
    for key, want in wanted.items():
        set_value(cfg, key, want)
