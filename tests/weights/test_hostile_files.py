"""Weights files that try to run code: each is refused in one line, and nothing runs."""

import copyreg
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.weights.readers.reading import read_weights_file
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

REPOSITORY = Path(__file__).parents[2]
CANARY = "canary"
COMMAND = text(f"touch {CANARY}")
TARGETS = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "popen"), ("os", "execv"),
    ("subprocess", "Popen"), ("subprocess", "check_output"), ("commands", "getoutput"),
    ("builtins", "eval"), ("builtins", "exec"), ("builtins", "__import__"), ("builtins", "open"),
    ("__builtin__", "eval"), ("__builtin__", "execfile"), ("builtins", "compile"),
    ("importlib", "import_module"), ("runpy", "run_path"), ("pty", "spawn"), ("code", "interact"),
    ("operator", "attrgetter"), ("functools", "partial"), ("copyreg", "_reconstructor"),
    ("pickle", "loads"), ("_pickle", "Unpickler"), ("webbrowser", "open"), ("shutil", "rmtree"),
    ("numpy", "load"), ("numpy.core.multiarray", "fromfile"), ("numpy.f2py.crackfortran", "eval"),
    ("torch", "load"), ("torch.serialization", "load"), ("torch.storage", "_load_from_bytes"),
    ("torch.hub", "load"), ("torch.jit", "load"), ("torch._utils", "_import_dotted_name"),
    ("torch._utils", "_rebuild_wrapper_subclass"), ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"), ("torch.nn.modules.linear", "Linear"),
    ("torch.utils.collect_env", "run"), ("torch._inductor.codecache", "compile_file"),
    ("collections", "namedtuple"), ("argparse", "FileType"), ("pathlib", "Path.unlink"),
    ("resnext_det.whole_files", "write_text_safe"), ("torch.float32", "__class__"),
]  # fmt: skip
# Opcode route -> a body that calls, or asks for, what (module, attribute) names.
ROUTES = {
    "GLOBAL": lambda m, a: name(m, a) + tuple_of(COMMAND) + b"R",
    "STACK_GLOBAL": lambda m, a: text(m) + text(a) + b"\x93" + tuple_of(COMMAND) + b"R",
    "STACK_GLOBAL from the memo": lambda m, a: (
        text(m) + b"\x940" + text(a) + b"\x940h\x00h\x01\x93" + tuple_of(COMMAND) + b"R"
    ),
    "INST": lambda m, a: b"(" + COMMAND + f"i{m}\n{a}\n".encode(),
    "OBJ": lambda m, a: b"(" + name(m, a) + COMMAND + b"o",
    "NEWOBJ": lambda m, a: name(m, a) + tuple_of(COMMAND) + b"\x81",
    "NEWOBJ_EX": lambda m, a: name(m, a) + tuple_of(COMMAND) + b"}\x92",
    "BUILD": lambda m, a: name(m, a) + dictionary({"__setstate__": name(m, a)}) + b"b" + COMMAND,
    "BUILD of an OrderedDict": lambda m, a: (
        called(name("collections", "OrderedDict")) + dictionary({"x": name(m, a)}) + b"b"
    ),
    "BUILD of slots": lambda m, a: (
        called(name("collections", "OrderedDict"))
        + tuple_of(b"N", dictionary({"__class__": name(m, a)}))
        + b"b"
    ),
    "as a state that is passed over": lambda m, a: (
        name("argparse", "Namespace") + b")\x81" + dictionary({"x": name(m, a)}) + b"b"
    ),
    "getattr": lambda m, a: called(
        called(name("builtins", "getattr"), name(m, a), text("__call__")), COMMAND
    ),
    "a defaultdict's factory": lambda m, a: (
        called(name("collections", "defaultdict"), name(m, a)) + text("x") + COMMAND + b"s"
    ),
    "a storage's type": lambda m, a: storage(kind=a, module=m),
    "a key": lambda m, a: b"}" + name(m, a) + b"Ns",
    "left in a list": lambda m, a: b"]" + name(m, a) + b"a",
}
CARRIERS = {
    "pickle": program,
    "pickle in a state dict": lambda body: program(dictionary({"model": dictionary({"w": body})})),
    "zip": lambda body: archive(program(body)),
    "zip beside tensors": lambda body: archive(program(dictionary({"w": tensor(), "x": body}))),
    "legacy": lambda body: legacy(program(body)),
    "legacy's magic number": lambda body: legacy(b"N.", instead={0: magic_then(body)}),
    "legacy's protocol": lambda body: legacy(b"N.", instead={1: program(body)}),
    "legacy's system": lambda body: legacy(b"N.", instead={2: program(body)}),
    "legacy's storage keys": lambda body: legacy(
        program(dictionary({"w": tensor()})), instead={4: program(body)}
    ),
}
PLAIN = [carrier for carrier in CARRIERS if carrier.startswith("legacy's")]


def magic_then(body):
    """The magic number, thrown away, and then something else: the form is still known by it."""
    return pickle.dumps(0x1950A86A20F9469CFC6C, 2)[:-1] + b"0" + body + b"."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, target in enumerate([("posix", "system"), ("builtins", "eval")], 1):
        monkeypatch.setitem(copyreg._inverted_registry, place, target)
    return tmp_path


def refused(folder, data, suffix="pth"):
    path = folder / f"given.{suffix}"
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_weights_file(path, "given")
    message = str(caught.value)
    assert message.startswith("given: ")
    assert message.isprintable()
    assert len(message) < 500
    assert [entry.name for entry in folder.iterdir()] == [path.name]
    path.unlink()
    return message


def test_the_canary_sings(folder):
    # That the others find no canary means something only if these payloads work where they may.
    for route in ("GLOBAL", "STACK_GLOBAL", "STACK_GLOBAL from the memo", "INST", "OBJ", "getattr"):
        pickle.loads(program(ROUTES[route]("os", "system")))
        (folder / CANARY).unlink()
    pickle.loads(b"\x82\x01" + tuple_of(COMMAND) + b"R.")
    assert (folder / CANARY).exists()


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_names_what_it_refuses(folder, route, carrier):
    for module, attribute in TARGETS:
        data = CARRIERS[carrier](ROUTES[route](module, attribute))
        message = refused(folder, data, "pkl" if "zip" in carrier else "pth")
        separator = " " if route == "INST" else "."
        # The other pickles of the old form know no names at all, so that the first one is said.
        first_name = carrier in PLAIN and re.search(
            "GLOBAL names '(collections|argparse|builtins)", message
        )
        assert f"'{module}{separator}{attribute}'" in message or first_name


OTHERS = {
    "EXT1": (b"\x82\x01" + tuple_of(COMMAND) + b"R", "EXT1 of '1'"),
    "EXT2": (b"\x83\x02\x00" + tuple_of(COMMAND) + b"R", "EXT2 of '2'"),
    "EXT4": (b"\x84\x02\x00\x00\x00" + tuple_of(COMMAND) + b"R", "EXT4 of '2'"),
    "PERSID": (b"Pos.system\n", "PERSID of 'os.system'"),
    "BINPERSID": (COMMAND + b"Q", "BINPERSID"),
    "BINPERSID of a module": (
        tuple_of(text("module"), text("x"), text("x.py"), text("import os")) + b"Q",
        "BINPERSID",
    ),
    "NEXT_BUFFER": (b"\x97", "NEXT_BUFFER"),
    "getattr of a container": (
        called(name("builtins", "getattr"), called(name("collections", "OrderedDict")), text("x")),
        "'builtins.getattr' of a OrderedDict",
    ),
    "a method of a passed-over class": (
        called(called(name("builtins", "getattr"), name("argparse", "Namespace"), text("x"))),
        "REDUCE of 'argparse.Namespace'",
    ),
    "a passed-over object": (
        called(called(name("argparse", "Namespace"))),
        "REDUCE of 'argparse.Namespace'",
    ),
    "NEWOBJ of OrderedDict": (name("collections", "OrderedDict") + b")\x81", "NEWOBJ is refused"),
    "NEWOBJ of a string": (COMMAND + b")\x81", "NEWOBJ is refused"),
    "BUILD of a function": (name("builtins", "getattr") + b"}b", "BUILD of 'builtins.getattr'"),
    "BUILD of a list": (b"]}b", "BUILD of a list"),
    "getattr itself": (name("builtins", "getattr"), "'builtins.getattr' is left"),
    "APPEND to a function": (name("builtins", "getattr") + b"Na", "APPEND to 'builtins.getattr'"),
    "a name over two lines": (text("os\nx") + text("sys\x1b[2Jtem") + b"\x93", "STACK_GLOBAL"),
    "a name that is a tuple": (text("os") + b")\x93", "STACK_GLOBAL names a tuple"),
    "a long name": (
        text("argparse") + text("Namespace." + "x" * 1000) + b"\x93",
        "STACK_GLOBAL names 'Namespace.xx",
    ),
    "a place of the memo": (b"Np%d\n" % (1 << 32), "place 4294967296 of the memo"),
    "a place below 0": (b"Np-1\n", "place -1 of the memo"),
    "another codec": (called(name("_codecs", "encode"), COMMAND, text("rot13")), "_codecs.encode"),
    "a set of a container": (called(name("builtins", "set"), tuple_of(b"]")), "a list as a key"),
    "a key twice": (b"}" + 2 * (text("twice") + b"Ns"), "the key 'twice' comes twice"),
}


@pytest.mark.parametrize("carrier", ["pickle", "zip beside tensors", "legacy"])
@pytest.mark.parametrize("what", OTHERS)
def test_other_routes(folder, what, carrier):
    body, expected = OTHERS[what]
    assert expected in refused(folder, CARRIERS[carrier](body))


# A tensor of the file's one storage of four float32 -> what is said of it.
TENSORS = {
    "beyond the storage": (tensor(size=(5,)), "does not fit its storage of 4"),
    "from beyond": (tensor(offset=1), "a tensor of 4 from number 1 on does not fit"),
    "far strides": (tensor(size=(2,), stride=(4,)), "does not fit its storage of 4"),
    "one number twice": (tensor(size=(2, 2), stride=(1, 1)), "more than once"),
    "stride 0": (tensor(size=(1 << 30,), stride=(0,)), "uses its numbers more than once"),
    "a negative size": (tensor(size=(-4,)), "damaged: a tensor of size (-4,)"),
    "a negative stride": (tensor(offset=3, stride=(-1,)), "damaged: a tensor of size (4,)"),
    "a negative offset": (tensor(offset=-1), "damaged: a tensor of size (4,)"),
    "an overflow": (tensor(size=(1 << 33, 1 << 33), stride=(1, 1)), "damaged: a tensor of"),
    "an overflow of nothing": (tensor(size=(0, 1 << 61), stride=(1, 1)), "damaged: a tensor of"),
    "more strides": (tensor(stride=(1, 1)), "size and stride do not fit each other"),
    "many axes": (tensor(size=(1,) * 65, stride=(1,) * 65), "size and stride do not fit"),
    "no storage": (tensor(of=b"N"), "a tensor in a NoneType"),
    "a terabyte": (tensor(of=storage(length=1 << 38), size=(1 << 38,)), "274,877,906,944"),
    "a huge storage": (tensor(of=storage(length=1 << 70)), "without type, key and length"),
    "another type": (tensor(of=storage(kind="DoubleStorage")), "damaged"),
    "a typed storage": (tensor(of=storage(kind="TypedStorage", module="torch.storage")), "torch"),
    "a parameter of code": (
        called(name("torch._utils", "_rebuild_parameter"), COMMAND, b"\x89", b"N"),
        "a parameter of a str",
    ),
    "too many arguments": (
        called(name("torch._utils", "_rebuild_tensor"), *[b"N"] * 17),
        "too many arguments",
    ),
    "too few": (called(name("torch._utils", "_rebuild_tensor_v2"), storage()), "missing"),
    "sizes of nothing": (called(name("torch", "Size"), number(1 << 40)), "a torch.Size of"),
}


@pytest.mark.parametrize("form", [archive, legacy], ids=["zip", "legacy"])
@pytest.mark.parametrize("what", TENSORS)
def test_tensors_that_do_not_fit(folder, what, form):
    body, expected = TENSORS[what]
    assert expected in refused(folder, form(program(dictionary({"w": body}))))


def test_storages_that_are_not_there(folder):
    for key in ("7", "../data.pkl", "/etc/passwd", "0\x00"):
        body = program(dictionary({"w": tensor(of=storage(key))}))
        assert "is damaged (it has no record archive/data/" in refused(folder, archive(body))
        assert "comes without a tensor" in refused(folder, legacy(body))


@pytest.mark.parametrize("form", [archive, legacy], ids=["zip", "legacy"])
def test_the_tensor_that_fits(folder, form):
    (folder / "w.pth").write_bytes(form(program(dictionary({"w": tensor()}))))
    assert torch.equal(read_weights_file(folder / "w.pth", "w").tensors["w"], torch.zeros(4))


def test_one_tensor_under_many_names(folder):
    numbers = bytes(1 << 20)
    length = len(numbers) // 4
    one = b"h\x07"
    first = tensor(storage(length=length), size=(length,)) + b"q\x07"
    items = {f"w{i}": one if i else first for i in range(100)}
    for form, where in ((archive, "data/0"), (legacy, "0")):
        data = form(program(dictionary(items)), [(where, numbers)])
        assert "its tensors use the file's bytes many times over" in refused(folder, data)


def test_a_dictionary_that_holds_itself(folder):
    body = b"}q\x00" + text("model") + b"h\x00s" + text("w") + tensor() + b"s"
    (folder / "w.pth").write_bytes(archive(program(body)))
    content = read_weights_file(folder / "w.pth", "w")
    assert list(content.tensors) == ["w"]
    assert content.extras == {}
    assert "holds a list" in refused_after(folder, archive(program(b"]q\x00h\x00a")))


def refused_after(folder, data):
    for path in folder.iterdir():
        path.unlink()
    return refused(folder, data)


def test_nested_archives_are_data(folder):
    inner = archive(program(ROUTES["GLOBAL"]("os", "system")))
    numbers = inner + bytes(-len(inner) % 4)
    count = len(numbers) // 4
    body = dictionary({"w": tensor(storage(length=count), size=(count,))})
    data = archive(program(body), [("data/0", numbers), ("inner.zip", inner)])
    (folder / "w.pth").write_bytes(data)
    content = read_weights_file(folder / "w.pth", "w")
    assert content.tensors["w"].numpy().tobytes() == numbers
    assert [entry.name for entry in folder.iterdir()] == ["w.pth"]


def zip_of(*records, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for record, data in records:
            file.writestr(record, data)
    return buffer.getvalue()


EMPTY = program(b"}")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_torch_never_writes(folder):
    def said(*records, **more):
        return refused(folder, zip_of(*records, **more))

    pickled = ("a/data.pkl", EMPTY)
    assert "compressed or encrypted" in said(pickled, compression=zipfile.ZIP_DEFLATED)
    assert "a record's name comes twice" in said(pickled, pickled)
    assert "with several data.pkl" in said(pickled, ("b/data.pkl", EMPTY))
    assert "with no data.pkl" in said(("a/b/data.pkl", EMPTY))
    assert "with no data.pkl" in said()
    hostile = program(ROUTES["GLOBAL"]("os", "system"))
    assert "with several data.pkl" in said(pickled, ("b/data.pkl", hostile))


def patched(data, place, value, size=4):
    return data[:place] + value.to_bytes(size, "little") + data[place + size :]


def test_archives_whose_table_lies(folder):
    data = archive(program(dictionary({"w": tensor()})))
    table = data.rindex(b"PK\x01\x02")  # of the last record, data/0
    for size in (17, 1 << 31, 0xFFFFFFFE):
        lying = patched(patched(data, table + 20, size), table + 24, size)
        assert "overlaps" in refused(folder, lying) or "cut off" in refused(folder, lying)
    assert "stores others" in refused(folder, patched(data, table + 24, 20))
    assert "overlaps another" in refused(folder, patched(data, table + 42, 0))
    first = data.index(b"PK\x01\x02")
    assert "is not where the archive says" in refused(folder, patched(data, first + 42, 2))
    assert "is damaged (cut short or changed" in refused(folder, data[:-1])
    broken = data.replace(bytes(16), b"\x01" + bytes(15), 1)
    assert "its record archive/data/0 was cut short or changed" in refused(folder, broken)


@pytest.mark.parametrize("form", [archive, legacy], ids=["zip", "legacy"])
def test_cut_off_anywhere(folder, form):
    data = form(program(dictionary({"w": tensor()})))
    for length in range(1, len(data)):
        refused(folder, data[:length])


def test_legacy_files_whose_storages_lie(folder):
    body = program(dictionary({"w": tensor()}))
    data = legacy(body)
    for length in (-1, 5, 1 << 40, (1 << 63) - 1):
        lying = data[:-24] + length.to_bytes(8, "little", signed=True) + data[-16:]
        assert "the storage 0 claims" in refused(folder, lying)
    assert "has 3 numbers of 4 bytes, not 4" in refused(folder, legacy(body, [("0", bytes(12))]))
    twice = legacy(body, [("0", bytes(16)), ("0", bytes(16))])
    assert "the storage 0 comes twice" in refused(folder, twice)
    unknown = legacy(body, [("1", bytes(16))])
    assert "the storage 1 comes without a tensor" in refused(folder, unknown)
    assert "no storage 0" in refused(folder, legacy(body, []))
    assert "no list of names" in refused(folder, legacy(body, instead={4: program(b"}")}))
    assert "another magic number" in refused(folder, legacy(body, instead={1: program(b"K\x01")}))


def test_bombs_take_little_memory(tmp_path):
    command = [sys.executable, "-m", "tests.weights.bombs", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report) > 40
    for file, row in report.items():
        said = row["said"].removeprefix("refused bomb: ")
        assert said != row["said"], file
        assert said.isprintable()
        assert "MemoryError" not in said, file
        assert row["grown_mib"] < 64 + 8 * row["file_mib"], file


def test_no_environment_is_needed_to_be_safe(folder, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    data = archive(program(ROUTES["GLOBAL"]("os", "system")))
    assert "'os.system'" in refused(folder, data)
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
