"""What a verb measured: on the terminal, or with --json in a file or on stdout. Engine-neutral."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from resnext_det.errors import UserError
from resnext_det.replacing import check_json_replaceable
from resnext_det.weights.side_car import path_beside
from resnext_det.whole_files import write_text_safe

STDOUT = "-"
_WIDTH_OF_A_PIPE = 140  # columns; a pipe or a file gets lines long enough for every name


def check_json(file: str | None, used: Iterable[Path] = ()) -> None:
    """Checks that `--json FILE` can be written, before anything is measured.

    Args:
        file: of the option.
        used: JSON files that the verb reads, and whatever else it writes.

    Raises:
        UserError: it is a folder, or its folder is not there or not ours; it is one of the files
            that are used, or there and no JSON, as weights, configs and images are.
    """
    if not file or file == STDOUT:
        return
    path = Path(file)
    if path.is_dir():
        raise UserError(f"--json {path}: is a folder")
    if not path.parent.is_dir():
        raise UserError(f"--json {path}: No such file or directory: {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"--json {path}: Permission denied")
    check_json_replaceable(path, used)


def files_of_weights(*names: str) -> list[Path]:
    """Returns weights that are given by their files, and the side-cars beside them."""
    files = [Path(name).expanduser() for name in names if name]
    return [*files, *map(path_beside, files)]


def write_json(file: str | None, content: Any) -> None:
    """Writes what was measured, if `--json FILE` was given.

    Args:
        file: of the option; "-" for stdout.
        content: numbers, strings, lists and mappings.

    Raises:
        UserError: the disk refuses it.
    """
    if not file:
        return
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if file == STDOUT:
        _write_stdout(text)
        return
    path = Path(os.path.realpath(file))  # a link stays, and what it leads to is replaced
    if path.is_file() or not path.exists():
        write_text_safe(path, text)
        return
    try:  # a pipe or a device, which is none to be put another in its place
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--json {file}: {error.strerror}") from error


def open_console(json_file: str | None = None) -> Console:
    """Returns the terminal; a pipe or a file gets lines long enough for every name.

    Args:
        json_file: of `--json`; with "-" the JSON is all that is printed.
    """
    if json_file == STDOUT:
        return Console(quiet=True)
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_A_PIPE)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Shows on a terminal what goes on while the block runs, and nothing in a pipe.

    Yields:
        A function that takes the words.
    """
    console = Console(stderr=True)
    with console.status("") as shown:
        yield lambda words: shown.update(Text(words))


def _write_stdout(text: str) -> None:
    """Writes to stdout; a reader that has had enough, as `head` has, is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at its end (library/signal, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
