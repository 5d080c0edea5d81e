"""Interrupts that wait until what was started is known."""

import signal
import threading

import pytest

from projects.studies.running.interrupts import interrupts_wait


def test_a_block_comes_to_its_end_first() -> None:
    before, done = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with interrupts_wait():
            signal.raise_signal(signal.SIGINT)
            done.append("block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["block"]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_that_was_there_gets_the_signal() -> None:
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("handler"))
    try:
        with interrupts_wait():
            signal.raise_signal(signal.SIGTERM)
            came.append("block")
        with interrupts_wait():
            pass
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == ["block", "handler"]


def test_other_threads_have_none_to_wait_for() -> None:
    done = []

    def work() -> None:
        with interrupts_wait():
            done.append("block")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["block"]
