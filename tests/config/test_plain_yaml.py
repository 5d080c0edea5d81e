"""Texts that would keep a YAML reader busy, and are refused at once. Engine-neutral."""

from pathlib import Path

import pytest

from resnext_det.config import find_config, load_config
from resnext_det.config.coerce import coerce
from resnext_det.config.loader import read_chain
from resnext_det.config.plain_yaml import (
    MOST_CHARACTERS,
    NotPlainYAMLError,
    read_plain_yaml,
)
from resnext_det.errors import UserError


def bomb(levels: int, width: int = 9) -> str:
    """The "billion laughs": each name stands for several of the one before."""
    lines = ["a0: &a0 [lol]"]
    for level in range(1, levels):
        names = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{names}]")
    return "\n".join(lines)


def merge_bomb(levels: int) -> str:
    lines = ["a0: &a0 {k: 1}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {{<<: [*a{level - 1}, *a{level - 1}]}}")
    return "\n".join(lines)


def staircase(levels: int) -> str:
    """Names that each add some depth to the one before."""
    lines = ["a0: &a0 []"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {'[' * 20}*a{level - 1}{']' * 20}")
    return "\n".join(lines)


REFUSED = {
    "billion laughs": (bomb(12), "its names for parts (&, *) stand for more than 200,000 values"),
    "merged keys": (merge_bomb(40), "its names for parts (&, *) stand for more than 200,000"),
    "staircase": (staircase(30), "it is nested deeper than 50 levels"),
    "endless list": ("a: &a [*a]", "a part of it contains itself"),
    "endless mapping": ("&a {b: *a}", "a part of it contains itself"),
    "deep": ("[" * 60 + "]" * 60, "it is nested deeper than 50 levels"),
    "deeper": ("[" * 1_000, "it is nested deeper than 50 levels"),
    "deep blocks": (
        "\n".join(" " * n + "a:" for n in range(600)),
        "it is nested deeper than 50 levels",
    ),
    "long": ("a: " + "b" * MOST_CHARACTERS, "it has 1,000,003 characters; at most 1,000,000"),
    "long number": ("a: " + "9" * 20_000, "a number of 20000 characters"),
    "sexagesimal": ("a: 1" + ":1" * 20_000, "a number of 40001 characters"),
    "no date": ("a: 2020-99-99", "it has a value that is none"),
    "no binary": ("a: !!binary ä", "failed to convert base64 data into ascii"),
    "a function": ("a: !!python/object/apply:os.system ['true']", "could not determine a constr"),
    "a name": ("a: !!python/name:os.system", "could not determine a constructor"),
    "a tuple": ("a: !!python/tuple [1]", "could not determine a constructor"),
    "own tag": ("a: !shell true", "could not determine a constructor for the tag '!shell'"),
    "twice": ("a: 1\nb: 2\na: 3", "a is written twice"),
    "two documents": ("a: 1\n---\nb: 2", "but found another document"),
    "no name": ("a: *b", "found undefined alias 'b'"),
    "a list as key": ("? [a]\n: 1", "found unhashable key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case: str, tmp_path: Path) -> None:
    text, reason = REFUSED[case]
    with pytest.raises(NotPlainYAMLError) as error:
        read_plain_yaml(text)
    assert reason in str(error.value)
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        load_config(str(path))
    assert str(refused.value).startswith(f"{path}:")
    assert "not plain YAML" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400 + len(str(path))


def test_names_for_parts_are_taken_where_they_stay_small() -> None:
    text = "a: &a {k: [1, 2.5]}\nb: {<<: *a, l: *a}\nc: 2020-01-02\n"
    read = read_plain_yaml(text)
    assert read["b"] == {"k": [1, 2.5], "l": {"k": [1, 2.5]}}
    assert read_plain_yaml(bomb(4))["a3"][8][8][8] == ["lol"]
    assert read_plain_yaml("") is None


def test_a_value_from_the_command_line_is_no_way_round() -> None:
    text = "{" + ", ".join(bomb(12).splitlines()) + "}"
    with pytest.raises(UserError, match="got the str") as error:
        coerce(text, [1], key="SOLVER.STEPS", where="command line")
    assert len(str(error.value)) < 3000


def test_a_chain_of_short_files_stays_short(tmp_path: Path) -> None:
    for level in range(8):
        bases = f"_BASE_: [{', '.join([f'{level + 1}.yaml'] * 9)}]" if level < 7 else ""
        (tmp_path / f"{level}.yaml").write_text(f"{bases}\n")
    with pytest.raises(UserError, match=r"0.yaml: its _BASE_ chain reads more than 64 files$"):
        read_chain(str(tmp_path / "0.yaml"))


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("a.yaml", "_BASE_ goes round in a circle"),
        ("https://example.org/a.yaml", "a config is read from a file; download it first"),
        ("file:///etc/passwd", "a config is read from a file; download it first"),
        ("/dev/zero", "is no plain file"),
        ("/", "is a folder, not a config file"),
        ("pipe", "is no plain file"),
        ("resnext_det://../../setup.yaml", "leaves the folder of the installed configs"),
        ("resnext_det:///etc/passwd", "leaves the folder of the installed configs"),
        ("~nobody-of-that-name/a.yaml", "no config file"),
        ('"a\\0b"', "'a\\\\x00b' cannot be the name of a config file"),
        ("b" * 5000, "cannot be the name of a config file"),
        ("b" * 300, "cannot be read (File name too long)"),
    ],
    ids=lambda text: text[:30],
)
def test_odd_bases_are_refused(tmp_path: Path, base: str, reason: str) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.yaml").write_text(f"_BASE_: {base}\n")
    with pytest.raises(UserError) as error:
        load_config(str(tmp_path / "a.yaml"))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 700 + 2 * len(str(tmp_path))


def test_shipped_configs_are_found_as_before() -> None:
    assert find_config("resnext_det://Base-RCNN-FPN.yaml").is_file()
