"""What each entry of a side-car may be, wherever it was found. Engine-neutral."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from resnext_det.weights.convention import Convention

NORMS = ("BN", "affine", "GN")

_MAX_TEXT, _MAX_NAMES = 2000, 100_000
_MAX_PIXEL = 1.0e5  # no mean or std of 0-255 or 16-bit pixels is above it
_DEEPEST = 20  # levels of an entry that is a tree
# Control characters, which a terminal obeys, ends of lines, and halves of characters.
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONVENTION = {"format", "mean", "std", "stride_in_1x1"}


def checked_value(entry: str, value: Any) -> Any:
    """Returns an entry's value as the field of that name in SideCar has it.

    Args:
        entry: a field's name.
        value: as JSON gives it.

    Raises:
        ValueError: it is of another type, size or range; the text says what it has to be.
    """
    return _CHECKS[entry](value)


def checked_names(value: Any) -> tuple[str, ...]:
    """Returns the names of classes; raises ValueError if they are no list of distinct names."""
    right = isinstance(value, list | tuple) and len(value) <= _MAX_NAMES
    if not right or not all(isinstance(n, str) and len(n) <= _MAX_TEXT for n in value):
        raise ValueError("a list of names")
    if any(_UNSHOWN.search(name) for name in value):
        raise ValueError("a list of names of one line each, without control characters")
    if len(set(value)) < len(value):
        raise ValueError("a list that has no name twice")
    return tuple(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        raise ValueError(f"one line of text, of at most {_MAX_TEXT} characters")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("64 hexadecimal digits")
    return value


def _norm(value: Any) -> str:
    if value not in NORMS:
        raise ValueError(f"one of {', '.join(NORMS)}")
    return value


def _epsilon(value: Any) -> float:
    if not _is_number(value) or not 0.0 <= value < 1.0:
        raise ValueError("a number from 0 to 1")
    return float(value)


def _convention(value: Any) -> Convention:
    if not isinstance(value, Mapping) or set(value) != _CONVENTION:
        raise ValueError(f"an object of {', '.join(sorted(_CONVENTION))}")
    if value["format"] not in ("RGB", "BGR") or type(value["stride_in_1x1"]) is not bool:
        raise ValueError("of format RGB or BGR, and stride_in_1x1 true or false")
    mean, std = (_three(value[key]) for key in ("mean", "std"))
    if min(std) <= 0.0:
        raise ValueError("of a std above 0")
    return Convention(value["format"], mean, std, value["stride_in_1x1"])


def _three(value: Any) -> tuple[float, ...]:
    right = isinstance(value, list | tuple) and len(value) == 3
    if not right or not all(_is_number(v) and abs(v) <= _MAX_PIXEL for v in value):
        raise ValueError("of three numbers each for mean and std")
    return tuple(float(v) for v in value)


def _accuracy(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or not all(
        key.isprintable() and len(key) <= _MAX_TEXT and _is_number(number)
        for key, number in value.items()
    ):
        raise ValueError("an object of numbers")
    return {key: float(number) for key, number in value.items()}


def _tree(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("an object")
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner = (list(v.values()) if isinstance(v, Mapping) else v for v in level)
        level = [item for v in inner if isinstance(v, list) for item in v]
    if level:
        raise ValueError(f"an object of at most {_DEEPEST} levels")
    return dict(value)


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "origin": _text,
    "naming": _text,
    "architecture": _text,
    "convention": _convention,
    "norm": _norm,
    "norm_eps": _epsilon,
    "class_names": checked_names,
    "licence": _text,
    "accuracy": _accuracy,
    "sha256": _digest,
    "origin_sha256": _digest,
    "outputs": _tree,
}
