"""Mutations of small weights files, from a seeded generator: the same number, the same file.

Seeds are made once per reader; `mutated` changes one of them. Bytes are flipped, inserted, deleted,
copied elsewhere or cut off, integers set to extremes, opcodes swapped; the pickle inside an archive
is changed and zipped again with right sums, or else the sums alone would refuse everything.
"""

import io
import pickle
import pickletools
import random
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save

from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import to_json
from tests.weights.hostile_pickles import archive
from tests.weights.torch7.lua_networks import Net
from tests.weights.torch7.lua_writer import FORMS, serialise

EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1]
EXTREMES += [1 << 40, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]

_SIDE_CAR = SideCar(
    origin="a.pth", convention=torchvision_convention(), norm="BN", norm_eps=1.0e-5,
    class_names=("a", "b"), licence="MIT", accuracy={"top1": 77.6}, sha256="0" * 64,
)  # fmt: skip


def _state():
    whole = torch.arange(12.0)
    return OrderedDict(
        weight=torch.arange(24.0).reshape(2, 3, 2, 2),
        half=torch.ones(3, dtype=torch.bfloat16),
        count=torch.tensor(3),
        flags=torch.tensor([True, False]),
        tied=whole,
        part=whole[2:8:2],
        empty=torch.zeros(0, 2),
    )


def _checkpoint():
    return {
        "model": _state(),
        "optimizer": {"state": {0: {"momentum": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        "class_names": ["a", "b"],
        "sizes": (torch.Size([1, 2]), {1, 2}, 2**70, 1.5, None, b"bytes"),
    }


def _torch_bytes(content, **more):
    buffer = io.BytesIO()
    torch.save(content, buffer, **more)
    return buffer.getvalue()


def _arrays():
    arrays = {"conv1_w": np.ones((2, 3), np.float32), "b": np.arange(3), "s": np.float64(1)}
    return {"blobs": arrays, "cfg": "MODEL: {}", "tuple": (1, [2, {3: 4}])}


def _lua_network():
    net = Net()
    return net.sequential(net.conv(2, 2, 1), net.norm(2), net.relu())


def seeds(reader):
    """Returns the files that a reader's mutations start from."""
    if reader == "torch-zip":
        return [_torch_bytes(_state()), _torch_bytes(_checkpoint(), pickle_protocol=4)]
    if reader == "torch-legacy":
        old = {"_use_new_zipfile_serialization": False}
        return [_torch_bytes(_state(), **old), _torch_bytes(_checkpoint(), **old)]
    if reader == "pickle":
        return [pickle.dumps(_arrays(), protocol) for protocol in (0, 2, 4, 5)]
    if reader == "side-car":
        return [to_json(_SIDE_CAR).encode(), to_json(SideCar(licence="MIT")).encode()]
    if reader == "torch7":
        return [serialise(_lua_network(), **form) for form in FORMS]
    assert reader == "safetensors", reader
    state = {key: value.contiguous().clone() for key, value in _state().items()}
    return [save(state, {"class_names": '["a"]'}), save({"w": torch.ones(2)})]


READERS = ("torch-zip", "torch-legacy", "pickle", "safetensors", "torch7", "side-car")


def mutated(reader, files, number, seed=0):
    """Returns mutation `number` of the files that `seeds` gives: bytes."""
    draw = random.Random(f"{reader} {number} {seed}" if seed else f"{reader} {number}")
    data = draw.choice(files)
    if reader == "torch-zip" and draw.random() < 0.7:
        return _inside(draw, data)
    return _changed(draw, data, files)


def _inside(draw, data):
    """Changes the records of an archive, and writes it again with right sums."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        records = [(name.partition("/")[2], file.read(name)) for name in file.namelist()]
    contents = dict(records)
    chosen = "data.pkl" if draw.random() < 0.8 else draw.choice(list(contents))
    contents[chosen] = _changed(draw, contents[chosen], list(contents.values()))
    data_pickle = contents.pop("data.pkl")
    return archive(data_pickle, list(contents.items()))


def _changed(draw, data, others):
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        data = draw.choice(CHANGES)(draw, data, others) if data else bytes(draw.choice((0, 1, 8)))
    return data


def _flip(draw, data, others):
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def _set(draw, data, others):
    place = draw.randrange(len(data))
    return data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]


def _insert(draw, data, others):
    place, count = draw.randrange(len(data) + 1), draw.choice((1, 2, 4, 8, 64))
    return data[:place] + draw.randbytes(count) + data[place:]


def _delete(draw, data, others):
    place, count = draw.randrange(len(data)), draw.choice((1, 2, 4, 8, 64))
    return data[:place] + data[place + count :]


def _splice(draw, data, others):
    other = draw.choice(others) or data
    start, place = draw.randrange(len(other)), draw.randrange(len(data))
    count = draw.choice((1, 8, 64, 512))
    cut = place + count if draw.random() < 0.5 else place
    return data[:place] + other[start : start + count] + data[cut:]


def _cut(draw, data, others):
    return data[: draw.randrange(len(data))]


def _integer(draw, data, others):
    size = draw.choice((1, 2, 4, 8))
    place, value = draw.randrange(len(data)), draw.choice(EXTREMES) % (1 << 8 * size)
    order = "little" if draw.random() < 0.8 else "big"
    return data[:place] + value.to_bytes(size, order) + data[place + size :]


def _digits(draw, data, others):
    """Sets a number that stands as text, as JSON has it, to an extreme."""
    places = [place for place, byte in enumerate(data[:4096]) if 48 <= byte <= 57]
    if not places:
        return _integer(draw, data, others)
    place = draw.choice(places)
    return data[:place] + str(draw.choice(EXTREMES)).encode() + data[place + 1 :]


def _opcode(draw, data, others):
    place = draw.randrange(len(data))
    cut = place + 1 if draw.random() < 0.7 else place
    return data[:place] + draw.choice(OPCODES) + data[cut:]


CHANGES = (_flip, _set, _insert, _delete, _splice, _cut, _integer, _digits, _opcode, _opcode)
