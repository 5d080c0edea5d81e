"""Each contestant is alone in its process, and says what it lacks."""

import os
import signal
import time
from functools import partial

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.timing import processes
from resnext_det.timing.alternation import alternate_measures
from resnext_det.timing.processes import Contestant, ContestantError, Contestants

STATE = {"set": 0}


def set_and_tell(value):
    def act(request):
        if request == "end":
            os.kill(os.getpid(), signal.SIGKILL)
        if request == "fail":
            raise RuntimeError("CUDA out of memory. Tried\nto allocate 3 GB")
        STATE["set"] += value
        return os.getpid(), STATE["set"], request

    return act


def misbuilt():
    raise UserError("no such network")


def sleep_long():
    return lambda request: time.sleep(600)


def tell_threads():
    return lambda request: torch.get_num_threads()


def test_contestants_do_not_share_a_process():
    with Contestants() as contestants:
        values = {"one": 1, "ten": 10}
        builders = {name: partial(set_and_tell, value) for name, value in values.items()}
        builders["none"] = misbuilt
        contestants.open({name: Contestant(b) for name, b in builders.items()}, ["warm"])
        opened = contestants.opened
        one, ten = opened["one"].ask("a"), opened["ten"].ask("b")
        assert one.value[1:] == (2, "a")  # once for the warm-up
        assert ten.value[1:] == (20, "b")
        assert len({one.value[0], ten.value[0], os.getpid()}) == 3
        assert STATE["set"] == 0
        assert one.seconds.keys() == {"wall", "cpu"}
        assert one.peak > 2**20
        measures = {name: lambda c=c: c.ask("c").seconds for name, c in opened.items()}
        rounds = alternate_measures(measures, 2)
    assert [len(found) for found in rounds.values()] == [2, 2]
    assert list(opened) == ["one", "ten"]
    assert contestants.skipped == {"none": "no such network"}


def test_one_that_fails_goes_on_and_one_that_is_ended_does_not():
    with Contestant(partial(set_and_tell, 1)) as contestant:
        with pytest.raises(ContestantError) as caught:
            contestant.ask("fail")
        assert str(caught.value) == "RuntimeError: CUDA out of memory. Tried"
        assert caught.value.out_of_memory
        assert contestant.ask("again").value[1:] == (1, "again")
        for _ in range(2):
            with pytest.raises(ContestantError, match="ended by signal 9") as caught:
                contestant.ask("end")
            assert caught.value.out_of_memory


def test_one_that_is_at_work_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 0.1)
    contestant = Contestant(sleep_long)
    with contestant:
        contestant._connection.send(None)
    assert contestant._process.exitcode == -signal.SIGKILL


def test_threads_are_those_of_the_process_that_asks():
    with Contestant(tell_threads) as contestant:
        assert contestant.ask().value == torch.get_num_threads()
