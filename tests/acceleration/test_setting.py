"""A setting is written as a person reads it, and read back as it was."""

import itertools
import json

import pytest

from resnext_det.acceleration.setting import (
    EXACT,
    PRECISIONS,
    SWITCHES,
    Acceleration,
    acceleration_of_dict,
    acceleration_of_words,
)
from resnext_det.errors import UserError


def settings() -> list[Acceleration]:
    values = itertools.product(PRECISIONS, *([(False, True)] * len(SWITCHES)))
    names = ("precision", *SWITCHES)
    return [Acceleration(**dict(zip(names, row, strict=True))) for row in values]


def test_words_and_values_are_read_back() -> None:
    for setting in settings():
        assert acceleration_of_words(setting.words()) == setting
        values = json.loads(json.dumps(setting.to_dict()))
        assert acceleration_of_dict(values, "machine.json") == setting


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("exact", EXACT),
        ("float32", EXACT),
        ("channels_last", Acceleration(channels_last=True)),
        ("fold_norms,bfloat16", Acceleration("bfloat16", fold_norms=True)),
        (" float16+cuda_graphs ", Acceleration("float16", cuda_graphs=True)),
    ],
)
def test_words_in_any_order(words: str, expected: Acceleration) -> None:
    assert acceleration_of_words(words) == expected


def test_says_what_it_is() -> None:
    assert EXACT.words() == "exact"
    assert Acceleration("bfloat16", channels_last=True).words() == "bfloat16 channels_last"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fast", "--acceleration 'fast': not known: there are exact, float32, bfloat16"),
        (" ", "--acceleration is empty: give exact, float32"),
        ("exact compile", "--acceleration 'exact compile': exact stands alone"),
        ("float16 bfloat16", "names float16 and bfloat16: give one precision"),
    ],
)
def test_words_that_mean_nothing(words: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        acceleration_of_words(words)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layout": "NHWC"}, "machine.json: 'layout' is not known: there are channels_last"),
        ({"compile": 1}, "machine.json: compile is 1: give true or false"),
        ({"precision": "int8"}, "machine.json: precision 'int8': give float32 or bfloat16"),
    ],
)
def test_values_that_mean_nothing(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        acceleration_of_dict(values, "machine.json")
