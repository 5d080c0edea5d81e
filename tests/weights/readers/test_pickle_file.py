"""Pickles of arrays as Detectron and Detectron2 write them, of Python 2 and 3."""

import pickle

import numpy as np
import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.weights.readers.reading import read_weights_file

CONV = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
BIAS = np.array([1.5, -2.0], dtype=np.float32)


def write(path, content, protocol=2):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


def read(path):
    return read_weights_file(path, path.name)


@pytest.mark.parametrize("protocol", range(6))
def test_detectron2s_file(tmp_path, protocol):
    model = {"backbone.conv.weight": CONV, "b": BIAS, "steps": np.int64(3), "n": np.array(7)}
    content = {"model": model, "__author__": "MSRA", "matching_heuristics": True}
    read_back = read(write(tmp_path / "m.pkl", content, protocol))
    assert read_back.container == "pickle"
    assert list(read_back.tensors) == ["backbone.conv.weight", "b", "n"]
    assert torch.equal(read_back.tensors["backbone.conv.weight"], torch.from_numpy(CONV))
    assert read_back.tensors["n"].shape == ()
    assert read_back.extras == {"__author__": "MSRA", "matching_heuristics": True}


def string(text):
    """A string as Python 2 pickles it."""
    return b"T" + len(text).to_bytes(4, "little") + text


def python_2_array(array):
    made = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + string(b"b") + b"tR"
    )
    shape = b"(" + b"".join(b"K" + bytes([size]) for size in array.shape) + b"t"
    kind = b"cnumpy\ndtype\n(" + string(array.dtype.str[1:].encode()) + b"K\x00K\x01tR"
    order = b"(K\x03" + string(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return made + b"(K\x01" + shape + kind + order + b"\x89" + string(array.tobytes()) + b"tb"


def python_2_file(blobs):
    items = b"".join(string(name) + python_2_array(array) for name, array in blobs.items())
    return (
        b"\x80\x02}(" + string(b"blobs") + b"}(" + items + b"u"
        + string(b"cfg") + string(b"MODEL:\n  NAME: \xe9t\xe9\n") + b"u."
    )  # fmt: skip


def test_detectrons_file_of_python_2(tmp_path):
    blobs = {b"conv1_w": CONV, b"conv1_w_momentum": CONV, b"fc1000_b": BIAS}
    data = python_2_file(blobs)
    expected = pickle.loads(data, encoding="latin1")  # as Detectron2 reads it
    np.testing.assert_array_equal(expected["blobs"]["conv1_w"], CONV)
    content = read(write(tmp_path / "old.pkl", data))
    assert list(content.tensors) == ["conv1_w", "fc1000_b"]
    assert torch.equal(content.tensors["conv1_w"], torch.from_numpy(CONV))
    assert torch.equal(content.tensors["fc1000_b"], torch.from_numpy(BIAS))
    assert content.extras == {"cfg": expected["cfg"]} == {"cfg": "MODEL:\n  NAME: été\n"}


def test_arrays_alone_under_any_name(tmp_path):
    content = read(write(tmp_path / "named.pth", {b"conv1_w": CONV, "conv1_b": BIAS}, 4))
    assert list(content.tensors) == ["conv1_w", "conv1_b"]
    assert read(write(tmp_path / "empty.pkl", {})).tensors == {}


@pytest.mark.parametrize("kind", [">f4", "<f8", "f2", "i8", "u1", "?", ">i2"])
def test_types_and_byte_orders(tmp_path, kind):
    array = np.arange(6).reshape(2, 3).astype(kind)
    tensor = read(write(tmp_path / "t.pkl", {"a": array, "f": np.asfortranarray(array)})).tensors
    np.testing.assert_array_equal(tensor["a"].numpy(), array)
    np.testing.assert_array_equal(tensor["f"].numpy(), array)
    assert tensor["f"].is_contiguous()


def refused(path):
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_what_is_no_state_dict_of_numbers(tmp_path):
    path = tmp_path / "x.pkl"
    assert "w is a complex tensor" in refused(write(path, {"w": CONV.astype(np.complex64)}))
    assert "w is a float128 tensor" in refused(write(path, {"w": BIAS.astype(np.longdouble)}))
    assert "holds a list, no state dict" in refused(write(path, [1]))
    assert "an array of 'O8' is refused" in refused(write(path, {"w": np.array([{}])}))
    assert "an array of 'U2' is refused" in refused(write(path, {"w": np.array(["ab"])}))
    tensor = write(path, {"w": torch.ones(2)})
    assert "names 'torch.storage._load_from_bytes', which is not imported" in refused(tensor)


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.5, 0.9, 0.999])
def test_cut_off(tmp_path, share):
    data = python_2_file({b"conv1_w": CONV})
    message = refused(write(tmp_path / "cut.pkl", data[: max(2, int(len(data) * share))]))
    assert "damaged" in message
