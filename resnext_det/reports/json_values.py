"""Values of a result JSON, each named where it is not what it should be. Engine-neutral."""

import math
from collections.abc import Mapping
from typing import Any


class MalformedError(ValueError):
    """A value is missing or of another kind; the message says where and what is expected."""


class Entry:
    """An object of a result JSON and the place where it stands, for messages.

    Args:
        value: what the JSON has there.
        where: its place, for example "rows[3]"; empty for the whole file.

    Raises:
        MalformedError: it is no JSON object.
    """

    def __init__(self, value: Any, where: str = "") -> None:
        if not isinstance(value, Mapping):
            raise MalformedError(f"{where or 'the file'} is {_kind(value)}, not an object")
        self.value: Mapping[str, Any] = value
        self.where = where

    def place(self, key: str) -> str:
        """Returns where `key` stands, for messages."""
        return f"{self.where}.{key}" if self.where else key

    def required(self, key: str) -> Any:
        """Returns a value that must be there.

        Raises:
            MalformedError: it is not.
        """
        if key not in self.value:
            raise MalformedError(f"{self.place(key)} is missing")
        return self.value[key]

    def text(self, key: str, default: str | None = None) -> str:
        """Returns a string; `default` where it is absent or null, unless that is None.

        Raises:
            MalformedError: it is no string, or absent without a default.
        """
        value = self.required(key) if default is None else self.value.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise MalformedError(f"{self.place(key)} is {_kind(value)}, not a string")
        return value

    def number(self, key: str) -> float:
        """Returns a finite number.

        Raises:
            MalformedError: it is absent or none.
        """
        return number(self.required(key), self.place(key))

    def maybe_number(self, key: str) -> float | None:
        """Returns a finite number, or None where it is absent or null.

        Raises:
            MalformedError: it is something else.
        """
        value = self.value.get(key)
        return None if value is None else number(value, self.place(key))

    def maybe_count(self, key: str) -> int | None:
        """Returns a whole number, or None where it is absent or null.

        Raises:
            MalformedError: it is something else.
        """
        value = self.maybe_number(key)
        if value is not None and value != int(value):
            raise MalformedError(f"{self.place(key)} is {value!r}, not a whole number")
        return None if value is None else int(value)

    def items(self, key: str) -> list[Any]:
        """Returns a list; an empty one where it is absent or null.

        Raises:
            MalformedError: it is something else.
        """
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise MalformedError(f"{self.place(key)} is {_kind(value)}, not a list")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """Returns a list of finite numbers; see `items`."""
        place = self.place(key)
        return tuple(number(v, f"{place}[{i}]") for i, v in enumerate(self.items(key)))

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns a list of strings; see `items`."""
        for index, value in enumerate(self.items(key)):
            if not isinstance(value, str):
                raise MalformedError(f"{self.place(key)}[{index}] is {_kind(value)}, not a string")
        return tuple(self.items(key))

    def entry(self, key: str) -> "Entry":
        """Returns an object; an empty one where it is absent or null."""
        value = self.value.get(key)
        return Entry({} if value is None else value, self.place(key))

    def entries(self, key: str) -> list["Entry"]:
        """Returns a list of objects; see `items`."""
        place = self.place(key)
        return [Entry(value, f"{place}[{i}]") for i, value in enumerate(self.items(key))]


def number(value: Any, place: str) -> float:
    """Returns a finite number.

    Args:
        value: what the JSON has.
        place: where, for the message.

    Raises:
        MalformedError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedError(f"{place} is {_kind(value)}, not a number")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        raise MalformedError(f"{place} is {_kind(value)}, which no float holds") from None
    if not finite:
        raise MalformedError(f"{place} is {value}, not a finite number")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, Mapping):
        return "an object"
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
