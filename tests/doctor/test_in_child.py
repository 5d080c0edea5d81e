"""Looks that answer, crash, fail or hang in a process of their own. Engine-neutral."""

import pytest

from resnext_det.doctor import in_child
from resnext_det.doctor.findings import fine, note
from resnext_det.doctor.in_child import look_in_child

MODULES = {
    "answering": (
        "import sys\n"
        "from resnext_det.doctor.findings import fine, note\n"
        "from resnext_det.doctor.in_child import answer\n"
        "print('a library says hello')\n"
        "answer([fine('a', sys.argv[1], number=3), note('b', 'odd', 'Leave it')])\n"
    ),
    "crashing": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "failing": "raise RuntimeError('no kernel image')\n",
    "hanging": "import time\ntime.sleep(600)\n",
}


@pytest.fixture
def look(tmp_path, monkeypatch):
    def run(name):
        (tmp_path / f"{name}_look.py").write_text(MODULES[name])
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
        return look_in_child("net", f"{name}_look", ["well"], "Mend it")

    return run


def test_an_answer(look):
    assert look("answering") == [fine("a", "well", number=3), note("b", "odd", "Leave it")]


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        ("crashing", "ended with SIGKILL", -9),
        ("failing", "ended with status 1: RuntimeError: no kernel image", 1),
    ],
)
def test_no_answer(name, text, status, look):
    (finding,) = look(name)
    assert (finding.verdict, finding.text, finding.advice) == ("problem", text, "Mend it")
    assert finding.facts == {"status": status}


def test_one_that_hangs(look, monkeypatch):
    monkeypatch.setattr(in_child, "SECONDS", 0.5)
    (finding,) = look("hanging")
    assert (finding.verdict, finding.text) == ("problem", "did not end within 0.5 s")
