"""Writes Torch7 files as torch7's File.lua and THDiskFile.c say; it knows nothing of the reader."""

from dataclasses import dataclass, field

import numpy as np

CODES = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "i2",
    "Int": "i4",
    "Long": "i8",
    "Half": "f2",
    "Float": "f4",
    "Double": "f8",
    "Cuda": "f4",
    "CudaHalf": "f2",
    "CudaDouble": "f8",
    "CudaLong": "i8",
}


@dataclass(eq=False, repr=False)  # it may contain itself
class LuaObject:
    """A torch class; `header` goes before the fields, version None writes none."""

    name: str
    fields: dict = field(default_factory=dict)
    version: int | None = 1
    header: dict | None = None


@dataclass(eq=False)
class LuaStorage:
    kind: str
    values: np.ndarray
    claimed: int | None = None


@dataclass(eq=False)
class LuaTensor:
    """offset counts from 0; None as storage is an empty tensor's."""

    kind: str
    storage: object
    sizes: tuple
    strides: tuple
    offset: int = 0


@dataclass(eq=False)
class LuaCode:
    """A function: tag 8 today's, 7 an older one, 6 the oldest, which has no index."""

    code: bytes = b"\x1bLJ\x01os.execute"
    upvalues: dict = field(default_factory=dict)
    tag: int = 8


@dataclass(eq=False)
class Raw:
    """Bytes that stand where an object should."""

    data: bytes


def tensor(values, kind="Float"):
    """A contiguous tensor with a storage of its own."""
    values = np.ascontiguousarray(values, dtype=CODES[kind])
    strides = tuple(int(s) // values.itemsize for s in values.strides)
    return LuaTensor(kind, LuaStorage(kind, values.reshape(-1)), values.shape, strides)


def empty(kind="Float"):
    return LuaTensor(kind, None, (), ())


def lua_list(items):
    return dict(enumerate(items, start=1))


class Writer:
    """torch.DiskFile(name, 'w'):binary() or :ascii(), and writeObject."""

    def __init__(self, mode="binary", order="<", long_size=8):
        self.ascii, self.order, self.long_size = mode == "ascii", order, long_size
        self.parts = []
        self.indices = {}
        self.boundaries = []  # where each number or array begins

    def bytes(self):
        return b"".join(self.parts)

    def _put(self, data):
        self.boundaries.append(sum(map(len, self.parts[-1:])) + self._offset())
        self.parts.append(data)

    def _offset(self):
        return self.boundaries[-1] if self.boundaries else 0

    def _numbers(self, values, code, text):
        if self.ascii:
            if len(values):
                self._put((" ".join(text % v for v in values) + "\n").encode())
        else:
            self._put(np.asarray(values).astype(self.order + code).tobytes())

    def int(self, value):
        self._numbers([value], "i4", "%d")

    def longs(self, values):
        self._numbers(list(values), f"i{self.long_size}", "%d")

    def double(self, value):
        self._numbers([value], "f8", "%.17g")

    def chars(self, data):
        self.int(len(data))
        self.raw(data)

    def raw(self, data):
        if len(data):
            self._put(data + (b"\n" if self.ascii else b""))

    def object(self, value):
        if value is None:
            self.int(0)
        elif isinstance(value, Raw):
            self._put(value.data)
        elif isinstance(value, bool):
            self.int(5)
            self.int(int(value))
        elif isinstance(value, int | float):
            self.int(1)
            self.double(value)
        elif isinstance(value, str | bytes):
            self.int(2)
            self.chars(value.encode() if isinstance(value, str) else value)
        elif isinstance(value, LuaCode) and value.tag == 6:
            self.int(6)
            self.chars(value.code)
            self.object(value.upvalues)
        else:
            self._indexed(value)
        return self

    def _indexed(self, value):
        tag = 3 if isinstance(value, dict) else value.tag if isinstance(value, LuaCode) else 4
        self.int(tag)
        known = id(value) in self.indices
        index = self.indices.setdefault(id(value), len(self.indices) + 1)
        self.int(index)
        if known:
            return
        if isinstance(value, dict):
            self.int(len(value))
            for key, item in value.items():
                self.object(key)
                self.object(item)
        elif isinstance(value, LuaCode):
            self.chars(value.code)
            self.object(value.upvalues)
        else:
            self._torch(value)

    def _torch(self, value):
        kind = {LuaTensor: "Tensor", LuaStorage: "Storage"}.get(type(value))
        version = value.version if kind is None else 1
        if version is not None:
            self.chars(f"V {version}".encode())
        self.chars((value.name if kind is None else f"torch.{value.kind}{kind}").encode())
        if kind is None:
            if value.header is not None:
                self.object(value.header)
            self.object(value.fields)
        elif kind == "Tensor":
            self.int(len(value.sizes))
            self.longs(value.sizes)
            self.longs(value.strides)
            self.longs([value.offset + 1])
            self.object(value.storage)
        else:
            self._storage(value)

    def _storage(self, value):
        values, code = value.values, CODES[value.kind]
        self.longs([len(values) if value.claimed is None else value.claimed])
        if code in ("u1", "i1"):
            self.raw(values.astype(code).tobytes())
        elif value.kind.endswith("Long"):
            self.longs(values)
        else:
            self._numbers(values, code, {"f8": "%.17g", "f4": "%.9g", "f2": "%.9g"}.get(code, "%d"))


def serialise(value, **form):
    return Writer(**form).object(value).bytes()


def save(path, value, **form):
    path.write_bytes(serialise(value, **form))
    return path


FORMS = (
    {"mode": "binary", "order": "<", "long_size": 8},
    {"mode": "binary", "order": "<", "long_size": 4},
    {"mode": "binary", "order": ">", "long_size": 8},
    {"mode": "binary", "order": ">", "long_size": 4},
    {"mode": "ascii"},
)


def form_name(form):
    if form["mode"] == "ascii":
        return "ascii"
    return f"{'little' if form['order'] == '<' else 'big'}-{form['long_size']}"
