"""The start-up's times: what is started, and that the first round does not count."""

import json
import statistics
from pathlib import Path

import pytest

from tools import start_up_cost as module

FOLDER = Path(__file__).parents[1] / "cli"


def test_each_command_takes_turns_and_the_first_round_fills_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = []

    def seconds_of(words, checkout):
        started.append((words, checkout))
        return {"cpu": float(len(started)), "wall": 0.0}

    monkeypatch.setattr(module, "seconds_of", seconds_of)
    checkouts = {"now": Path("a"), "before": Path("b")}
    compared = module.COMPARED[0]
    found = module.measure({compared: ("1",), "y": ("2",)}, checkouts, 3)
    assert started[3:6] == [(("1",), Path("a")), (("1",), Path("b")), (("2",), Path("a"))]
    assert started == [*started[5:2:-1], *started[3:6], *started[5:2:-1], *started[3:6]]
    # It is started 3rd, which does not count, then as number 4, 9 and 10.
    assert [taken["cpu"] for taken in found[compared]["now"]["rounds"]] == [4.0, 9.0, 10.0]
    assert found[compared]["now"]["cpu"] == 9.0
    assert {name: set(sides) for name, sides in found.items()} == {
        compared: {"now", "before"},
        "y": {"now"},
    }


def test_a_process_is_timed(tmp_path: Path) -> None:
    taken = module.seconds_of(("-c", "sum(range(10**6))"), tmp_path)
    assert taken["cpu"] > 0
    assert taken["wall"] > 0


@pytest.mark.parametrize("name", ["start_up_cost.json", "start_up_cost_before.json"])
def test_kept_times_are_of_commands_that_are_timed(name: str) -> None:
    kept = json.loads((FOLDER / name).read_text())["seconds"]
    assert {"resnext-det --help", "train_net.py --help"} < set(kept) <= set(module.COMMANDS)
    for sides in kept.values():
        for side in sides.values():
            seconds = [taken["cpu"] for taken in side["rounds"]]
            assert side["cpu"] == pytest.approx(statistics.median(seconds), abs=1e-4)
