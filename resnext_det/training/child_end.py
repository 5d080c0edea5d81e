"""How a process that was started for a run ends, and what a crash of it leaves. Engine-neutral."""

import atexit
import contextlib
import faulthandler
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

_LINE = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>.+)$', re.M)


def leave(status: int) -> NoReturn:
    """Ends this process as one that was forked ends: without taking the interpreter apart.

    Taking it apart destroys objects of C++ that threads of its own (gloo's, autograd's) may be
    using, while the connections to the other processes break off; and with torch it takes a
    second. What is registered with `atexit` is done, loaders' workers among it.
    """
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()  # as the end of the interpreter begins
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


@contextmanager
def crashes_told(folder: Path, rank: int) -> Iterator[None]:
    """In the body, a crash leaves in the folder where each thread was: see `crash_of`."""
    with open(_path(folder, rank), "w") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()


def crash_of(folder: Path, rank: int) -> tuple[str, str]:
    """Returns what a process has left that a signal of its own, as SIGABRT, has ended.

    Returns:
        The innermost line of Python at which it was, as "file.py:12, in name"; and the whole text.
        Both are empty where there is none, as after SIGKILL.
    """
    try:
        text = _path(folder, rank).read_text(errors="replace")
    except OSError:
        return "", ""
    found = _LINE.search(text[max(0, text.find("Current thread")) :])
    if found is None:
        return "", text
    return f"{Path(found['file']).name}:{found['line']}, in {found['function']}", text


def _path(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.crash"
