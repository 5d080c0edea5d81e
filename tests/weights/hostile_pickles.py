"""Pickles put together opcode by opcode, and the files that carry them.

Nothing here is written by pickle itself: a hostile file needs no pickler.
"""

import io
import pickle
import struct
import zipfile

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def text(value):
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value):
    return b"J" + value.to_bytes(4, "little", signed=True) if abs(value) < 1 << 31 else (
        b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)
    )  # fmt: skip


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def called(function, *arguments):
    return function + tuple_of(*arguments) + b"R"


def dictionary(items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def storage(key="0", length=4, kind="FloatStorage", module="torch", location="cpu"):
    return (
        tuple_of(
            *(text("storage"), name(module, kind), text(key), text(location), number(length)),
        )
        + b"Q"
    )


def tensor(of=None, offset=0, size=(4,), stride=(1,), function="_rebuild_tensor_v2"):
    return called(
        name("torch._utils", function),
        *(storage() if of is None else of, number(offset)),
        *(tuple_of(*map(number, size)), tuple_of(*map(number, stride))),
        *(b"\x89", called(name("collections", "OrderedDict"))),
    )


def program(body):
    return b"\x80\x04" + body + b"."


def archive(data_pickle, records=(("data/0", bytes(16)),), root="archive"):
    """The zip form, with right CRCs; without a date, so that it is the same each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo(f"{root}/data.pkl"), data_pickle)
        for record, data in records:
            file.writestr(zipfile.ZipInfo(f"{root}/{record}"), data)
    return buffer.getvalue()


def legacy(data_pickle, storages=(("0", bytes(16)),), instead=None):
    """The old form; `instead` is number of a pickle -> what stands in its place."""
    pickles = [
        pickle.dumps(MAGIC, 2),
        pickle.dumps(PROTOCOL, 2),
        pickle.dumps({"little_endian": True}, 2),
        data_pickle,
        pickle.dumps([key for key, _ in storages], 2),
    ]
    for place, other in (instead or {}).items():
        pickles[place] = other
    numbers = [struct.pack("<q", len(data) // 4) + data for _, data in storages]
    return b"".join((*pickles, *numbers))
