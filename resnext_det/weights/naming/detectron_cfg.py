"""The config inside a Detectron file, read without making what it asks for. Engine-neutral.

Detectron dumps its config with PyYAML's full dumper under Python 2: the text names classes to call
(`!!python/object/new:detectron.utils.collections.AttrDict`, NumPy arrays as calls of
`numpy.core.multiarray._reconstruct`). Here the text is parsed into YAML's own nodes and looked up
by name; no tag is obeyed, and an alias is followed only along the names asked for.
"""

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from resnext_det.weights.config_texts import compose_config


@dataclass(frozen=True)
class DetectronCfg:
    """What is needed of it; None where the text does not say.

    Attributes:
        pixel_means: subtracted in BGR order, 0-255 units.
        stride_1x1: stride 2 sits in the first 1x1 convolution.
        num_groups: cardinality.
        rpn_sizes: how many sizes of anchor an RPN without FPN has at a place.
        rpn_ratios: how many shapes of anchor.
        class_agnostic_masks: one mask for all classes, no background among them.
        softmax_retinanet: its classes count the background, too.
    """

    pixel_means: tuple[float, ...] | None = None
    stride_1x1: bool | None = None
    num_groups: int | None = None
    rpn_sizes: int | None = None
    rpn_ratios: int | None = None
    class_agnostic_masks: bool = False
    softmax_retinanet: bool = False


def read_cfg(text: str) -> DetectronCfg | None:
    """Reads the text under `cfg`; None where it is no config of Detectron's."""
    root = compose_config(text)
    if _at(root, "MODEL") is None:
        return None
    return DetectronCfg(
        pixel_means=_array(_at(root, "PIXEL_MEANS")),
        stride_1x1=_flag(_at(root, "RESNETS", "STRIDE_1X1")),
        num_groups=_count(_at(root, "RESNETS", "NUM_GROUPS")),
        rpn_sizes=_length(_at(root, "RPN", "SIZES")),
        rpn_ratios=_length(_at(root, "RPN", "ASPECT_RATIOS")),
        class_agnostic_masks=_flag(_at(root, "MRCNN", "CLS_SPECIFIC_MASK")) is False,
        softmax_retinanet=_flag(_at(root, "RETINANET", "SOFTMAX")) is True,
    )


def _at(node: yaml.Node | None, *names: str) -> yaml.Node | None:
    for name in names:
        # An AttrDict is written as a call: its items stand under `dictitems`.
        inner = _entry(node, "dictitems")
        node = _entry(node if inner is None else inner, name)
    return node


def _entry(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if _scalar(key) == name), None)


def _scalar(node: yaml.Node | None) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _count(node: yaml.Node | None) -> int | None:
    text = _scalar(node) or ""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _flag(node: yaml.Node | None) -> bool | None:
    return {"true": True, "false": False}.get((_scalar(node) or "").lower())


def _length(node: yaml.Node | None) -> int | None:
    return len(node.value) if isinstance(node, yaml.SequenceNode) else None


def _array(node: yaml.Node | None) -> tuple[float, ...] | None:
    """The numbers of a dumped float64 array, or of plain nested lists."""
    try:
        state = _entry(node, "state")
        if isinstance(state, yaml.SequenceNode) and len(state.value) == 5:
            # NumPy's (version, shape, dtype, is_fortran, bytes); three doubles, little-endian.
            raw = base64.b64decode(_scalar(state.value[4]) or "")
            return struct.unpack("<3d", raw)
        return tuple(float(text) for text in _leaves(node, depth=3)) or None
    except (ValueError, struct.error, binascii.Error):
        return None


def _leaves(node: yaml.Node | None, depth: int) -> Sequence[str]:
    if isinstance(node, yaml.ScalarNode):
        return (node.value,)
    if not isinstance(node, yaml.SequenceNode) or depth == 0 or len(node.value) > 3:
        return ()
    return tuple(leaf for child in node.value for leaf in _leaves(child, depth - 1))
