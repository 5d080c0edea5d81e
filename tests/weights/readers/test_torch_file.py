"""Files of torch.save, in both forms, read as torch.load(weights_only=True) reads them."""

import argparse
import io
import pathlib
import pickle
import re
import sys
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier
from resnext_det.weights.readers.reading import read_weights_file

FORMS = {"zip": True, "legacy": False}
CONTAINERS = {"zip": "torch", "legacy": "torch-legacy"}


def save(content, path, form="zip", **more):
    torch.save(content, path, _use_new_zipfile_serialization=FORMS[form], **more)
    return path


def read(path):
    return read_weights_file(path, path.name)


def refused(path):
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert message.isprintable()
    return message.removeprefix(f"{path.name}: ")


def bits(value):
    return value.flatten().view(torch.uint8)


def assert_same(tensors, expected):
    assert list(tensors) == list(expected)
    for name, value in expected.items():
        assert tensors[name].dtype == value.dtype, name
        assert tensors[name].shape == value.shape, name
        assert tensors[name].stride() == value.stride(), name
        assert torch.equal(bits(tensors[name]), bits(value)), name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnet18"])
def test_state_dicts_are_torchs_to_the_bit(tmp_path, form, name):
    path = save(getattr(torchvision.models, name)().state_dict(), tmp_path / "m.pth", form)
    content = read(path)
    expected = torch.load(path, weights_only=True)
    assert content.container == CONTAINERS[form]
    assert content.ignored == ()
    assert list(content.tensors) == list(expected)
    for key, value in expected.items():
        assert content.tensors[key].dtype == value.dtype
        assert torch.equal(content.tensors[key], value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_training_checkpoint(tmp_path, form, protocol):
    model = build_classifier("resnet18", 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 1, 2])
    model(torch.zeros(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "class_names": ["a", "b", "c"],
        "config": "MODEL: {}",
        "iteration": 7,
        "matching_heuristics": True,
        "rng": torch.get_rng_state(),
    }
    path = save(checkpoint, tmp_path / "model_final.pth", form, pickle_protocol=protocol)
    content = read(path)
    assert_same(content.tensors, model.state_dict())
    extras = content.extras
    assert extras["class_names"] == ["a", "b", "c"]
    assert (extras["config"], extras["iteration"]) == ("MODEL: {}", 7)
    assert extras["scheduler"]["milestones"] == {1: 2, 2: 1}
    assert extras["optimizer"]["param_groups"][0]["momentum"] == 0.9
    assert extras["matching_heuristics"] is True
    assert "rng" not in extras


TYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.int64,
    torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_type_and_layout(tmp_path, form):
    numbers = torch.arange(24)
    # torch.load does not read these three back from the old form.
    types = [kind for kind in TYPES if form == "zip" or kind.itemsize == 1 or kind.is_signed]
    state = {str(kind): numbers.to(kind).reshape(2, 3, 4) for kind in types}
    images = torch.arange(48.0).reshape(2, 3, 2, 4)
    state |= {
        "one": torch.tensor(1.5),
        "empty": torch.zeros(0, 3),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "channels_last": images.to(memory_format=torch.channels_last),
        "part": torch.arange(100.0)[10:20:2],
        "parameter": nn.Parameter(torch.ones(2, dtype=torch.half)),
    }
    path = save(state, tmp_path / "t.pth", form)
    expected = torch.load(path, weights_only=True)
    tensors = read(path).tensors
    assert list(tensors) == list(expected)
    for name, value in expected.items():
        assert (tensors[name].dtype, tensors[name].shape) == (value.dtype, value.shape), name
        assert value.numel() == 0 or tensors[name].stride() == value.stride(), name
        assert torch.equal(tensors[name], value), name
        assert not tensors[name].requires_grad


@pytest.mark.parametrize("form", FORMS)
def test_shared_storages_stay_shared(tmp_path, form):
    whole = torch.arange(10.0)
    path = save({"a": whole, "b": whole, "tail": whole[4:]}, tmp_path / "s.pth", form)
    tensors = read(path).tensors
    tensors["a"][5] = -1
    assert tensors["b"][5] == tensors["tail"][1] == -1


def test_what_the_state_dict_does_not_use_is_not_read(tmp_path):
    path = save({"model": {"w": torch.ones(2)}, "optimizer": torch.ones(5)}, tmp_path / "a.pth")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        damaged = [e.filename for e in archive.infolist() if e.file_size == 20]
    place = bytes(data).index(torch.ones(5).numpy().tobytes())
    data[place] ^= 1
    assert len(damaged) == 1
    path.write_bytes(data)
    assert torch.equal(read(path).tensors["w"], torch.ones(2))
    place = bytes(data).index(torch.ones(2).numpy().tobytes() + b"PK")
    data[place] ^= 1
    path.write_bytes(data)
    number = re.search(r"its record a/data/([0-9]) was", said := refused(path))
    assert number
    assert said == (
        f"is damaged (its record a/data/{number[1]} was cut short or changed after it was "
        "written); fetch or copy it again"
    )


def test_a_file_that_is_cut_short_is_told_in_plain_words(tmp_path):
    path = save({"w": torch.ones(9)}, tmp_path / "a.pth")
    path.write_bytes(path.read_bytes()[:-30])
    assert refused(path) == (
        "is damaged (cut short or changed after it was written); fetch or copy it again"
    )


def zipped(path, records, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records:
            archive.writestr(name, data)
    return path


def records_of(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def test_any_root_and_big_endian(tmp_path):
    value = {"w": torch.arange(6, dtype=torch.int32), "h": torch.ones(3, dtype=torch.half)}
    records = []
    for name, data in records_of(value):
        name = name.replace("archive/", "my net/")
        if "/data/" in name:
            width = "i4" if len(data) == 24 else "u2"
            data = np.frombuffer(data, f"<{width}").astype(f">{width}").tobytes()
        records.append((name, b"big" if name.endswith("byteorder") else data))
    path = zipped(tmp_path / "b.pth", records)
    assert torch.load(path, weights_only=True)["w"][5] == 5
    assert_same(read(path).tensors, value)
    path = zipped(tmp_path / "c.pth", [(n, b"middle" if "order" in n else d) for n, d in records])
    assert refused(path) == "is damaged (byteorder is b'middle'); fetch or copy it again"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("sparse", lambda value: value.to_sparse()),
        ("meta", lambda value: value.to("meta")),
        ("complex", lambda value: value.to(torch.complex64)),
        ("quantized", lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)),
        ("lazily negated", lambda value: torch._neg_view(value)),
        ("float8_e4m3fn", lambda value: value.to(torch.float8_e4m3fn)),
    ],
    ids=["sparse", "meta", "complex", "quantized", "negated", "float8"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_without_plain_numbers(tmp_path, form, kind, change):
    path = save({"a": torch.ones(1), "w": change(torch.ones(2, 2))}, tmp_path / "odd.pth", form)
    assert refused(path) == f"w is a {kind} tensor; save it as plain numbers"


def test_an_expanded_tensor_says_what_to_do(tmp_path):
    path = save({"w": torch.ones(1).expand(1000)}, tmp_path / "e.pth")
    assert "w: damaged, or expanded: a tensor of 1000 uses its numbers more than once" in refused(
        path
    )
    assert "save a contiguous copy" in refused(path)


def passed_over_module(monkeypatch, module, name, base=object):
    """A class under the name that a library's has, which need not be installed."""
    made = type(name, (base,), {"__module__": module})
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        part = ".".join(parts[:length])
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    setattr(sys.modules[module], name, made)
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("protocol", [2, 4])
def test_classes_that_checkpoints_carry_are_passed_over(tmp_path, form, protocol, monkeypatch):
    history = passed_over_module(monkeypatch, "mmengine.logging.history_buffer", "HistoryBuffer")
    history.mean = lambda self: 0
    history.mean.__qualname__, history.mean.__module__ = "HistoryBuffer.mean", history.__module__
    node = passed_over_module(monkeypatch, "fvcore.common.config", "CfgNode", dict)
    buffer, config = history(), node(A=1)
    buffer.__dict__ = {"_log_history": np.ones(3), "_statistics_methods": {"mean": history.mean}}
    config.__dict__["__frozen__"] = True
    content = {
        "state_dict": {"w": torch.ones(2)},
        "args": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("/tmp/x"), tags={1, 2}),
        "message_hub": OrderedDict(loss=buffer, epoch=3),
        "cfg": config,
        "counts": [Counter("aab"), defaultdict(list, a=[1]), torch.Size([2]), torch.float16],
        "frozen": frozenset([1]),
        "device": torch.device("cuda", 0),
        "numpy": np.float64(0.5),
    }
    read_back = read(save(content, tmp_path / "t.pth", form, pickle_protocol=protocol))
    assert torch.equal(read_back.tensors["w"], torch.ones(2))
    assert read_back.ignored == (
        "argparse.Namespace", "fvcore.common.config.CfgNode",
        "mmengine.logging.history_buffer.HistoryBuffer", "pathlib.PurePosixPath",
    )  # fmt: skip
    assert read_back.extras == {
        "message_hub": {"epoch": 3},
        "counts": [{"a": 2, "b": 1}, {"a": [1]}, (2,)],
        "frozen": frozenset([1]),
        "device": "cuda:0",
        "numpy": 0.5,
    }


def test_what_timms_training_saves(tmp_path):
    checkpoints = pytest.importorskip("timm.utils").CheckpointSaver
    model = torchvision.models.resnet18(num_classes=2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    arguments = argparse.Namespace(model="resnet18", lr=0.1, mean=None, input_size=(3, 64, 64))
    saver = checkpoints(
        model, optimizer, arguments, checkpoint_dir=str(tmp_path), recovery_dir=str(tmp_path)
    )
    saver.save_checkpoint(3, metric=0.5)
    content = read(tmp_path / "last.pth.tar")
    assert_same(content.tensors, model.state_dict())
    assert content.ignored == ("argparse.Namespace",)
    assert content.extras["arch"] == "resnet18"
    assert content.extras["epoch"] == 3


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_model_is_refused_by_its_class(tmp_path, form):
    path = save(nn.Linear(1, 1), tmp_path / "code.pth", form)
    message = refused(path)
    assert "names 'torch.nn.modules.linear.Linear', which is not imported" in message
    assert "it could run code; save the state_dict() alone" in message


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), path)
    assert "a TorchScript archive, whose code is not run; save the state_dict() alone" in refused(
        path
    )


@pytest.mark.parametrize("form", FORMS)
def test_other_things_than_state_dicts(tmp_path, form):
    assert refused(save([1], tmp_path / "l.pth", form)) == "holds a list, no state dict"
    assert refused(save(torch.ones(1), tmp_path / "t.pth", form)) == "holds a tensor, no state dict"
    assert read(save({}, tmp_path / "e.pth", form)).tensors == {}


def test_a_name_twice(tmp_path):
    path = save({"module.w": torch.ones(1), "w": torch.ones(1)}, tmp_path / "t.pth")
    assert refused(path) == "the name w comes twice"


def view_pickle():
    """A tensor of the last two numbers of a view: as PyTorch 0.1 wrote storages' views."""
    storage = (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpu"
        b"K\x06(X\x01\x00\x00\x008K\x02K\x03ttQ"
    )
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x01K\x02\x85K\x01\x85tR"
    return b"\x80\x02}X\x01\x00\x00\x00w" + tensor + b"s."


def test_views_of_storages_in_the_old_form(tmp_path):
    head = [pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2)]
    head += [pickle.dumps({"little_endian": True}, 2), view_pickle(), pickle.dumps(["7"], 2)]
    numbers = (6).to_bytes(8, "little") + np.arange(6, dtype="<f4").tobytes()
    path = tmp_path / "view.pth"
    path.write_bytes(b"".join(head) + numbers)
    assert read(path).tensors["w"].tolist() == [3.0, 4.0]
    assert torch.load(path, weights_only=True)["w"].tolist() == [3.0, 4.0]
