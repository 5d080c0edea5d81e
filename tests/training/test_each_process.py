"""What each process has of its own, in one checkpoint and back."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from resnext_det.errors import UserError
from resnext_det.training import each_process
from resnext_det.training.each_process import OfEachProcess


class Count:
    """A number that a process has counted."""

    def __init__(self, value: float) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value = float(state["value"])

    def shared_anew(self, states: Sequence[Mapping[str, Any]], number: int) -> dict[str, Any]:
        return {"value": sum(state["value"] for state in states) / number}


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch):
    """Makes this one process of several that have counted 10, 20, 30, …"""

    def become(rank: int, number: int) -> None:
        monkeypatch.setattr(each_process, "rank", lambda: rank)
        monkeypatch.setattr(each_process, "is_main", lambda: rank == 0)
        monkeypatch.setattr(each_process, "world_size", lambda: number)
        states = [{"value": 10.0 * (place + 1)} for place in range(number)]
        monkeypatch.setattr(each_process, "all_gather_objects", lambda own: states)

    return become


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_takes_its_own_back(number: int, processes) -> None:
    for rank in range(number):
        processes(rank, number)
        saved = OfEachProcess("counts", Count(10.0 * (rank + 1))).state_dict()
        assert len(saved["processes"]) == number
        count = Count(0.0)
        OfEachProcess("counts", count).load_state_dict(saved)
        assert count.value == 10.0 * (rank + 1)


def test_a_process_alone_gathers_itself() -> None:
    assert OfEachProcess("counts", Count(4.0)).state_dict() == {"processes": [{"value": 4.0}]}


@pytest.mark.parametrize(("before", "now", "share"), [(2, 1, 30.0), (1, 2, 5.0), (3, 2, 30.0)])
def test_another_number_of_processes_shares_what_there_was(
    before: int, now: int, share: float, processes, caplog: pytest.LogCaptureFixture
) -> None:
    processes(0, before)
    saved = OfEachProcess("counts", Count(0.0)).state_dict()
    caplog.set_level(logging.INFO)
    for rank in range(now):
        processes(rank, now)
        count = Count(0.0)
        OfEachProcess("counts", count).load_state_dict(saved)
        assert count.value == share
    line = f"counts: of {before} process(es) before, shared among {now} from here on"
    assert caplog.messages == [line]


@pytest.mark.parametrize("number", [1, 2])
def test_an_older_checkpoint_has_the_main_processs_for_all(number: int, processes) -> None:
    for rank in range(number):
        processes(rank, number)
        count = Count(0.0)
        OfEachProcess("counts", count).load_state_dict({"value": 7.0})
        assert count.value == 7.0


@pytest.mark.parametrize(
    "state",
    [{}, {"value": "x"}, {"processes": 3}, {"processes": []}, {"processes": [3, 4]}, 5],
    ids=["nothing", "text", "a number", "none", "numbers", "no entries"],
)
def test_a_damaged_entry(state: Any) -> None:
    with pytest.raises(UserError) as error:
        OfEachProcess("counts", Count(0.0)).load_state_dict(state)
    assert str(error.value) == (
        "the checkpoint's state of each process, its entry counts, is damaged: go on from an "
        "earlier checkpoint"
    )
