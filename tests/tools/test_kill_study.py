"""Runs that are killed at random moments, and what is looked at afterwards. Engine-neutral."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from resnext_det.training.checkpoint_file import write_checkpoint
from tools.kill_study.kills import plan_kills
from tools.kill_study.sameness import differences, unlike
from tools.kill_study.study import KEYS, KillStudy, as_text
from tools.kill_study.traces import Before, newest_iteration, phase_of
from tools.tiny_runs import ENGINES

KEPT = Path(__file__).parents[1] / "training"
STARTED = "[01/01 x]: INFO Training with the portable engine on 6 images\n"
LONGER = (("portable", 5), ("classification", 3))
EVALUATES = "[01/01 x]: INFO Evaluating tiny_val: 6 images\n"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("engine", "kills"),
    [("portable", 1), *(pytest.param(*run, marks=pytest.mark.long) for run in LONGER)],
)
def test_killed_runs_end_as_the_undisturbed_one(engine, kills, tmp_path):
    shorter = {"SOLVER.MAX_ITER": 12, "SOLVER.STEPS": "[8]", "SOLVER.CHECKPOINT_PERIOD": 2}
    study = KillStudy(engine, tmp_path, kills, seed=0, keys=shorter)
    study.run()
    summary = json.loads(as_text(study.summary()))
    assert study.passed, summary
    assert summary["kills"] == len(summary["each"]) == kills
    assert sum(end["kills"] for end in summary["runs"]) == kills


# Without an id of that name: the file is read where there is no Detectron2, too.
@pytest.mark.parametrize("engine", ENGINES, ids=[f"on_{engine}" for engine in ENGINES])
def test_the_kept_study_is_whole_and_passed(engine):
    text = (KEPT / f"kill_study_{engine}.json").read_text()
    kept = json.loads(text)
    assert kept["command"] == f"python -m tools.kill_study --engine {engine} --kills 30 --seed 0"
    assert (kept["keys"], kept["passed"], kept["failures"]) == (KEYS, True, [])
    assert kept["kills"] == len(kept["each"]) == sum(end["kills"] for end in kept["runs"]) == 30
    assert all(end["differences"] == [] for end in kept["runs"])
    assert Counter(kill["phase"] for kill in kept["each"]) == kept["kills_by_phase"]
    assert {"start-up", "checkpoint", "evaluation", "training"} <= set(kept["kills_by_phase"])
    assert {"versions", "hardware"} <= set(kept)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_half_of_the_kills_are_uniform_and_the_rest_is_aimed(count):
    plan = plan_kills(count, seed=0)
    aims = Counter(kill.aim for kill in plan)
    assert sum(aims.values()) == count
    assert aims["uniform"] == count - count // 2
    assert aims["checkpoint"] == aims["evaluation"] == aims["start-up"] == count // 6
    assert Counter(kill.target for kill in plan)["main"] == count // 3
    assert plan == plan_kills(count, seed=0)


def say(folder, text, lines=()):
    with (folder / "log.txt").open("a") as log:
        log.write(text)
    with (folder / "metrics.json").open("a") as curves:
        curves.writelines(f"{json.dumps(line)}\n" for line in lines)


def test_phases(tmp_path):
    assert phase_of(tmp_path, Before()) == "start-up"
    say(tmp_path, STARTED)
    assert phase_of(tmp_path, Before()) == "training"
    say(tmp_path, EVALUATES, [{"iteration": 19, "data_time": 0.1}])
    assert phase_of(tmp_path, Before()) == "evaluation"
    say(tmp_path, "", [{"iteration": 19, "bbox/AP": 1.0}])
    assert phase_of(tmp_path, Before()) == "training"
    (tmp_path / ".model_0000019.pth.x.partial").touch()
    assert phase_of(tmp_path, Before()) == "checkpoint"


def test_detectron2_tells_of_an_evaluation_in_several_lines(tmp_path):
    started = "[01/01 detectron2]: INFO Start inference on 6 batches\n"
    more = "[01/01 detectron2]: INFO Evaluating predictions with unofficial COCO API...\n"
    say(tmp_path, STARTED + started + more)
    assert phase_of(tmp_path, Before()) == "evaluation"
    say(tmp_path, "", [{"iteration": 5, "bbox/AP": 1.0}])
    assert phase_of(tmp_path, Before()) == "training"


def test_the_phase_of_a_second_start_is_its_own(tmp_path):
    say(tmp_path, STARTED + EVALUATES, [{"iteration": 5, "bbox/AP": 1.0}])
    (tmp_path / ".model_0000008.pth.x.partial").touch()
    before = Before.of(tmp_path)
    assert phase_of(tmp_path, before) == "start-up"
    say(tmp_path, f"INFO Resuming from a/model_0000007.pth at iteration 8\n{STARTED}{EVALUATES}")
    assert phase_of(tmp_path, before) == "evaluation"
    (tmp_path / "model_final.pth").touch()
    say(tmp_path, "", [{"iteration": 8, "bbox/AP": 1.0}])
    assert phase_of(tmp_path, before) == "end"


def test_the_newest_checkpoint_s_iteration(tmp_path):
    assert newest_iteration(tmp_path) is None
    write_checkpoint(tmp_path / "model_0000007.pth", {"model": {}, "iteration": 7})
    assert newest_iteration(tmp_path) == 7
    (tmp_path / "model_0000009.pth").write_bytes(b"torn")
    assert newest_iteration(tmp_path) is None


@pytest.fixture
def two(tmp_path):
    """Two folders of the same finished run."""
    one = tmp_path / "whole"
    (one / "inference").mkdir(parents=True)
    (one / "inference/boxes.json").write_text("[]")
    content = {"model": {"w": torch.arange(3.0)}, "iteration": 9, "config": "OUTPUT_DIR: whole"}
    write_checkpoint(one / "model_final.pth", content)
    say(one, "", [{"iteration": 9, "lr": 0.1, "data_time": 0.1, "total_loss": 2.0}])
    say(one, "", [{"iteration": 9, "bbox/AP": 1.0}])
    (one / "result.json").write_text(json.dumps({"metrics": {"AP": 1.0}, "seconds": 1}))
    shutil.copytree(one, tmp_path / "cut")
    return one, tmp_path / "cut"


def test_what_each_start_has_of_its_own_is_no_difference(two):
    whole, cut = two
    content = {"model": {"w": torch.arange(3.0)}, "iteration": 9, "config": "OUTPUT_DIR: cut"}
    write_checkpoint(cut / "model_final.pth", content)
    (cut / "result.json").write_text(json.dumps({"metrics": {"AP": 1.0}, "seconds": 2}))
    (cut / "events.out.tfevents.1").touch()
    lines = (cut / "metrics.json").read_text().replace("2.0", "2.5")
    (cut / "metrics.json").write_text(lines)
    assert differences(whole, cut) == []


def double_a_line(cut: Path) -> None:
    say(cut, "", [{"iteration": 9, "bbox/AP": 1.0}])


def other_weights(cut: Path) -> None:
    weights = torch.tensor([0.0, 1.0, 2.0000002])
    content = {"model": {"w": weights}, "iteration": 9, "config": ""}
    write_checkpoint(cut / "model_final.pth", content)


def leave_a_lock(cut: Path) -> None:
    (cut / "run.lock").touch()


def other_result(cut: Path) -> None:
    (cut / "result.json").write_text(json.dumps({"metrics": {"AP": 2.0}}))


def other_boxes(cut: Path) -> None:
    (cut / "inference/boxes.json").write_text("[1]")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (double_a_line, "metrics.json: 2 and 3 entries"),
        (other_weights, "model_final.pth/model/w: other numbers"),
        (leave_a_lock, "files: only in the cut: run.lock"),
        (other_result, "result.json/metrics/AP: 1.0 and 2.0"),
        (other_boxes, "inference/boxes.json: other bytes"),
    ],
)
def test_differences_are_told(two, change, line):
    change(two[1])
    assert differences(*two) == [line]


def test_negative_zero_is_another_number():
    assert [*unlike(torch.tensor(0.0), torch.tensor(-0.0), "a")] == ["a: other numbers"]
    nan = torch.tensor(float("nan"))
    assert [*unlike([nan], [nan.clone()], "a")] == []
    assert [*unlike(torch.zeros(0), torch.zeros(0), "a")] == []
