"""Side-cars on disk: round trips, what is refused and how. Engine-neutral."""

import hashlib
import json
import struct
from dataclasses import fields

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from resnext_det.errors import UserError
from resnext_det.weights.convention import Convention
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import (
    check_digest,
    digest_of,
    from_json,
    header_entries,
    read_beside,
    read_header,
    to_json,
    with_digest,
    write_beside,
)

FULL = SideCar(
    origin="torchvision://resnet50/IMAGENET1K_V1",
    naming="torchvision",
    architecture="resnet50",
    convention=Convention("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), True),
    norm="affine",
    norm_eps=1e-5,
    class_names=("tench", "Löwe", "a, b"),
    licence="BSD-3-Clause",
    accuracy={"top1": 76.13, "top5": 92.862},
    sha256="0" * 64,
    origin_sha256="f" * 64,
    outputs={"logits": [1.5, -2.0], "image": "formula"},
)


def refused(text):
    with pytest.raises(UserError) as error:
        from_json(text, "w.pth.json")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("w.pth.json: ")
    return message


def json_of(**entries):
    return json.dumps({"version": 1, **entries})


def test_each_field_comes_back():
    assert all(getattr(FULL, field.name) for field in fields(SideCar))
    assert from_json(to_json(FULL), "x") == FULL


def test_what_is_not_known_is_not_written():
    assert json.loads(to_json(SideCar())) == {"version": 1}
    assert from_json(to_json(SideCar()), "x") == SideCar()
    assert json.loads(to_json(SideCar(norm_eps=0.0)))["norm_eps"] == 0.0


def test_in_a_safetensors_header(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors", header_entries(FULL))
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert read_header(file.metadata(), "x") == FULL
    assert read_header({}, "x") is None
    assert read_header({"resnext_det": 5}, "x") is None


def test_beside_a_file(tmp_path):
    path = tmp_path / "w.pth"
    assert read_beside(path) is None
    assert write_beside(path, FULL) == tmp_path / "w.pth.json"
    assert read_beside(path) == FULL


def test_entries_from_the_future_are_left_out_with_a_note(caplog):
    with caplog.at_level("WARNING"):
        assert from_json(json_of(licence="MIT", colour="red"), "x.json") == SideCar(licence="MIT")
    assert caplog.messages == [
        "x.json: its side-car has entries that are not known here, which are left out: 'colour'"
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "its side-car is damaged (Expecting value"),
        ("{", "its side-car is damaged (Expecting property name"),
        ("[" * 100_000, "its side-car is damaged (maximum recursion"),
        ('{"version": 1, "version": 1}', "an entry comes twice"),
        ('{"version": 1, "norm_eps": NaN}', "NaN is no number"),
        ("[]", "its side-car is a list, no object"),
        ("{}", "its side-car has no version (None)"),
        ('{"version": true}', "its side-car has no version (True)"),
        ('{"version": 2}', "its side-car has version 2, newer than 1"),
    ],
    ids=["empty", "torn", "deep", "twice", "nan", "list", "none", "bool", "newer"],
)
def test_a_damaged_one_is_refused(text, part):
    assert part in refused(text)


def short(value):
    return str(value)[:25]


CONVENTION = {"format": "RGB", "mean": [1, 2, 3], "std": [1, 1, 1], "stride_in_1x1": False}


@pytest.mark.parametrize(
    ("entry", "value", "part"),
    [
        ("origin", 5, "one line of text"),
        ("origin", "a\nb", "one line of text"),
        ("licence", "x" * 2001, "one line of text"),
        ("norm", "LN", "one of BN, affine, GN"),
        ("norm_eps", "1e-5", "a number from 0 to 1"),
        ("norm_eps", 1, "a number from 0 to 1"),
        ("norm_eps", 10**400, "a number from 0 to 1"),
        ("class_names", "abc", "a list of names"),
        ("class_names", ["a", 1], "a list of names"),
        ("class_names", ["a", "a"], "a list that has no name twice"),
        ("accuracy", {"top1": "high"}, "an object of numbers"),
        ("accuracy", {"top1": True}, "an object of numbers"),
        ("sha256", "abc", "64 hexadecimal digits"),
        ("origin_sha256", "G" * 64, "64 hexadecimal digits"),
        ("outputs", [], "an object"),
        ("convention", {}, "an object of format, mean, std, stride_in_1x1"),
        ("convention", {**CONVENTION, "format": "GBR"}, "of format RGB or BGR"),
        (
            "convention",
            {**CONVENTION, "stride_in_1x1": 0},
            "of format RGB or BGR, and stride_in_1x1 true or false",
        ),
        ("convention", {**CONVENTION, "mean": [1, 2]}, "of three numbers"),
        ("convention", {**CONVENTION, "mean": [1, 2, "3"]}, "of three numbers"),
        ("convention", {**CONVENTION, "std": [1, 0, 1]}, "of a std above 0"),
    ],
    ids=short,
)
def test_each_entry_is_checked(entry, value, part):
    message = refused(json_of(**{entry: value}))
    assert f"{entry} of its side-car is " in message
    assert f"has to be {part}" in message
    assert len(message) < 300


def test_files_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "w.pth.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"w\.pth\.json: cannot be read \('utf-8' codec"):
        read_beside(tmp_path / "w.pth")
    with (tmp_path / "w.pth.json").open("wb") as file:
        file.truncate(20 << 20)
    with pytest.raises(UserError, match="of more than 16777216 bytes, no side-car"):
        read_beside(tmp_path / "w.pth")


def test_the_digest_is_that_of_its_definition():
    tensors = {"b": torch.tensor([[1.0, 2.0]]), "a": torch.tensor(7)}
    expected = b'["a","int64",[]]\n' + struct.pack("<q", 7)
    expected += b'["b","float32",[1,2]]\n' + struct.pack("<2f", 1.0, 2.0)
    assert digest_of(tensors) == hashlib.sha256(expected).hexdigest()
    assert digest_of(dict(reversed(tensors.items()))) == digest_of(tensors)
    assert digest_of({}) == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.bool, torch.uint8], ids=str)
def test_the_digest_takes_any_dtype_layout_and_none(dtype):
    value = torch.arange(6).reshape(2, 3).to(dtype)
    turned = value.t().contiguous().t()
    assert not turned.is_contiguous()
    assert digest_of({"w": turned}) == digest_of({"w": value})
    assert digest_of({"w": value.reshape(3, 2)}) != digest_of({"w": value})
    assert len(digest_of({"w": value[:0]})) == 64


def test_a_side_car_of_another_file_is_refused_with_both_digests():
    own, other = {"w": torch.ones(2)}, {"w": torch.zeros(2)}
    side_car = with_digest(SideCar(), own)
    check_digest(side_car, own, "w.pth")
    check_digest(SideCar(), other, "w.pth")
    with pytest.raises(UserError) as error:
        check_digest(side_car, other, "w.pth")
    message = str(error.value)
    assert message.startswith("w.pth: its side-car is of other weights")
    assert digest_of(own) in message
    assert digest_of(other) in message


def test_an_entry_that_nests_deeper_than_any():
    deep = '{"version": 1, "outputs": {"a": ' + "[" * 900 + "]" * 900 + "}}"
    with pytest.raises(UserError, match="an object of at most 20 levels"):
        from_json(deep, "x")
    assert from_json('{"version": 1, "outputs": {"a": [[{"b": 1}]]}}', "x").outputs


@pytest.mark.parametrize("name", ["a\x1b[2J", "b\nERROR", "\ud800", "\u2028"], ids=ascii)
def test_class_names_that_a_terminal_would_obey(name):
    with pytest.raises(UserError, match="without control characters"):
        from_json(json.dumps({"version": 1, "class_names": ["é\xa0", name]}), "x")
    assert from_json('{"version": 1, "class_names": ["é\xa0", "猫"]}', "x").class_names
