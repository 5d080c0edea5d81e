"""A second signal ends a process that waits where Python takes none. Engine-neutral."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from resnext_det.training import second_signal
from resnext_det.training.preemption import SIGNALS, Preempted, current, handled

WAITING = """
import hashlib, os, signal, sys
from resnext_det.training import second_signal
from resnext_det.training.preemption import handled

second_signal.SAME = float(sys.argv[1])
with handled() as told, told.finishing():
    print("ready", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # hours without a step of Python
"""


def test_it_ends_a_process_in_the_middle_of_compiled_code():
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, "0"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said, errors = process.communicate("\n", timeout=300)
    assert said == "ready\n"
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGUSR1)
    assert errors.startswith("ended by a second signal, SIG"), errors
    assert errors.endswith(": nothing after the last checkpoint is kept\n"), errors


def test_one_that_comes_with_the_first_changes_nothing():
    with handled() as told, told.finishing():
        for number in SIGNALS:
            signal.raise_signal(number)
        assert told.signal == "SIGTERM"
    assert not current().installed


def test_who_ends_by_itself_is_not_ended(monkeypatch):
    monkeypatch.setattr(second_signal, "SAME", 0.0)
    with handled() as told, told.finishing():
        told.over = True
        with pytest.raises(Preempted):
            signal.raise_signal(signal.SIGTERM)
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", SIGNALS, ids=[number.name for number in SIGNALS])
def test_signals_to_a_forked_process_are_its_own(monkeypatch, number):
    monkeypatch.setattr(second_signal, "SAME", 0.0)

    def signalled():
        for _ in range(3):
            os.kill(os.getpid(), number)
        os._exit(5)

    with handled() as told:
        worker = multiprocessing.get_context("fork").Process(target=signalled)
        worker.start()
        worker.join(60)
        assert worker.exitcode == 5
        assert not told.wanted


def test_what_was_there_before_is_there_again():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        with handled():
            assert signal.set_wakeup_fd(-1) != writer
        assert signal.set_wakeup_fd(-1) == writer
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
