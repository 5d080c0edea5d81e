"""The digest of a content, against bytes written by hand. Engine-neutral."""

import hashlib
import struct
from collections import OrderedDict

import pytest
import torch

from resnext_det.content_digests import digest_of_content


def test_the_bytes_that_are_digested():
    content = {
        "b": 1,
        "a": [True, None, 2.5, "é", (b"\x00",)],
        3: torch.tensor([[1, 258]], dtype=torch.int16),
    }
    written = (
        b"d3\n"
        b'i3\nT["int16",[1,2]]\n\x01\x00\x02\x01'
        b"s1\nal5\nb1\nn\n" + b"f" + struct.pack("<d", 2.5) + b"s2\n\xc3\xa9" + b"t1\ny1\n\x00"
        b"s1\nbi1\n"
    )
    assert digest_of_content(content) == hashlib.sha256(written).hexdigest()


@pytest.mark.parametrize("content", [{}, [], torch.empty(0), torch.tensor(1.0)], ids=repr)
def test_what_is_empty_or_without_a_shape_has_one(content):
    assert len(digest_of_content(content)) == 64


def test_neither_order_nor_strides_nor_shared_storage_matter():
    image = torch.rand(2, 3, 4, 5)
    one = digest_of_content({"a": image, "b": image[0], "c": 1})
    layout = image.to(memory_format=torch.channels_last)
    assert digest_of_content(OrderedDict(c=1, b=image[0].clone(), a=layout)) == one


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": "1"}, {"a": 1}),
        ({"a": b"1"}, {"a": "1"}),
        ({"1": 0}, {1: 0}),
        ([1, 2], (1, 2)),
        ([1, 2], [2, 1]),
        ([[1], 2], [[1, 2]]),
        (["ab", "c"], ["a", "bc"]),
        (0.0, -0.0),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        (torch.zeros(2, dtype=torch.float16), torch.zeros(2, dtype=torch.bfloat16)),
        (torch.zeros(2), torch.tensor([0.0, -0.0])),
        ({"a": torch.zeros(1)}, {"a": 0.0}),
    ],
    ids=str,
)
def test_different_contents_have_different_ones(one, other):
    assert digest_of_content(one) != digest_of_content(other)


@pytest.mark.parametrize("dtype", [torch.bool, torch.bfloat16, torch.complex64, torch.int64])
def test_dtypes(dtype):
    assert digest_of_content(torch.ones(3, dtype=dtype)) != digest_of_content(
        torch.zeros(3, dtype=dtype)
    )


def test_anything_else_has_none():
    with pytest.raises(TypeError, match="a set has no digest"):
        digest_of_content({"a": {1, 2}})
