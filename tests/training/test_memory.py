"""The C library keeps what is freed, where it is told to."""

import subprocess
import sys

import pytest

from resnext_det.errors import UserError
from resnext_det.training import memory

CODE = """
import os, sys
from resnext_det.training.memory import keep_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
if sys.argv[1] == "kept":
    keep_memory()
before = resident()
block = bytearray(os.urandom(1) * (1 << 26))
del block
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(not memory.can_keep_memory(), reason="needs the GNU C library of Linux")
@pytest.mark.parametrize(("word", "kept"), [("kept", True), ("returned", False)])
def test_freed_memory_stays_where_it_is_kept(word: str, kept: bool) -> None:
    command = [sys.executable, "-c", CODE, word]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (int(finished.stdout) > 32) == kept  # MiB of the 64 that were freed


def test_another_c_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="keep_memory needs the GNU C library of Linux"):
        memory.keep_memory()
