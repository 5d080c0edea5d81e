"""The .t7 format in all its forms, against the written values and the torchfile package."""

import numpy as np
import pytest
import torch

from resnext_det.weights.readers.reading import read_weights_file
from resnext_det.weights.readers.torch7_file import looks_like_torch7, read_torch7
from resnext_det.weights.readers.torch7_objects import LuaFunction, Table, TorchObject
from tests.weights.torch7.lua_forward import values
from tests.weights.torch7.lua_networks import TINY_B, TINY_BASIC, TINY_C, Net, modules_of
from tests.weights.torch7.lua_writer import (
    FORMS,
    LuaCode,
    LuaObject,
    LuaStorage,
    LuaTensor,
    empty,
    form_name,
    lua_list,
    save,
    serialise,
    tensor,
)


def read(path, fields, **form):
    """Reads one module with these fields; returns it as found, and the content."""
    content = read_torch7(save(path, LuaObject("nn.Thing", fields), **form), path.name)
    return content.extras["tree"], content


KINDS = ("Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", "Cuda", "CudaLong")


@pytest.mark.parametrize("form", FORMS, ids=form_name)
def test_every_form(tmp_path, form):
    arrays = {
        kind: np.array([[0, 1, 2], [-3 if kind != "Byte" else 3, 100, 127]]) for kind in KINDS
    }
    extremes = np.array([np.nan, np.inf, -np.inf, 1.0000001, -1e-30, 3e38])
    fields = {kind: tensor(array, kind) for kind, array in arrays.items()}
    fields |= {
        "extremes": tensor(extremes),
        "text": "a b\nc\0d",
        "no text": "",
        "umlaut": "ä",
        "number": 0.1,
        "yes": True,
        "no": False,
        "nothing": empty(),
        "nested": {1: "one", 2.5: "two and a half", "1": "text one", -7: 1e300},
    }
    tree, content = read(tmp_path / "m.t7", fields, **form)
    assert content.container == "torch7"
    for kind, array in arrays.items():
        found = content.tensors[kind]
        assert found.tolist() == array.tolist()
        assert found.dtype == (torch.int64 if kind.endswith("Long") else found.dtype)
    written = torch.tensor(extremes, dtype=torch.float32)
    assert torch.equal(content.tensors["extremes"].nan_to_num(7), written.nan_to_num(7))
    assert tree.fields["nothing"].tolist() == []
    assert tree.fields["nothing"].stride() == (1,)
    assert "nothing" not in content.tensors
    plain = {k: v for k, v in tree.fields.items() if isinstance(v, str | bool | float)}
    assert plain == {k: v for k, v in fields.items() if isinstance(v, str | bool | float)}
    assert tree.fields["nested"] == fields["nested"]


@pytest.mark.parametrize("form", FORMS, ids=form_name)
@pytest.mark.parametrize("shape", [TINY_C, TINY_B, TINY_BASIC], ids=["C", "B", "basic"])
def test_a_whole_network_in_every_form(tmp_path, form, shape):
    tree = Net().network(**shape)
    path = save(tmp_path / "m.t7", tree, **form)
    assert looks_like_torch7(path.read_bytes()[:8])
    content = read_weights_file(path, "m.t7")
    written = [
        tensor
        for module in modules_of(tree)
        for tensor in module.fields.values()
        if isinstance(tensor, LuaTensor) and tensor.storage is not None
    ]
    found = list(content.tensors.values())
    assert len(found) == len(written)
    assert all(torch.equal(a, values(b)) for a, b in zip(found, written, strict=True))


def test_the_first_bytes_of_other_forms():
    others = (
        b"",
        b"\x04",
        b"PK\x03\x04aaaa",
        b"\x80\x02}q\0aaaa",
        b"\0" * 8,
        b"\x04\0\0\0\0\0\0\0",
    )
    assert not any(map(looks_like_torch7, others))


@pytest.mark.parametrize("form", FORMS, ids=form_name)
def test_views_share_their_storage(tmp_path, form):
    storage = LuaStorage("Float", np.arange(12, dtype="f4"))
    fields = {
        "whole": LuaTensor("Float", storage, (3, 4), (4, 1)),
        "turned": LuaTensor("Float", storage, (4, 3), (1, 4)),
        "part": LuaTensor("Float", storage, (2,), (4,), offset=5),
        "storage": storage,
    }
    _, content = read(tmp_path / "m.t7", fields, **form)
    assert content.tensors["turned"].tolist() == np.arange(12).reshape(3, 4).T.tolist()
    assert content.tensors["part"].tolist() == [5, 9]
    content.tensors["whole"][1, 1] = 50
    assert content.tensors["part"].tolist() == [50, 9]
    assert content.tensors["turned"][1, 1] == 50


def test_references_and_cycles(tmp_path):
    shared = tensor([1.0, 2.0])
    table = {"weight": shared}
    module = LuaObject("nn.Thing", {"a": table, "b": table, "weight": shared})
    module.fields["me"] = module
    table["up"] = {"again": table}
    tree, content = (c := read_torch7(save(tmp_path / "m.t7", module), "m")).extras["tree"], c
    assert tree.fields["me"] is tree
    assert tree.fields["a"] is tree.fields["b"]
    assert tree.fields["a"]["up"]["again"] is tree.fields["a"]
    assert set(content.tensors) == {"a.weight", "weight"}
    assert content.tensors["a.weight"] is content.tensors["weight"]


def test_functions_are_passed_over(tmp_path):
    table = {"x": 1}
    code = LuaCode(upvalues=table)
    table["itself"] = code
    fields = {"f": code, "again": code, "old": LuaCode(tag=7), "oldest": LuaCode(tag=6), "last": 5}
    tree, content = read(tmp_path / "m.t7", fields)
    assert content.ignored == ("Lua function",)
    assert all(isinstance(tree.fields[k], LuaFunction) for k in ("f", "again", "old", "oldest"))
    assert tree.fields["again"] is tree.fields["f"]
    assert tree.fields["last"] == 5


def test_keys_that_are_no_text_or_number(tmp_path):
    fields = {"t": {tensor([1.0]): "tensor", LuaObject("nn.A"): "object", 1: "one"}}
    tree, _ = read(tmp_path / "m.t7", fields)
    table = tree.fields["t"]
    assert dict(table) == {1: "one"}
    assert [value for _, value in table.others] == ["tensor", "object"]


def test_boolean_keys(tmp_path):
    tree, _ = read(tmp_path / "m.t7", {"t": {True: "yes", False: "no"}})
    assert tree.fields["t"].others == [(True, "yes"), (False, "no")]


def test_classes_with_and_without_versions(tmp_path):
    fields = {"new": LuaObject("nn.A", {"x": 1}, 3), "old": LuaObject("nn.B", {}, None)}
    tree, _ = read(tmp_path / "m.t7", fields)
    assert (tree.fields["new"].class_name, tree.fields["new"].version) == ("nn.A", 3)
    assert (tree.fields["old"].class_name, tree.fields["old"].version) == ("nn.B", 0)
    assert repr(tree.fields["new"]) == "nn.A"


def test_headers_before_fields(tmp_path):
    inner = LuaObject("nn.Linear", {"weight": tensor([[1.0]])})
    gpu = LuaObject("nn.GPU", {"modules": lua_list([inner])}, 1, lua_list(["torch.CudaTensor", 2]))
    content = read_torch7(save(tmp_path / "m.t7", gpu), "m")
    assert set(content.tensors) == {"weight"}
    assert content.extras["tree"].class_name == "nn.Linear"


def same(ours, theirs):
    """Compares a value of ours with torchfile's, without going round in circles."""
    import torchfile

    if isinstance(ours, TorchObject):
        assert isinstance(theirs, torchfile.TorchObject)
        assert ours.class_name == theirs.torch_typename().decode()
        return [(ours.fields, theirs._obj)]
    if isinstance(ours, Table):
        assert len(ours) == len(theirs)
        keys = [key.encode() if isinstance(key, str) else key for key in ours]
        assert set(keys) == set(theirs)
        return [(value, theirs[key]) for key, value in zip(keys, ours.values(), strict=True)]
    if isinstance(ours, torch.Tensor):
        assert np.array_equal(ours.numpy(), theirs)
        assert ours.numpy().dtype == theirs.dtype
    elif isinstance(ours, str):
        assert ours.encode() == theirs
    else:
        assert ours == theirs
    return []


@pytest.mark.parametrize("kind", ["Float", "Double", "Cuda"])
@pytest.mark.parametrize("shape", [TINY_C, TINY_B, TINY_BASIC], ids=["C", "B", "basic"])
def test_torchfile_reads_the_same(tmp_path, shape, kind):
    torchfile = pytest.importorskip("torchfile", reason="needs the torchfile package")
    net = Net(kind=kind)
    tree = net.network(**shape)
    data = np.arange(24, dtype="f4")
    tree.fields["view"] = LuaTensor("Float", LuaStorage("Float", data), (3, 2), (2, 8), 3)
    tree.fields["mixed"] = {1: 0.5, "a": True, 2.5: "x", "self": tree}
    path = save(tmp_path / "m.t7", tree)
    theirs = torchfile.load(str(path), use_list_heuristic=False)
    waiting, seen = [(read_torch7(path, "m").extras["tree"], theirs)], set()
    compared = 0
    while waiting:
        pair = waiting.pop()
        if id(pair[0]) not in seen:
            if isinstance(pair[0], Table | TorchObject):
                seen.add(id(pair[0]))
            waiting += same(*pair)
            compared += 1
    assert compared > 900


def test_an_empty_network(tmp_path):
    assert not read_torch7(save(tmp_path / "m.t7", LuaObject("nn.Sequential")), "m").tensors
    assert looks_like_torch7(serialise({})[:8])
