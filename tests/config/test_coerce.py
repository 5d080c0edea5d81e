"""Types of values: what is converted, and what is refused in which words."""

import math

import pytest

from resnext_det.config.coerce import coerce
from resnext_det.errors import UserError


def convert(value, default, key="GROUP.KEY"):
    return coerce(value, default, key=key, where="a.yaml")


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        ("1e-4", 0.1, 1e-4),  # YAML 1.1 wants a point, and reads a word
        ("1.0e-4", 0.1, 1e-4),
        (1, 0.1, 1.0),
        ("2", 0.1, 2.0),
        (".inf", 2.0, math.inf),
        ("7", 1, 7),
        ("-1", 1, -1),
        (True, False, True),
        ("True", False, True),
        ("false", True, False),
        ("name", "", "name"),
        ("123", "", "123"),
        ("'quoted'", "", "quoted"),
        ("it's", "", "it's"),
        ("'", "", "'"),
        ([1, 2], [3], [1, 2]),
        ((1, 2), [3], [1, 2]),
        ("(60000, 80000)", [1], [60000, 80000]),  # Detectron2's own files
        ("60000,80000", [1], [60000, 80000]),
        ("[a, b]", ["x"], ["a", "b"]),  # as a shell leaves it
        ('["a"]', [], ["a"]),
        (["1e-4", 1], [0.5], [1e-4, 1]),
        ([32.5, 64], [32], [32.5, 64]),
        ([[8], [16]], [[32, 64]], [[8], [16]]),
        ([(8,), (16,)], [[32, 64]], [[8], [16]]),
        ([("a", 1)], [], [["a", 1]]),
        ([], [1], []),
        ([], [], []),
    ],
)
def test_converted(value, default, expected):
    result = convert(value, default)
    assert result == expected
    assert type(result) is type(default)


@pytest.mark.parametrize("value", [None, "None", "null"])
def test_null_where_it_has_a_meaning(value):
    assert convert(value, None, key="SOLVER.WEIGHT_DECAY_BIAS") is None
    assert convert(value, 0.0, key="SOLVER.WEIGHT_DECAY_NORM") is None


@pytest.mark.parametrize("value", [1, "1e0", 1.0])
def test_a_number_for_a_null_default_is_a_float(value):
    result = convert(value, None, key="SOLVER.WEIGHT_DECAY_BIAS")
    assert (result, type(result)) == (1.0, float)


@pytest.mark.parametrize(
    ("value", "default", "message"),
    [
        ("fast", 0.1, r"a.yaml: GROUP.KEY is a float \(such as 0.1\), got the str 'fast'"),
        (2**63, 1, "a.yaml: GROUP.KEY has a whole number beyond 64 bits"),
        ("0x" + "f" * 4000, 0.5, "a.yaml: GROUP.KEY has a whole number beyond 64 bits"),
        ([[1, -(2**64)]], [], "a.yaml: GROUP.KEY has a whole number beyond 64 bits"),
        ("(1j, 2)", [], "a.yaml: an item of GROUP.KEY is a complex"),
        (1.5, 1, r"GROUP.KEY is an int \(such as 1\), got the float 1.5"),
        (True, 1, "got the bool True"),
        (True, 0.5, "is a float .* got the bool True"),
        (1, True, "is a bool .* got the int 1"),
        (None, 0.1, "got nothing"),
        (None, "", "got nothing"),
        (3, "", "is a str .* got the int 3"),
        (True, "none", "got the bool True; put quotes around the word"),
        ("coco", [], r"is a list .* got the str 'coco'; write \['coco'\]"),
        (800, [640], r"is a list .* got the int 800; write \[800\]"),
        ([640, "big"], [640], "a.yaml: an item of GROUP.KEY is an int .* got the str 'big'"),
        ([8, 16], [[32]], r"an item of GROUP.KEY is a list .* got the int 8; write \[8\]"),
        ([[1]], [1.0], "an item of GROUP.KEY is a float .* got the list"),
        ([1], ["res4"], "an item of GROUP.KEY is a str .* got the int 1"),
        ({"a": 1}, 0.1, "got the dict"),
        ("a: 1", 0.1, "got the dict"),
    ],
)
def test_refused(value, default, message):
    with pytest.raises(UserError, match=message) as error:
        convert(value, default)
    assert "\n" not in str(error.value)
