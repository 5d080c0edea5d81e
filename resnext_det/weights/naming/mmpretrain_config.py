"""The convention in OpenMMLab's checkpoints: in a config's text, or in buffers. Engine-neutral."""

import math
import re
from collections.abc import Mapping, Sequence

from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import Convention, torchvision_convention

_MAX_TEXT = 1 << 20  # characters; their configs have some thousands
_NUMBERS = r"=\s*\[([-+.\deE,\s]{1,200})\]"
_CIFAR_MEAN = (125.307, 122.961, 113.8575)  # configs/_base_/datasets/cifar10_bs16.py: read as RGB
_TOLERANCE = 0.1  # 0-255 units: [123.68, 116.78, 103.94] is another convention


def convention_of(content: FileContent) -> Convention | None:
    """Returns what the checkpoint says of its images, or None where it says nothing certain.

    The text of the config is searched, never run: `mean`, `std`, and `to_rgb` or
    `bgr_to_rgb`, of which each must have one value throughout.
    """
    text = _config_text(content)
    flags = {*re.findall(r"\b(?:bgr_)?to_rgb\s*=\s*(True|False)\b", text)}
    mean, std = _triple(text, "mean"), _triple(text, "std")
    if mean is None or std is None:
        mean, std = _buffer(content, "mean"), _buffer(content, "std")
    if mean is None or std is None or min(std) <= 0 or len(flags) > 1:
        return None
    order = _order_of(mean, flags)
    if order is None:
        return None
    return Convention(order, mean, std, strides_in_1x1(content))


def strides_in_1x1(content: FileContent) -> bool:
    """Tells networks of `style='caffe'`, whose stages stride in the first 1x1."""
    styles = re.findall(r"\bstyle\s*=\s*['\"](\w{1,20})['\"]", _config_text(content))
    return {*styles} == {"caffe"}


def _config_text(content: FileContent) -> str:
    meta = content.extras.get("meta")
    if not isinstance(meta, Mapping):
        return ""
    text = next((t for key in ("cfg", "config") if isinstance(t := meta.get(key), str)), "")
    return text if len(text) <= _MAX_TEXT else ""


def _triple(text: str, name: str) -> tuple[float, ...] | None:
    found = {*re.findall(rf"\b{name}\s*{_NUMBERS}", text)}
    try:
        values = {tuple(float(part) for part in one.strip(" ,\n").split(",")) for one in found}
    except ValueError:
        return None
    return _checked(values.pop()) if len(values) == 1 else None


def _buffer(content: FileContent, name: str) -> tuple[float, ...] | None:
    tensor = content.tensors.get(f"data_preprocessor.{name}")
    return None if tensor is None else _checked(tensor.reshape(-1)[:4].tolist())


def _checked(values: Sequence[float]) -> tuple[float, ...] | None:
    right = len(values) == 3 and all(math.isfinite(value) for value in values)
    return tuple(float(value) for value in values) if right else None


def _order_of(mean: Sequence[float], flags: set[str]) -> str | None:
    """Known means tell the order, the flag of others: their images are read as BGR."""
    rgb = torchvision_convention().mean
    for order, known in (("RGB", rgb), ("BGR", rgb[::-1]), ("RGB", _CIFAR_MEAN)):
        if all(abs(a - b) < _TOLERANCE for a, b in zip(mean, known, strict=True)):
            return order
    return {"True": "RGB", "False": "BGR"}.get("".join(flags))
