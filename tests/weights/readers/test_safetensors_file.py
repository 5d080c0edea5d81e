"""Safetensors as the library reads them; damaged headers refused before it sees them."""

import json

import pytest
import torch
from safetensors.torch import save_file

from resnext_det.errors import UserError
from resnext_det.weights.readers.reading import read_weights_file

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]


def test_to_the_bit(tmp_path):
    state = {str(kind): torch.arange(6).reshape(2, 3).to(kind) for kind in TYPES}
    state |= {"empty": torch.zeros(0, 3), "one": torch.tensor(2.0)}
    save_file(state, tmp_path / "w", {"a": "b"})
    content = read_weights_file(tmp_path / "w", "w")
    assert content.tensors.keys() == state.keys()
    assert all(torch.equal(content.tensors[key], value) for key, value in state.items())
    assert content.extras == {"a": "b"}


def tensor(begin, end, shape=(2,), kind="F32"):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def file_of(header, numbers=bytes(16), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + numbers


A = json.dumps(tensor(0, 8))
WRONG = {
    "a header of a terabyte": (file_of({}, length=1 << 40), "its header claims 1,099,511,627,776"),
    "a long header": (
        file_of(b"{" + b" " * (17 << 20) + b"}"),
        "a header of 17,825,794 bytes",
    ),
    "a name twice": (file_of(f'{{"a": {A}, "a": {A}}}'.encode()), "a name comes twice"),
    "an overlap": (file_of({"a": tensor(0, 8), "b": tensor(4, 12)}), "b overlaps another tensor"),
    "the same place": (file_of({"a": tensor(0, 8), "b": tensor(0, 8)}), "b overlaps another"),
    "beyond the end": (file_of({"a": tensor(8, 32)}), "a claims bytes 8 to 32 of 16"),
    "backwards": (file_of({"a": tensor(8, 0)}), "a claims bytes 8 to 0"),
    "a terabyte": (file_of({"a": tensor(0, 8, (1 << 40,))}), "a claims 1099511627776 numbers"),
    "a negative place": (file_of({"a": tensor(-8, 0)}), "a has no shape and data_offsets"),
    "a negative size": (file_of({"a": tensor(0, 8, (-2,))}), "a has no shape and data_offsets"),
    "no tensor": (file_of({"a": 1}), "a has no shape and data_offsets"),
    "a deep header": (file_of(b'{"a":' + b"[" * 100_000), "its header is no JSON"),
    "a long number": (file_of(b'{"a":' + b"9" * 9999 + b"}"), "its header is no JSON"),
    "no JSON": (file_of(b"{a"), "its header is no JSON"),
    "another type": (file_of({"a": tensor(0, 8, kind="X9")}), "or no safetensors file ("),
    "a wrong size": (file_of({"a": tensor(0, 8, (3,))}), "or no safetensors file ("),
    "gaps": (file_of({"a": tensor(0, 8)}), "or no safetensors file ("),
    "complex": (file_of({"a": tensor(0, 16, (2,), "C64")}), "a is a complex tensor"),
    "eight bits": (file_of({"a": tensor(0, 16, (16,), "F8_E4M3")}), "a is a float8_e4m3fn tensor"),
    "metadata of numbers": (
        file_of({"__metadata__": {"a": 1}}),
        "or no safetensors file (",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_damaged(tmp_path, name):
    data, expected = WRONG[name]
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_weights_file(tmp_path / "w", "w")
    assert str(caught.value).startswith("w: ")
    assert expected in str(caught.value)
    assert str(caught.value).isprintable()


def test_cut_off_anywhere(tmp_path):
    save_file({"a": torch.ones(4), "b": torch.zeros(2)}, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    for length in range(len(data)):
        (tmp_path / "w").write_bytes(data[:length])
        with pytest.raises(UserError, match=r"^w: "):
            read_weights_file(tmp_path / "w", "w")
