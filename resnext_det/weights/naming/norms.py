"""Which norm a network has, told by the names of its tensors. Engine-neutral."""

import re
from collections.abc import Iterable

_NORM = re.compile(r"(?:^|\.)(?:stem|res\d)\..*\.norm\.(\w+)$")


def norm_of(keys: Iterable[str]) -> str:
    """Returns the norm of the backbone in a state dict in our names, "BN" or "GN"; "" for none.

    A group norm has a weight and a bias, and no statistics. FrozenBN's and SyncBN's names are BN's.
    """
    leaves = {match[1] for key in keys if (match := _NORM.search(key))}
    return "BN" if "running_var" in leaves else "GN" if "weight" in leaves else ""
