"""Mutations of JSON values, so that most inputs pass the parser. Engine-neutral.

A value, a key or an item is changed, moved, repeated or left out; numbers and texts go to what
readers trip over. Tokens that Python's writer has not (1e400, -0) are put in as text.
"""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

_RAW = "@raw:"
_TOKENS = ("1e400", "-1e400", "-0", "-0.0", "1E5", "NaN", "Infinity", "-Infinity", "01", "1e-400")
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 5, 0.5, 1.5, -0.5, 1e-9, 1e-300, 1e9, 1e20, 1e30, 1e38, 1e39, 1e155, 1e300,
    255, 256, 2**15, 2**16, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63,
    -(2**63), 2**64, 10**30, 10**309, 10**400, -(10**400), 10**4000, True, False, None,
)  # fmt: skip
TEXTS = (
    "", " ", "a", "0", "1", "1.0", "1e3", "-5", "12.5", "1e999", "nan", "inf", "null", "true",
    "a.png", "b.png", "../a.png", "/etc/passwd", "a/../../b", ".", "..", "C:\\a.png", "x\\a.png",
    "a\0b", "a\nb", "\x1b[31mred", "\ud800", "é" * 200, "a" * 5000, "%s%d%n", "{0}", "{{7*7}}",
    "<script>alert(1)</script>", "'\"><img src=x onerror=a>", "javascript:alert(1)", "&lt;b>",
    "__class__", "http://localhost/", "data:text/html,<b>", "\u202e", "1" * 5000, "9" * 400,
)  # fmt: skip
_SHORT = 12  # times that an item is repeated at most, but seldom
_Path = tuple[Any, ...]


def mutate_json(draw: random.Random, data: bytes) -> bytes:
    """Returns a mutation of a JSON text; of bytes that are none, one of the bytes."""
    if draw.random() < 0.04:
        return mutate_bytes(draw, data)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(draw, data)
    try:
        for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 6))):
            value = mutate_value(draw, value)
        return written(value)
    except (ValueError, RecursionError):  # numbers of more digits, or depth, than Python writes
        return mutate_bytes(draw, data)


def mutate_bytes(draw: random.Random, data: bytes) -> bytes:
    """Returns bytes with some changed, left out, put in or repeated."""
    place = draw.randrange(len(data) + 1)
    kind = draw.randrange(5)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + data[place + draw.choice((1, 2, 8)) :]
    if kind == 2:
        return data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]
    if kind == 3:
        return data[:place] + data[place : place + 20] * draw.choice((2, 3, 50)) + data[place:]
    token = draw.choice((*_TOKENS, *TEXTS[:20], "[", "]", "{", "}", ",", '"', ":", "[" * 3000))
    return data[:place] + token.encode("utf-8", "surrogatepass") + data[place:]


def written(value: Any) -> bytes:
    """Returns a value as JSON text, raw tokens in it as they are."""
    text = json.dumps(value, ensure_ascii=True)
    for token in _TOKENS:
        text = text.replace(f'"{_RAW}{token}"', token)
    return text.encode()


def mutate_value(draw: random.Random, value: Any) -> Any:
    """Returns a JSON value with one place changed; may change it in place."""
    places = list(_places(value))
    path = draw.choice(places)
    if not path:
        return draw.choice((value, value, [value], {"a": value}, odd_value(draw)))
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    key = path[-1]
    draw.choice(
        (_set, _set, _near, _near, _near, _near, _copy, _copy, _drop, _repeat, _wrap, _key)
    )(draw, value, parent, key, places)
    return value


def odd_value(draw: random.Random) -> Any:
    """Returns a value that readers may trip over."""
    kind = draw.random()
    if kind < 0.45:
        return draw.choice(NUMBERS)
    if kind < 0.6:
        return _RAW + draw.choice(_TOKENS)
    if kind < 0.85:
        return draw.choice(TEXTS)
    return copy.deepcopy(draw.choice(([], {}, [[]], [{}], [0, 0, 0, 0], [1] * 6, {"a": 1}, [None])))


def _places(value: Any, path: _Path = ()) -> Iterator[_Path]:
    """Yields the path to every value in a value, its own, (), too; not too deep ones."""
    yield path
    if len(path) > 40:
        return
    if isinstance(value, dict):
        for key in value:
            yield from _places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from _places(value[index], (*path, index))


def _at(value: Any, path: _Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _set(draw: random.Random, root: Any, parent: Any, key: Any, places: list[_Path]) -> None:
    parent[key] = odd_value(draw)


def _near(draw: random.Random, root: Any, parent: Any, key: Any, places: list[_Path]) -> None:
    """Changes a number or a text a little, or to the same as a text or a number."""
    old = parent[key]
    if isinstance(old, bool) or old is None:
        parent[key] = draw.choice((not old, int(bool(old)), None))
    elif isinstance(old, int | float):
        parent[key] = draw.choice(
            (
                -old,
                old + 1,
                old - 1,
                old * 2,
                float(old) if abs(old) < 1e300 else 0,
                round(draw.uniform(0, 60) * 2) / 2,
                draw.randrange(4),
                str(old)[:400],
            )
        )
    elif isinstance(old, str):
        parent[key] = draw.choice((old[:-1], old + "x", old.upper(), old[::-1], old * 2))
    elif isinstance(old, list):
        draw.shuffle(old)
    else:
        parent[key] = dict(draw.sample(list(old.items()), len(old)))


def _copy(draw: random.Random, root: Any, parent: Any, key: Any, places: list[_Path]) -> None:
    """Puts a value of another place here: an id that another has, a list where a number was."""
    found = copy.deepcopy(_at(root, draw.choice(places)))
    if len(json.dumps(found)) < 3000:
        parent[key] = found


def _drop(draw: random.Random, root: Any, parent: Any, key: Any, places: list[_Path]) -> None:
    del parent[key]


def _repeat(draw: random.Random, root: Any, parent: Any, key: Any, places: list[_Path]) -> None:
    if isinstance(parent, list):
        times = draw.randrange(1, _SHORT) if draw.random() < 0.97 else 200
        parent[key:key] = [copy.deepcopy(parent[key]) for _ in range(times)]
    else:
        parent[f"{key}{draw.choice(('', 's', '2', ' '))}"] = copy.deepcopy(parent[key])


def _wrap(draw: random.Random, root: Any, parent: Any, key: Any, places: list[_Path]) -> None:
    old = parent[key]
    if isinstance(old, list) and len(old) == 1 and draw.random() < 0.5:
        parent[key] = old[0]
    else:
        parent[key] = draw.choice(([old], {"a": old}, [old, copy.deepcopy(old)]))


def _key(draw: random.Random, root: Any, parent: Any, key: Any, places: list[_Path]) -> None:
    """Gives an object a key that another object of the file has."""
    names = [step for path in places for step in path if isinstance(step, str)]
    if isinstance(parent, dict) and names:
        parent[draw.choice(names)] = (
            parent.pop(key) if draw.random() < 0.5 else copy.deepcopy(parent[key])
        )
