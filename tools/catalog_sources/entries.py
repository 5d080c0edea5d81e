"""What the entries of a source have in common, and how addresses tell digests. Engine-neutral."""

import re
from typing import Any

from resnext_det.modeling import get_variant
from resnext_det.weights.catalog import CatalogEntry
from resnext_det.weights.convention import Convention, torchvision_convention

RGB = torchvision_convention()
# The means and deviations of ImageNet in the order of OpenCV, blue first.
_BGR_MEAN, _BGR_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
BGR = Convention("BGR", _BGR_MEAN, _BGR_STD)
BGR_UNSCALED = Convention("BGR", _BGR_MEAN, (1.0, 1.0, 1.0))
MSRA = Convention("BGR", _BGR_MEAN, (1.0, 1.0, 1.0), stride_in_1x1=True)

_DEFAULTS: dict[str, Any] = {
    "task": "classification",
    "address": "",
    "sha256": "",
    "md5": "",
    "num_classes": 1000,
    "convention": RGB,
    "norm": "BN",
    "accuracy": {},
    "pixels": None,
    "accuracy_source": "",
    "licence": "",
    "licence_source": "",
    "config": "",
    "remark": "",
}


def make_entry(**values: Any) -> CatalogEntry:
    """Returns an entry; what is left out is not known, or as for most of them."""
    return CatalogEntry(**{**_DEFAULTS, **values})


def sha256_in_name(address: str) -> str:
    """Returns the eight digits that PyTorch's projects put before a file's suffix, or "".

    Source: torch.hub.load_state_dict_from_url(check_hash=True) and mmpretrain's
    tools/model_converters/publish_model.py.
    """
    found = re.search(r"-([0-9a-f]{8})\.pth$", address)
    return found[1] if found else ""


def variant_of(depth: int, num_groups: int = 1, width_per_group: int = 64) -> str:
    """Returns the name that a network has here, whether `list_variants()` has it or not."""
    plain = (num_groups, width_per_group) == (1, 64)
    kind = "resnet" if num_groups == 1 else "resnext"
    return f"{kind}{depth}" + ("" if plain else f"_{num_groups}x{width_per_group}d")


def checked(variant: str) -> str:
    """Returns a name that `list_variants()` must have."""
    return get_variant(variant).name
