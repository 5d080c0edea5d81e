"""What the content of a file is known by, in whatever form it is stored. Engine-neutral."""

import hashlib
import json
import struct
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def digest_of_content(content: Any) -> str:
    """Returns the SHA-256 sum of tensors, numbers and strings in dicts and lists, in hexadecimal.

    Each value is written as a letter for its kind and then:

    - `n`, None; `b`, a bool: 0 or 1; `i`, an int: its decimal digits; each with a line feed.
    - `f`, a float: the 8 bytes of the IEEE double, little-endian.
    - `s`, a string, and `y`, bytes: the number of bytes (UTF-8), a line feed, the bytes.
    - `l`, a list, and `t`, a tuple: the number of items, a line feed, the items.
    - `d`, a dict: the number of entries, a line feed, each key followed by its value, in the order
      of the keys' own bytes. So the order in which entries were added does not matter.
    - `T`, a tensor: the JSON of [dtype, shape], a line feed, and its numbers, see `numbers_of`.
      Strides, device and shared storages do not matter.

    Args:
        content: is not changed; one tensor at a time is copied where it is on a GPU or not
            contiguous.

    Raises:
        TypeError: there is something else in it.
    """
    digest = hashlib.sha256()
    _add(digest.update, content)
    return digest.hexdigest()


def numbers_of(tensor: Tensor) -> memoryview:
    """Returns the numbers of a tensor of any shape and dtype: contiguous and little-endian.

    A contiguous one on the CPU of a little-endian machine is not copied.
    """
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    if sys.byteorder == "big":
        flat = flat.reshape(-1, tensor.element_size()).flip(1).contiguous()
    return flat.numpy().data


def _add(update: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        head = [str(value.dtype).removeprefix("torch."), list(value.shape)]
        update(b"T" + json.dumps(head, separators=(",", ":")).encode() + b"\n")
        update(numbers_of(value))
    elif isinstance(value, Mapping):
        update(b"d%d\n" % len(value))
        for key, place in sorted((_bytes_of(key), key) for key in value):
            update(key)
            _add(update, value[place])
    elif isinstance(value, list | tuple):
        update(b"%c%d\n" % (b"l" if isinstance(value, list) else b"t", len(value)))
        for item in value:
            _add(update, item)
    else:
        update(_bytes_of(value))


def _bytes_of(value: Any) -> bytes:
    """What a single value, which may be a key, is written as."""
    if value is None:
        return b"n\n"
    if isinstance(value, bool):
        return b"b%d\n" % value
    if isinstance(value, int):
        return b"i%d\n" % value
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value)
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return b"s%d\n%s" % (len(text), text)
    if isinstance(value, bytes):
        return b"y%d\n%s" % (len(value), value)
    raise TypeError(f"a {type(value).__name__} has no digest")
