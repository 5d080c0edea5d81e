"""What wrappers put into the names of a model's tensors. Engine-neutral."""

from collections.abc import Mapping
from typing import TypeVar

_Value = TypeVar("_Value")

_PARALLEL = "module."  # DistributedDataParallel and AveragedModel, one around the other too
_COMPILED = "_orig_mod."  # torch.compile, which may have been called for a part of a model
# Lightning's and other trainers' attribute that holds the network; no library that is known here
# begins all its names so.
_ATTRIBUTES = ("model.", "net.", "network.")


def plain_name(name: str) -> str:
    """Returns a tensor's name without `module.` before it and `_orig_mod.` anywhere in it."""
    plain = name.replace(_COMPILED, "")
    while plain.startswith(_PARALLEL):
        plain = plain.removeprefix(_PARALLEL)
    return plain


def without_attribute(tensors: Mapping[str, _Value]) -> dict[str, _Value]:
    """Takes off the attribute that a trainer keeps its network under, where all names have it.

    Args:
        tensors: name -> value. Names that stand beside the network's (a loss's weights) keep all
            as it is: nobody can tell then which is the network.
    """
    found = dict(tensors)
    while found and (begin := next((a for a in _ATTRIBUTES if _all_begin(found, a)), "")):
        found = {plain_name(name.removeprefix(begin)): value for name, value in found.items()}
    return found


def _all_begin(names: Mapping[str, object], begin: str) -> bool:
    return all(name.startswith(begin) and len(name) > len(begin) for name in names)
