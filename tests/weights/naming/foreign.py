"""Networks of libraries that are not here: names, shapes, numbers by formula. Engine-neutral.

The names are written down here from those libraries' sources, block by block, and know nothing of
the tables that read them.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tests.golden.formula import image, uniform

CLASSES = 10
SIDE = 64  # pixels of the image
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3),
          152: (3, 8, 36, 3)}  # fmt: skip
Shapes = dict[str, tuple[int, ...]]


def mmpretrain_shapes(depth: int, groups: int = 1, width: int = 64, stem: int = 7) -> Shapes:
    """Source: mmpretrain/models/backbones/{resnet,resnext,resnet_cifar}.py, heads/linear_head."""
    shapes: Shapes = {"backbone.conv1.weight": (64, 3, stem, stem)}
    shapes |= _norm("backbone.bn1", 64)
    expansion = 1 if depth < 50 else 4
    inputs = 64
    for stage, (count, base) in enumerate(zip(BLOCKS[depth], (64, 128, 256, 512), strict=True), 1):
        middle, outputs = groups * width * base // 64, base * expansion
        for block in range(count):
            name = f"backbone.layer{stage}.{block}"
            convs = _convs(inputs, middle if depth >= 50 else outputs, outputs, groups, depth)
            for i, shape in enumerate(convs, 1):
                shapes[f"{name}.conv{i}.weight"] = shape
                shapes |= _norm(f"{name}.bn{i}", shape[0])
            if block == 0 and (inputs != outputs or stage > 1):
                shapes[f"{name}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= _norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    return shapes | {"head.fc.weight": (CLASSES, inputs), "head.fc.bias": (CLASSES,)}


def pycls_shapes(depth: int, groups: int = 1, width: int = 64) -> Shapes:
    """Source: pycls/models/resnet.py; the same of pycls/models/anynet.py."""
    shapes: Shapes = {"stem.conv.weight": (64, 3, 7, 7)} | _norm("stem.bn", 64)
    inputs = 64
    for stage, count in enumerate(BLOCKS[depth], 1):
        outputs, middle = 128 << stage, (groups * width) << (stage - 1)
        for block in range(1, count + 1):
            name = f"s{stage}.b{block}"
            if block == 1:
                shapes[f"{name}.proj.weight"] = (outputs, inputs, 1, 1)
                shapes |= _norm(f"{name}.bn", outputs)
            for letter, shape in zip("abc", _convs(inputs, middle, outputs, groups, depth),
                                     strict=True):  # fmt: skip
                shapes[f"{name}.f.{letter}.weight"] = shape
                shapes |= _norm(f"{name}.f.{letter}_bn", shape[0])
            inputs = outputs
    return shapes | {"head.fc.weight": (CLASSES, inputs), "head.fc.bias": (CLASSES,)}


def pycls_cifar_shapes(blocks: int) -> Shapes:
    """Source: `_construct_cifar` of pycls/models/resnet.py, depth 6 · blocks + 2."""
    shapes: Shapes = {"stem.conv.weight": (16, 3, 3, 3)} | _norm("stem.bn", 16)
    inputs = 16
    for stage, outputs in enumerate((16, 32, 64), 1):
        for block in range(1, blocks + 1):
            name = f"s{stage}.b{block}"
            if inputs != outputs:
                shapes[f"{name}.proj.weight"] = (outputs, inputs, 1, 1)
                shapes |= _norm(f"{name}.bn", outputs)
            shapes |= {f"{name}.f.a.weight": (outputs, inputs, 3, 3)}
            shapes |= _norm(f"{name}.f.a_bn", outputs)
            shapes |= {f"{name}.f.b.weight": (outputs, outputs, 3, 3)}
            shapes |= _norm(f"{name}.f.b_bn", outputs)
            inputs = outputs
    return shapes | {"head.fc.weight": (CLASSES, inputs), "head.fc.bias": (CLASSES,)}


def fill(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Numbers for every entry, from its name and the formula of the golden files alone."""
    return {name: _fill(name, tuple(shape)) for name, shape in shapes.items()}


def scene() -> np.ndarray:
    """(3, SIDE, SIDE) uint8, RGB."""
    return image("foreign", SIDE, SIDE)


def digest_of_names(shapes: Mapping[str, Sequence[int]]) -> int:
    """CRC-32 of all names with their shapes, in whatever order they come."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items())
    return zlib.crc32("\n".join(lines).encode())


def _convs(
    inputs: int, middle: int, outputs: int, groups: int, depth: int
) -> list[tuple[int, ...]]:
    if depth < 50:
        return [(outputs, inputs, 3, 3), (outputs, outputs, 3, 3)]
    return [(middle, inputs, 1, 1), (middle, middle // groups, 3, 3), (outputs, middle, 1, 1)]


def _norm(name: str, channels: int) -> Shapes:
    return dict(_norm_entries(name, channels))


def _norm_entries(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{leaf}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def _fill(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    noise = torch.from_numpy(uniform(name, shape))
    if name.endswith("running_var"):
        return 1 + 0.5 * noise
    if len(shape) == 1:
        return 0.5 + 0.2 * noise if name.endswith("weight") else 0.1 * noise
    return noise * (6 / int(np.prod(shape[1:]))) ** 0.5  # uniform in [-1, 1): variance 1 / 3
