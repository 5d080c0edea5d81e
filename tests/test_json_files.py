"""JSON files that cannot be, or must not be, read. Engine-neutral."""

import os
from pathlib import Path

import pytest

from resnext_det import json_files
from resnext_det.errors import UserError
from resnext_det.json_files import read_json


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_json(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_too_large_for_the_memory_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(10**9)  # a hole; nothing is on the disk
    monkeypatch.setattr(json_files, "available_memory", lambda: 6 * 10**9)
    assert refusal(path) == (
        "has 1.00 GB, which take about 6.50 GB of memory to read, but 6.00 GB are available; "
        "split it, or use a machine with more"
    )


@pytest.mark.parametrize("left", [None, 10**12])
def test_a_file_that_fits_or_may_fit_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int | None
) -> None:
    monkeypatch.setattr(json_files, "_SMALL", 1)
    monkeypatch.setattr(json_files, "available_memory", lambda: left)
    assert read_json(write(tmp_path, '{"a": 1}')) == {"a": 1}


def test_a_pipe_and_a_folder_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    assert refusal(tmp_path / "a.json") == "cannot be read (not a plain file)"
    assert refusal(tmp_path) == "cannot be read (Is a directory)"
    assert refusal(tmp_path / "b.json") == "cannot be read (No such file or directory)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": 2}', "not JSON: a second value begins at line 2 column 1; one with"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' is written twice in one object"),
        ("[" * 100_000, "not a JSON text file (nested too deep)"),
        ('{"a":' * 100_000, "not a JSON text file (nested too deep)"),
        ("9" * 5000, "not a JSON text file (ValueError)"),
        (b"\xff\xfe\x00", "not a JSON text file (UnicodeDecodeError)"),
        ("", "not JSON, or cut off: Expecting value at line 1 column 1"),
    ],
    ids=["NDJSON", "twice", "lists", "objects", "digits", "no text", "empty"],
)
def test_what_is_no_json_is_said_in_one_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    assert refusal(write(tmp_path, text)).startswith(message)


def test_a_key_written_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    """Of 100,000 keys; comparing each with all before it would take half an hour."""
    names = [*range(100_000), 99_999]
    text = "{" + ",".join(f'"k{name}":0' for name in names) + "}"
    assert refusal(write(tmp_path, text)).startswith("the key 'k99999' is written twice")
