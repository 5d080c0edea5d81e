"""Names of other libraries' networks that are plain ResNets or ResNeXts. Engine-neutral."""

import difflib
import re
from collections.abc import Sequence

# Their other networks begin alike and share the names of the tensors, but compute something else:
# resnetblur50 and resnetaa50 pool before a stride, resnet50_gn has another norm, resnet50d another
# stem. Nothing in a file would tell; so what is not listed here is refused by name.
_PLAIN = re.compile(r"resnet\d+|resnext\d+_\d+x\d+d|wide_resnet\d+_\d")


def is_plain_resnet(name: str) -> bool:
    """Tells torchvision's or timm's name, without a tag, of a network that ours computes."""
    return _PLAIN.fullmatch(name) is not None


def nearest(name: str, known: Sequence[str]) -> str:
    """Returns the end of a message that names the nearest of the known names."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"; the nearest is {close[0]!r}" if close else ""
