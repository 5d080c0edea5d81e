"""A loader's worker whose process is gone while it fetches a batch."""

import subprocess
import sys

import pytest

# Both ends of a hand-over in one process: the sharer's thread, and callers that hang up.
HANG_UP = """
import os, socket, sys
from multiprocessing import resource_sharer
from resnext_det.data.worker_endings import quiet_worker
{prepare}
fetched = resource_sharer.DupFd(os.open(os.devnull, os.O_RDONLY))
address, _ = fetched._id
for _ in range(3):
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(address)
    caller.close()
os.close(fetched.detach())  # answered after the others
"""
FAIL = """
import sys
from resnext_det.data.worker_endings import quiet_worker
quiet_worker(0)
raise ValueError("anything else")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="descriptors travel by AF_UNIX")
@pytest.mark.parametrize(
    ("prepare", "tracebacks"), [("", 3), ("quiet_worker(0)", 0)], ids=["python's", "ours"]
)
def test_a_batch_not_fetched_to_its_end_is_not_told(prepare: str, tracebacks: int) -> None:
    assert _said(HANG_UP.format(prepare=prepare)).count("Traceback") == tracebacks


def test_any_other_error_is_told_as_ever() -> None:
    assert _said(FAIL, status=1).endswith("ValueError: anything else\n")


def _said(code: str, status: int = 0) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == status, ended.stderr
    return ended.stderr
