"""Torch7's serialised objects, read from a stream without executing anything. Engine-neutral.

An object is an int that tells its kind, then its content. Tables, Torch objects and functions have
an index first: a new one for an object that follows, an old one for a reference. The parser keeps a
stack of its own, so that depth costs no recursion.

Source: torch/torch7, File.lua (readObject), generic/Tensor.c and generic/Storage.c (read).
"""

import math
import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

from resnext_det.weights.readers.torch7_objects import (
    Key,
    LuaFunction,
    Storage,
    Table,
    TorchObject,
)
from resnext_det.weights.readers.torch7_stream import Torch7Error, Torch7Stream
from resnext_det.weights.readers.torch7_views import view_of

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = range(6)
_UNNUMBERED_FUNCTION, _OLD_FUNCTION, _FUNCTION = 6, 7, 8
_MAX_DEPTH = 1000  # a ResNet in a DataParallelTable nests to about 25
_MAX_ITEMS = 2_000_000  # ResNeXt-152 64x4d in form (b) has about 1,000,000
_CLASS_NAME = re.compile(rb"[A-Za-z_][\w.\-]{0,199}")
_ARRAY_CLASS = re.compile(
    r"torch\.(?:Cuda)?(Byte|Char|Short|Int|Long|Half|Float|Double)(Tensor|Storage)"
)
_CUDA_CLASS = re.compile(r"torch\.Cuda()(Tensor|Storage)")
# These write a header object before their fields. Source: torch/cunn, DataParallelTable.lua
# (__write, from version 2 on); torch/nn, GPU.lua (write).
_WITH_HEADER = {"nn.DataParallelTable": 2, "nn.GPU": 0}
_UNFINISHED = object()


class _Frame:
    """An object whose parts are being read: it takes `left` more of them."""

    def __init__(self, left: int, result: Any = None) -> None:
        self.left = left
        self.result = result

    def take(self, value: Any) -> None:
        self.left -= 1
        self.result = value


class _TableFrame(_Frame):
    def __init__(self, table: Table, pairs: int) -> None:
        super().__init__(2 * pairs, table)
        self._key: Any = None

    def take(self, value: Any) -> None:
        if self.left % 2 == 0:
            self._key = value
        else:
            self._put(self._key, value)
        self.left -= 1

    def _put(self, key: Any, value: Any) -> None:
        if key is None or (isinstance(key, float) and math.isnan(key)):
            raise Torch7Error(f"a table with {'nil' if key is None else 'NaN'} as a key")
        if isinstance(key, bool) or not isinstance(key, str | int | float):
            self.result.others.append((key, value))
            return
        key = int(key) if isinstance(key, float) and key.is_integer() else key
        if key in self.result:
            raise Torch7Error(f"a table with the key {_shown(key)} twice")
        self.result[key] = value


class _ObjectFrame(_Frame):
    """Takes the fields, behind a header that some classes have."""

    def take(self, value: Any) -> None:
        self.left -= 1
        if not isinstance(value, Table):
            raise Torch7Error(f"{self.result.class_name} without a table of fields")
        self.result.fields = value


class _TensorFrame(_Frame):
    """Takes the storage."""

    def __init__(self, build: Callable[[Any], Tensor], objects: list[Any]) -> None:
        super().__init__(1)
        self._build, self._objects, self._place = build, objects, len(objects) - 1

    def take(self, value: Any) -> None:
        self.left -= 1
        self.result = self._build(value)
        self._objects[self._place] = (_TORCH, self.result)


class _FunctionFrame(_Frame):
    """Drops the upvalues."""

    def take(self, value: Any) -> None:
        self.left -= 1


class Torch7Parser:
    """Reads one object and all that it contains.

    Attributes:
        ignored: what was passed over: "Lua function".
    """

    def __init__(self, stream: Torch7Stream) -> None:
        self._stream = stream
        self._objects: list[tuple[int, Any]] = []
        self._items = 0
        self.ignored: set[str] = set()

    def parse(self) -> Any:
        """Reads the object at the stream's start.

        Returns:
            None, a number, a bool, a str, a Table, a TorchObject, a LuaFunction, a Storage, or a
            tensor; one object that is referred to several times is one here too, cycles included.

        Raises:
            Torch7Error: the bytes do not follow the format, or nest or number beyond any network.
        """
        stack = [_Frame(1)]
        while stack[0].left:
            if not stack[-1].left:
                done = stack.pop()
                stack[-1].take(done.result)
                continue
            item = self._read_item()
            if not isinstance(item, _Frame):
                stack[-1].take(item)
            elif len(stack) > _MAX_DEPTH:
                raise Torch7Error(f"objects nest more than {_MAX_DEPTH} levels deep")
            else:
                stack.append(item)
        return stack[0].result

    def _read_item(self) -> Any:
        """Reads a plain value, or opens a frame for an object with parts."""
        self._items += 1
        if self._items > _MAX_ITEMS:
            raise Torch7Error(f"more than {_MAX_ITEMS} values; a network has fewer")
        kind = self._stream.read_int()
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            return self._stream.read_double()
        if kind == _BOOLEAN:
            return self._read_boolean()
        if kind == _STRING:
            return _text(self._read_string())
        if kind == _UNNUMBERED_FUNCTION:
            return self._open_function()
        if kind in (_TABLE, _TORCH, _OLD_FUNCTION, _FUNCTION):
            return self._read_numbered(kind)
        raise Torch7Error(f"an object of unknown kind {kind} before byte {self._stream.position}")

    def _read_boolean(self) -> bool:
        value = self._stream.read_int()
        if value not in (0, 1):
            raise Torch7Error(f"a boolean of {value} before byte {self._stream.position}")
        return value == 1

    def _read_string(self) -> bytes:
        return self._stream.read_chars(self._stream.read_int())

    def _read_numbered(self, kind: int) -> Any:
        index = self._stream.read_int()
        if 1 <= index <= len(self._objects):
            return self._refer(kind, index)
        if index != len(self._objects) + 1:  # the writer counts
            raise Torch7Error(
                f"a reference to object {index} before byte {self._stream.position}, where "
                f"{len(self._objects)} are known"
            )
        if kind == _TABLE:
            table = Table()
            self._objects.append((kind, table))
            return _TableFrame(table, self._read_count())
        if kind == _TORCH:
            return self._open_torch()
        function = LuaFunction()
        self._objects.append((kind, function))
        return self._open_function(function)

    def _refer(self, kind: int, index: int) -> Any:
        its_kind, value = self._objects[index - 1]
        if its_kind != kind:
            raise Torch7Error(
                f"object {index} is referred to as another kind before byte {self._stream.position}"
            )
        if value is _UNFINISHED:
            raise Torch7Error(f"a tensor that contains itself, before byte {self._stream.position}")
        return value

    def _read_count(self) -> int:
        """Reads a table's number of pairs; each takes at least 4 bytes."""
        count = self._stream.read_int()
        if not 0 <= count <= self._stream.left // 4:
            raise Torch7Error(
                f"a table of {count} entries at byte {self._stream.position}, where "
                f"{self._stream.left} bytes are left"
            )
        return count

    def _open_function(self, function: LuaFunction | None = None) -> _Frame:
        self.ignored.add("Lua function")
        self._read_string()  # bytecode
        return _FunctionFrame(1, function or LuaFunction())

    def _open_torch(self) -> Any:
        name, version = self._read_class()
        match = _ARRAY_CLASS.fullmatch(name) or _CUDA_CLASS.fullmatch(name)
        if match is None:
            thing = TorchObject(name, version)
            self._objects.append((_TORCH, thing))
            since = _WITH_HEADER.get(name)
            return _ObjectFrame(1 if since is None or version < since else 2, thing)
        element = match[1] or "Float"
        if match[2] == "Storage":
            size = self._stream.read_longs(1)[0]
            storage = Storage(element, self._stream.read_array(element, size))
            self._objects.append((_TORCH, storage))
            return storage
        self._objects.append((_TORCH, _UNFINISHED))
        return self._open_tensor(name, element)

    def _open_tensor(self, name: str, element: str) -> _Frame:
        dimensions = self._stream.read_int()
        sizes = self._stream.read_longs(dimensions)
        strides = self._stream.read_longs(dimensions)
        offset = self._stream.read_longs(1)[0] - 1  # Lua counts from 1
        where = f"{name} before byte {self._stream.position}"

        def build(storage: Any) -> Tensor:
            return view_of(storage, element, sizes, strides, offset, where)

        return _TensorFrame(build, self._objects)

    def _read_class(self) -> tuple[str, int]:
        """Reads "V 1" and the class's name, or the name alone, as before there were versions."""
        name, version = self._read_string(), 0
        if match := re.fullmatch(rb"V (\d{1,9})(?:\.0)?", name):
            name, version = self._read_string(), int(match[1])
        if not _CLASS_NAME.fullmatch(name):
            shown = ascii(name[:40].decode("latin-1"))
            raise Torch7Error(f"{shown} as a class before byte {self._stream.position}")
        return name.decode("ascii", "replace"), version


def _text(data: bytes) -> str:
    """Lua's strings are bytes; most are ASCII."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _shown(key: Key) -> str:
    return ascii(key[:40] if isinstance(key, str) else key)
