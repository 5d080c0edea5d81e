"""Small files that ask for much memory or time: python -m tests.weights.bombs FOLDER

Run so, it reads them all with little memory to be had, and prints JSON: name -> what was said, and
by how much the process grew.
"""

import json
import resource
import sys
import time
import zipfile
from pathlib import Path

from tests.weights.hostile_pickles import (
    archive,
    called,
    dictionary,
    legacy,
    name,
    number,
    program,
    storage,
    tensor,
    text,
    tuple_of,
)

MIB = 1 << 20
MANY = 100_000
NUMBERS = b"(" + b"K\x01" * MANY + b"l" + b"q\x00"  # a list of them, in the memo
WORDS = b"(" + b"".join(b"M" + i.to_bytes(2, "little") for i in range(1 << 16)) + b"t" + b"q\x00"
TEXT = text("x" * MIB) + b"q\x00"
DATA = b"B" + MIB.to_bytes(4, "little") + bytes(MIB) + b"q\x01"
DTYPE = called(name("numpy", "dtype"), text("u1"), b"K\x00", b"K\x01") + b"q\x02"
ARRAY = (
    called(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b")", b"C\x01b")
    + tuple_of(b"K\x01", tuple_of(number(MIB)), b"h\x02", b"\x89", b"h\x01")
    + b"b"
)
GET = b"h\x00"
TREE = b"K\x01" + b"2\x86" * 60


def repeated(first, body, times):
    """A list of what `body` makes, again and again, out of what the memo holds."""
    return b"](" + first + body * times + b"e"


PICKLES = {
    "a tree of 2**200 leaves": b"]" + b"2\x86" * 200,
    "a tree of lists": b"(K\x01l" + b"q\x00(h\x00h\x00l" * 200,
    "a deep tuple": b")" + b"\x85" * 200_000,
    "a deep list": b"]" * 200_000 + b"a" * 199_999,
    "many sets": b"](" + b"\x8f" * 400_000 + b"e",
    "a memo of everything": b"N" + b"".join(
        b"r" + place.to_bytes(4, "little") for place in range(200_000)
    ),
    "encoded again and again": repeated(
        TEXT, name("_codecs", "encode") + GET + text("latin1") + b"\x86R", 5_000
    ),
    "copied arrays": repeated(DATA + DTYPE, ARRAY, 3_000),
    "sets of one tuple": repeated(WORDS, name("builtins", "set") + GET + b"\x85R", 3_000),
    "lists of one list": repeated(NUMBERS, name("builtins", "list") + GET + b"\x85R", 3_000),
    "sizes of one list": repeated(NUMBERS, name("torch", "Size") + GET + b"\x85R", 3_000),
    "an ordered dictionary of no pairs": repeated(
        NUMBERS, name("collections", "OrderedDict") + GET + b"\x85R", 3_000
    ),
    "arguments of one list": NUMBERS + name("torch", "device") + b"(" + GET * 17 + b"tR",
    "a number of megabytes": b"\x8b" + (4 * MIB).to_bytes(4, "little") + b"\x7f" * (4 * MIB),
    "a number of many digits": b"L" + b"9" * MIB + b"L\n",
    "keys that are one long text": b"}(" + TEXT + b"N" + (GET + b"N") * 100_000 + b"u",
    "a shape of huge numbers": called(
        name("numpy.core.numeric", "_frombuffer"), b"C\x00", DTYPE,
        tuple_of(*[number(1 << 61)] * 20_000), text("C"),
    ),
    "a text of terabytes": b"\x8d" + (1 << 42).to_bytes(8, "little"),
    "bytes of terabytes": b"\x8e" + (1 << 42).to_bytes(8, "little"),
    "bytes of gigabytes": b"B" + b"\xff" * 4,
    "a list that holds itself": b"]q\x00" + b"h\x00" * 20_000 + b"0" * 19_999 + b"a",
    "a shape whose text has 2**60 digits": (
        called(
            name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b")", b"C\x01b"
        )
        + tuple_of(b"K\x01", TREE, DTYPE, b"\x89", b"C\x00")
        + b"b"
    ),
    "a size whose text has 2**60 digits": called(
        name("torch._utils", "_rebuild_tensor_v2"), storage(), number(0), TREE,
        tuple_of(number(1), number(1)), b"\x89", b"N",
    ),
    "a name whose text has 2**60 digits": text("x") + TREE + b"\x93",
    "a module whose text has 2**60 digits": TREE + text("x") + b"\x93",
    "a long name again and again": TEXT + repeated(
        b"", text("argparse") + GET + b"\x93", 200_000
    ),
    "places of one hash": b"N" + b"".join(
        b"p%d\n" % (place * ((1 << 61) - 1)) for place in range(100_000)
    ),
    "one array built again and again": (
        DATA + DTYPE
        + called(
            name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b")", b"C\x01b"
        )
        + b"".join(b"r" + place.to_bytes(4, "little") for place in range(9, 40_000))
        + tuple_of(b"K\x01", tuple_of(number(0)), b"h\x02", b"\x89", b"C\x00") + b"q\x050"
        + b"2h\x05b0" * 40_000
    ),
    "many marks": b"(" * 400_000,
    "many copies of the top": b"N" + b"2" * 400_000,
}  # fmt: skip


def bombs(folder):
    """Writes the files, and returns their paths."""
    for place, (what, body) in enumerate(PICKLES.items()):
        (folder / f"{place:02}.pkl").write_bytes(program(body))
        if place % 2 == 0:
            (folder / f"{place:02}.zip").write_bytes(archive(program(body)))
        if place % 4 == 0:
            (folder / f"{place:02}.old").write_bytes(legacy(program(body)))
        (folder / f"{place:02}.txt").write_text(what)
    terabytes = dictionary({"w": tensor(storage(length=1 << 40), size=(1 << 40,))})
    (folder / "claims.zip").write_bytes(archive(program(terabytes)))
    (folder / "claims.old").write_bytes(
        legacy(program(terabytes))[:-24] + (1 << 40).to_bytes(8, "little") + bytes(16)
    )
    (folder / "claims.safetensors").write_bytes((1 << 42).to_bytes(8, "little") + b"{}")
    with zipfile.ZipFile(folder / "deflated.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/data.pkl", bytes(64 * MIB))
    with zipfile.ZipFile(folder / "records.zip", "w") as file:
        for record in range(20_000):
            file.writestr(f"a/{record}", b"")
    return [path for path in sorted(folder.iterdir()) if path.suffix != ".txt"]


def main():
    from resnext_det.errors import UserError
    from resnext_det.weights.readers.reading import read_weights_file

    paths = bombs(Path(sys.argv[1]))
    report = {}
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (limit + 1024 * MIB, resource.RLIM_INFINITY))
    for path in paths:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        try:
            said = f"read {len(read_weights_file(path, 'bomb').tensors)}"
        except UserError as error:
            said = f"refused {error}"
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report[path.name] = {
            "said": said,
            "grown_mib": (after - before) / 1024,
            "file_mib": path.stat().st_size / MIB,
            "seconds": time.process_time() - start,
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
