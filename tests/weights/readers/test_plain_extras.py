"""What stands beside tensors is plain data, a tree of bounded size, or left out."""

import collections

import numpy as np
import torch

from resnext_det.weights.readers.plain_extras import plain_extras


class Config(dict):
    """A dictionary of some library's."""


def test_plain_data_are_copied_as_they_are():
    Point = collections.namedtuple("Point", "x y")
    entries = {
        "a": [1, 2.5, "b", None, True, b"c", (1, (2,)), {3}, frozenset([4])],
        "dict": Config(x=Config(y=[1])),
        "point": Point(1, 2),
        "array": np.ones(2),
        5: "no text as a name",
    }
    copies = plain_extras(entries)
    assert list(copies) == ["a", "dict", "point", "array"]
    assert copies["a"] == entries["a"]
    assert copies["a"] is not entries["a"]
    assert type(copies["dict"]["x"]) is dict
    assert copies["point"] == (1, 2)
    assert plain_extras({}) == {}


def test_tensors_and_objects_are_left_out_wherever_they_stand():
    entries = {"t": torch.ones(1), "o": object(), "in": {"a": [object(), 1], "t": torch.ones(1)}}
    assert plain_extras(entries) == {"in": {"a": [1]}}


def test_what_nobody_could_walk_is_left_out():
    cycle: list = [1]
    cycle.append(cycle)
    deep: list = []
    for _ in range(10_000):
        deep = [deep]
    shared: list = [1]
    for _ in range(20):
        shared = [shared, shared, shared]
    assert plain_extras({"cycle": cycle, "deep": deep, "first": 1, "shared": shared}) == {
        "first": 1
    }
