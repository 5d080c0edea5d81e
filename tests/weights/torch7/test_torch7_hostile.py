"""Torch7 files that are torn or mean harm end in one line, in little memory and time."""

import random
import resource
import struct
import time

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.weights.readers import torch7_parser
from resnext_det.weights.readers.reading import read_weights_file
from resnext_det.weights.readers.torch7_file import looks_like_torch7, read_torch7
from resnext_det.weights.sources import weights_from_content
from tests.weights.torch7.lua_networks import TINY, TINY_B, TINY_C, Net
from tests.weights.torch7.lua_writer import (
    FORMS,
    LuaCode,
    LuaObject,
    LuaStorage,
    LuaTensor,
    Raw,
    Writer,
    form_name,
    lua_list,
    save,
    serialise,
    tensor,
)

NUMBERS = np.arange(6, dtype="f4")
SMALL = {"counts": (1, 1), "width": 1, "groups": 2, "n": 2, "stem_channels": 2, "classes": 2}


def ints(*values):
    return Raw(struct.pack(f"<{len(values)}i", *values))


def longs(*values):
    return struct.pack(f"<{len(values)}q", *values)


def chars(text):
    return struct.pack("<i", len(text)) + text


def refused(path, data, match):
    path.write_bytes(data)
    started = time.perf_counter()
    with pytest.raises(UserError, match=match) as error:
        read_torch7(path, path.name)
    assert str(error.value).startswith("h.t7: ")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("form", FORMS, ids=form_name)
def test_cut_at_every_structural_point(tmp_path, form):
    writer = Writer(**form).object(Net().network(**TINY | SMALL))
    data, path = writer.bytes(), tmp_path / "h.t7"
    assert len(writer.boundaries) > 1000
    # All of the first, and some of the rest, which repeat them.
    for end in (*writer.boundaries[2:150], *writer.boundaries[150::41], len(data) - 2):
        refused(path, data[:end], r"torn, or no Torch7 file")
        refused(path, data[: end + 1], r"torn, or no Torch7 file")


def with_tensor(sizes, strides, offset=0, kind="Float", storage=None):
    storage = LuaStorage("Float", NUMBERS) if storage is None else storage
    return LuaObject("nn.A", {"weight": LuaTensor(kind, storage, sizes, strides, offset)})


TERA = 2**42
DAMAGED = {
    "storage of terabytes": (
        LuaObject("nn.A", {"s": LuaStorage("Float", NUMBERS, claimed=TERA)}),
        r"4398046511104 bytes are announced at byte \d+, 24 are left",
    ),
    "storage of a size that overflows": (
        LuaObject("nn.A", {"s": LuaStorage("Double", NUMBERS, claimed=2**61)}),
        r"2305843009213693952 bytes are announced",
    ),
    "negative storage": (
        LuaObject("nn.A", {"s": LuaStorage("Float", NUMBERS, claimed=-1)}),
        r"a size of -1 at byte \d+",
    ),
    "tensor of terabytes": (with_tensor((TERA,), (1,)), r"reaches element 4398046511104 of a st"),
    "repeated view": (with_tensor((TERA, 3), (0, 0)), r"13194139533312 elements in a storage of 6"),
    "negative size": (with_tensor((-2,), (1,)), r"a negative size, stride or offset"),
    "negative stride": (with_tensor((2,), (-1,), 3), r"a negative size, stride or offset"),
    "negative offset": (with_tensor((2,), (1,), -3), r"a negative size, stride or offset"),
    "offset outside": (with_tensor((2,), (1,), 5), r"reaches element 7 of a storage of 6"),
    "stride outside": (with_tensor((2,), (2**62,)), r"reaches element \d+ of a storage of 6"),
    "many dimensions": (with_tensor((1,) * 21, (1,) * 21), r"21 dimensions"),
    "storage of another type": (with_tensor((2,), (1,), kind="Double"), r"storage is none of its"),
    "a text as storage": (with_tensor((2,), (1,), storage="x"), r"storage is none of its type"),
    "no storage": (
        LuaObject("nn.A", {"w": LuaTensor("Float", None, (2,), (1,))}),
        r"torch.FloatTensor before byte \d+: reaches element 2 of a storage of 0",
    ),
    "a key twice": (
        Raw(serialise({"a": 1, "b": 2}).replace(b"b", b"a")),
        r"a table with the key 'a' twice",
    ),
    "a number twice": (
        Raw(serialise({1: 1, 2: 2}).replace(struct.pack("<d", 2), struct.pack("<d", 1))),
        r"a table with the key 1 twice",
    ),
    "nil as a key": ({None: 1}, r"a table with nil as a key"),
    "NaN as a key": ({float("nan"): 1}, r"a table with NaN as a key"),
    "table of a billion": (ints(3, 1, 10**9), r"a table of 1000000000 entries at byte 12"),
    "negative table": (ints(3, 1, -1), r"a table of -1 entries at byte 12"),
    "text of a gigabyte": (ints(3, 1, 1, 2, 10**9, 0), r"1000000000 bytes are announced"),
    "negative text": (ints(3, 1, 1, 2, -5, 0), r"a size of -5 at byte 20"),
    "unknown kind": (ints(3, 1, 1, 99, 0), r"an object of unknown kind 99 before byte 16"),
    "boolean of 7": (ints(3, 1, 1, 5, 7, 0), r"a boolean of 7 before byte 20"),
    "unknown index": ({"a": ints(3, 77)}, r"a reference to object 77 before byte \d+, where 1 are"),
    "index 0": ({"a": ints(4, 0)}, r"a reference to object 0"),
    "negative index": ({"a": ints(4, -3)}, r"a reference to object -3"),
    "table taken for an object": ({"a": ints(4, 1)}, r"object 1 is referred to as another kind"),
    "table taken for a function": ({"a": ints(8, 1)}, r"object 1 is referred to as another kind"),
    "fields of a tensor": (
        Raw(ints(4, 1).data + chars(b"V 1") + chars(b"nn.A") + serialise("x")),
        r"nn.A without a table of fields",
    ),
    "class of control characters": (
        Raw(ints(4, 1).data + chars(b"V 1") + chars(b"nn.\n\x1b[2J")),
        r"'nn\.\\n\\x1b\[2J' as a class before byte 27",
    ),
    "negative class": (ints(4, 1, -1), r"a size of -1"),
    "tensor that contains itself": (
        Raw(ints(4, 1).data + chars(b"V 1") + chars(b"torch.FloatTensor") + ints(1).data
            + longs(1, 1, 1) + ints(4, 1).data),
        r"a tensor that contains itself",
    ),
    "negative dimensions": (
        Raw(ints(4, 1).data + chars(b"V 1") + chars(b"torch.FloatTensor") + ints(-1).data),
        r"a size of -1",
    ),
    "a billion dimensions": (
        Raw(ints(4, 1).data + chars(b"V 1") + chars(b"torch.FloatTensor") + ints(10**9).data),
        r"1000000000 bytes are announced",
    ),
    "more behind": (Raw(serialise(LuaObject("nn.A")) + b"more"), r"4 bytes are left behind"),
    "function of a gigabyte": (ints(8, 1, 10**9), r"1000000000 bytes are announced at byte 12"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named(tmp_path, case):
    value, message = DAMAGED[case]
    data = value.data if isinstance(value, Raw) else serialise(value)
    assert looks_like_torch7(data)
    refused(tmp_path / "h.t7", data, rf"torn, or no Torch7 file \(.*{message}")


NO_NETWORK = {
    "latest.t7": (
        {"epoch": 90.0, "modelFile": "model_90.t7", "optimFile": "optimState_90.t7"},
        "holds no network, but names one: model_90.t7",
    ),
    "optimState": ({"dfdx": tensor([1.0]), "t": 1}, "but a table of dfdx, t; give model_N.t7"),
    "nothing": ({}, "holds no network, but a table of nothing"),
    "tensor": (tensor([1.0]), "holds no network, but one tensor"),
    "storage": (LuaStorage("Float", NUMBERS), "holds no network, but a storage"),
    "function": (LuaCode(), "holds no network, but a function"),
    "dataset": (LuaObject("resnet.CifarDataset"), "but an object of class resnet.CifarDataset"),
    "two": (
        {"G": LuaObject("nn.Sequential"), "D": LuaObject("nn.Sequential")},
        r"holds several networks \(G, D\) and none is called model",
    ),
    "empty wrapper": (
        LuaObject("nn.DataParallelTable", {}, 1),
        r"DataParallelTable wraps no network",
    ),
    "lines": ({"a\nb\x1b": tensor([1.0])}, r"a table of a\\nb\\x1b; give"),
    "long name": (
        LuaObject("nn.A", {"x" * 200: {"y" * 200: tensor([1.0])}}),
        r"a name of over 300 characters \(xxx",
    ),
    "two of one name": (
        LuaObject("nn.A", {1: tensor([1.0]), "1": tensor([2.0])}),
        "two tensors are called 1",
    ),
}


@pytest.mark.parametrize("case", NO_NETWORK)
def test_files_without_a_network(tmp_path, case):
    value, message = NO_NETWORK[case]
    refused(tmp_path / "h.t7", serialise(value), message)


def deep(levels, key=b"a"):
    """A table in a table in a table …"""
    entry = b"".join(struct.pack("<4i", 3, i, 1, 2) + chars(key) for i in range(1, levels + 1))
    return entry + struct.pack("<i", 0)


def test_depth_costs_no_recursion(tmp_path):
    refused(tmp_path / "h.t7", deep(100_000), r"objects nest more than 1000 levels deep")
    refused(tmp_path / "h.t7", deep(900), r"holds no network")


def test_millions_of_values(tmp_path, monkeypatch):
    monkeypatch.setattr(torch7_parser, "_MAX_ITEMS", 50_000)
    many = struct.pack("<3i", 3, 1, 60_000) + struct.pack("<i2i", 5, 1, 0) * 60_000
    refused(tmp_path / "h.t7", many, r"more than 50000 values")


def refused_network(path, tree, match):
    save(path, tree)
    started = time.perf_counter()
    with pytest.raises(UserError, match=match) as error:
        weights_from_content(read_weights_file(path, path.name), path.name)
    assert str(error.value).isprintable()
    assert time.perf_counter() - started < 20


def test_networks_that_contain_themselves(tmp_path):
    loop = LuaObject("nn.Sequential")
    loop.fields["modules"] = lua_list([loop, loop])
    refused_network(tmp_path / "h.t7", loop, r"Sequential at modules.1 that stands in two")
    table = LuaObject("nn.ConcatTable")
    table.fields["modules"] = lua_list([table, table])
    tree = Net().network(**TINY_C)
    tree.fields["modules"][5].fields["modules"][1].fields["modules"][1] = table
    refused_network(tmp_path / "h.t7", tree, r"it also has .*ConcatTable at modules.5")


def test_a_tower_of_doubling_references(tmp_path):
    """25 Sequentials, each twice the one before: 2^25 modules when laid out."""
    tower = LuaObject("nn.ReLU")
    for _ in range(25):
        tower = LuaObject("nn.Sequential", {"modules": lua_list([tower, tower])})
    refused_network(tmp_path / "h.t7", tower, r"stands in two places")


def test_weights_that_overlap(tmp_path):
    """Each tensor is the whole of one storage: float32 copies of them would fill any memory."""
    storage = LuaStorage("Double", np.zeros(4096))
    views = [LuaTensor("Double", storage, (4096,), (1,)) for _ in range(4)]
    modules = [LuaObject("nn.A", {"weight": view}) for view in views]
    tree = LuaObject("nn.Sequential", {"modules": lua_list(modules)})
    refused_network(tmp_path / "h.t7", tree, r"weights that overlap in memory")


def test_paths_repeated_by_reference(tmp_path):
    tree = Net().network(**TINY_B)
    split = tree.fields["modules"][5].fields["modules"][1].fields["modules"][1]
    split = split.fields["modules"][1].fields["modules"][1]
    assert split.name == "nn.ConcatTable"
    split.fields["modules"] = lua_list([split.fields["modules"][1]] * 5_000)
    refused_network(tmp_path / "h.t7", tree, r"stands in two places")


def test_memory_stays_within_the_file(tmp_path):
    """Peak memory of the process does not grow by claims of terabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in ("storage of terabytes", "table of a billion", "text of a gigabyte"):
        test_damage_is_named(tmp_path, case)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def mutated(data, source):
    """A copy with a few bytes changed, cut out, doubled, or whole numbers replaced."""
    data = bytearray(data)
    for _ in range(source.randint(1, 4)):
        place, way = source.randrange(len(data)), source.randrange(5)
        if way == 0:
            data[place] = source.randrange(256)
        elif way == 1:
            value = source.choice((-1, 0, 1, 2, 3, 4, 8, 127, 2**31 - 1, -(2**31)))
            place -= place % 4
            data[place : place + 4] = struct.pack("<i", value)
        elif way == 2:
            del data[place : place + source.randint(1, 16)]
        elif way == 3:
            data[place:place] = data[place : place + source.randint(1, 64)]
        else:
            data[place:] = data[place : source.randrange(place, len(data) + 1)]
        if not data:
            return b"\4"
    return bytes(data)


@pytest.mark.parametrize("form", FORMS, ids=form_name)
def test_mutated_files_end_in_one_line_or_load(tmp_path, form):
    seed = serialise({"model": Net().network(**TINY | SMALL), "f": LuaCode()}, **form)
    source, path = random.Random(1), tmp_path / "h.t7"
    outcomes = {True: 0, False: 0}
    for _ in range(100):
        path.write_bytes(mutated(seed, source))
        try:
            weights_from_content(read_torch7(path, "h.t7"), "h.t7")
            outcomes[True] += 1
        except UserError as error:
            outcomes[str(error).isprintable() and False] += 1
    assert min(outcomes.values()) > 0


def test_one_storage_under_many_names(tmp_path):
    net = Net()
    network = net.sequential(net.conv(2, 2, 1))
    storage = LuaStorage("Float", np.ones(1 << 18, np.float32))
    for place in range(40):
        network.fields[f"w{place}"] = LuaTensor("Float", storage, (1 << 18,), (1,))
    path = tmp_path / "shared.t7"
    path.write_bytes(serialise(network))
    with pytest.raises(UserError, match=r"file's bytes many times over; save it after network:cle"):
        read_weights_file(path, "shared.t7")
