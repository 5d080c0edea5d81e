"""Plain pickles read as pickle.loads reads them; hostile ones refused, nothing executed."""

import copyreg
import pickle
import pickletools
from typing import Any

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.inert_pickle.machine import read_inert_pickle

SHARED = [1, 2]
PLAIN: dict[str, Any] = {
    "atoms": [None, True, False, 0, 1, -1, 255, 65536, -(2**40), 2**70, 1.5, "text", "é☃"],
    "bytes": [b"", b"raw", bytes(range(256)), b"x" * 300],
    "containers": {"a": [1, [2, (3,)]], "b": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), 3: {}},
    "shared": [SHARED, SHARED],
    "long list": list(range(3000)),
    "sets": [{1, 2}, frozenset([3]), set()],
}
ARRAYS = {
    "uint8": np.arange(24, dtype=np.uint8).reshape(2, 12),
    "float": np.arange(6, dtype=">f4").reshape(3, 2),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(3, 2)),
    "empty": np.zeros((0, 3), dtype=np.uint8),
    "scalar": np.array(3.5),
    "bool": np.array([True, False]),
}


# Before protocol 4 a set is a call of builtins.set, which is refused.
CASES = [(name, protocol) for name in PLAIN for protocol in range(4 * (name == "sets"), 6)]


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_plain_data_as_pickle_reads_them(name, protocol):
    values = PLAIN[name]
    read = read_inert_pickle(pickle.dumps(values, protocol), "a.pkl")
    assert read == values
    if name == "shared":
        assert read[0] is read[1]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_as_pickle_reads_them(name, protocol):
    array = ARRAYS[name]
    read, again = read_inert_pickle(pickle.dumps([array, array], protocol), "a.pkl")
    assert read is again
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(read, array)
    assert read.flags.writeable


def test_numpy_scalars():
    assert read_inert_pickle(pickle.dumps([np.int64(7), np.float32(0.5)], 2), "a.pkl") == [7, 0.5]


# As Python 2 and NumPy 1 wrote CIFAR's batches: protocol 2, strings of bytes, old module names.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\x09eU\x04dataq\x04cnumpy.core.multiarray\n"
    b"_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85q\x07U\x01bq\x08\x87q\x09Rq\x0a(K\x01K\x02"
    b"K\x03\x86q\x0bcnumpy\ndtype\nq\x0cU\x02u1q\x0dK\x00K\x01\x87q\x0eRq\x0f(K\x03U\x01|q\x10NNN"
    b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x11b\x89U\x06\x00\x01\x02\xfd\xfe\xffq\x12tq\x13b"
    b"U\x05againq\x14h\x0au."
)


def test_a_batch_of_python_2():
    read = read_inert_pickle(PYTHON_2, "data_batch_1")
    expected = pickle.loads(PYTHON_2, encoding="bytes")
    assert list(read) == list(expected) == [b"labels", b"data", b"again"]
    assert read[b"labels"] == expected[b"labels"] == [6, 9]
    np.testing.assert_array_equal(read[b"data"], expected[b"data"])
    assert read[b"again"] is read[b"data"]


SYSTEM = b"cposix\nsystem\n"
ARGUMENT = b"U\x0ctouch marker"
HOSTILE = {
    "GLOBAL": (SYSTEM + b".", "GLOBAL names 'posix.system'"),
    "GLOBAL of a part": (b"cnumpy\nload\n.", "GLOBAL names 'numpy.load'"),
    "GLOBAL of builtins": (b"c__builtin__\neval\n.", "GLOBAL names '__builtin__.eval'"),
    "GLOBAL dotted": (b"cnumpy\nndarray.tofile\n.", "GLOBAL names 'numpy.ndarray.tofile'"),
    "STACK_GLOBAL": (b"\x8c\x05posix\x8c\x06system\x93.", "STACK_GLOBAL names 'posix.system'"),
    "STACK_GLOBAL of no text": (b"K\x01K\x02\x93.", "STACK_GLOBAL names a int, which is no name"),
    "INST": (b"(" + ARGUMENT + b"iposix\nsystem\n.", "INST of 'posix system' is refused"),
    "OBJ": (b"(" + SYSTEM + ARGUMENT + b"o.", "GLOBAL names 'posix.system'"),
    "OBJ of a known name": (b"(cnumpy\nndarray\nK\x01o.", "OBJ is refused"),
    "NEWOBJ": (b"cnumpy\nndarray\nK\x01\x85\x81.", "NEWOBJ is refused"),
    "NEWOBJ_EX": (b"cnumpy\nndarray\nK\x01\x85}\x92.", "NEWOBJ_EX is refused"),
    "REDUCE": (SYSTEM + ARGUMENT + b"\x85R.", "GLOBAL names 'posix.system'"),
    "REDUCE of an array": (b"cnumpy\nndarray\nK\x01\x85R.", "REDUCE of 'numpy.ndarray'"),
    "REDUCE of a string": (b"U\x01aK\x01\x85R.", "REDUCE of a bytes is refused"),
    "REDUCE without arguments": (b"cnumpy\nndarray\nK\x01R.", "REDUCE of 'numpy.ndarray'"),
    "REDUCE of another codec": (
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
        "REDUCE of '_codecs.encode' is refused",
    ),
    "BUILD": (b"cnumpy\nndarray\n}b.", "BUILD of 'numpy.ndarray' is refused"),
    "BUILD of a dictionary": (b"}}b.", "BUILD of a dict is refused"),
    "EXT1": (b"\x82\x01.", "EXT1 of '1' is refused"),
    "EXT2": (b"\x83\x01\x00.", "EXT2 of '1' is refused"),
    "EXT4": (b"\x84\x01\x00\x00\x00.", "EXT4 of '1' is refused"),
    "PERSID": (b"Pmarker\n.", "PERSID of 'marker' is refused"),
    "BINPERSID": (ARGUMENT + b"Q.", "BINPERSID is refused"),
    "NEXT_BUFFER": (b"\x97.", "NEXT_BUFFER is refused"),
    "a name as the result": (b"cnumpy\nndarray\n.", "'numpy.ndarray' is left"),
    "a name in a list": (b"]cnumpy\nndarray\na.", "'numpy.ndarray' is left"),
    "objects": (b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.", "an array of 'O8' is refused"),
    "a tuple as a key": (b"})K\x01s.", "a tuple as a key is refused"),
    "an append to a name": (b"cnumpy\nndarray\nK\x01a.", "APPEND to 'numpy.ndarray' is refused"),
    "a set of a name": (b"cnumpy\nndarray\nK\x01K\x01s.", "SETITEM to 'numpy.ndarray' is refused"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_execute_nothing(name, tmp_path, monkeypatch):
    data, expected = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(copyreg._inverted_registry, 1, ("posix", "system"))
    with pytest.raises(UserError) as caught:
        read_inert_pickle(data, "a.pkl")
    assert str(caught.value).startswith("a.pkl: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_every_opcode_is_known_or_refused():
    # The opcodes that build plain data; whatever a later Python adds is refused.
    reached = {name.split(" ")[0] for name in HOSTILE}
    dangerous = {
        "INST",
        "OBJ",
        "NEWOBJ",
        "NEWOBJ_EX",
        "EXT1",
        "EXT2",
        "EXT4",
        "PERSID",
        "BINPERSID",
    }
    assert dangerous | {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"} <= reached
    assert dangerous <= {opcode.name for opcode in pickletools.opcodes}


@pytest.mark.parametrize("length", range(len(PYTHON_2)))
def test_cut_off_anywhere(length):
    with pytest.raises(UserError, match="^a: not a pickle, or damaged|^a: damaged"):
        read_inert_pickle(PYTHON_2[:length], "a")


DAMAGED = {
    "empty": b"",
    "no pickle": b"\xff\xd8\xff\xe0",
    "nothing on the stack": b".",
    "two values": b"K\x01K\x02.",
    "no mark": b"K\x01t.",
    "a mark as a value": b"(\x85.",
    "no such memo": b"h\x07.",
    "an odd dictionary": b"(K\x01d.",
    "a digit too many": b"L" + b"9" * 5000 + b"L\n.",
    "bytes beyond the end": b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(name):
    with pytest.raises(UserError, match=r"^a: (not a pickle, or )?damaged"):
        read_inert_pickle(DAMAGED[name], "a")


def test_arrays_that_their_bytes_do_not_fill():
    data = PYTHON_2.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86")
    with pytest.raises(UserError, match=r"6 bytes for an array of shape \(2, 4\)"):
        read_inert_pickle(data, "a")


def test_small_files_stay_small():
    doubled = b"]" + b"2\x86" * 200 + b"."  # a tree of 2**200 leaves, all of them the same
    with pytest.raises(UserError, match="a tuple as a key is refused"):
        read_inert_pickle(b"}" + doubled[:-1] + b"K\x01s.", "a")
    assert isinstance(read_inert_pickle(doubled, "a"), tuple)
