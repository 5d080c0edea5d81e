"""What a study will take, before anything is trained."""

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from projects.studies import grid as grids
from projects.studies.jobs import Job, make_job
from projects.studies.places import Place
from projects.studies.planning.disk import checkpoint_bytes, found_bytes, network, num_checkpoints
from projects.studies.planning.hours import state_of
from projects.studies.planning.job_facts import DataSets, read_job
from projects.studies.planning.plan import make_plan, print_plan
from projects.studies.planning.plan_lines import Plan, PlannedJob, makespan
from projects.studies.planning.plan_table import duration, size
from resnext_det.config import config_root, load_config, with_values
from resnext_det.training.checkpoint import Checkpointer
from tests.projects.studies.planning.studies_data import (
    classification_job,
    coco_set,
    detection_job,
    folder_set,
)

STAND_IN = (sys.executable, str(Path(__file__).with_name("timed_stand_in.py")))


def grid_of(output: Path, jobs: Sequence[Job]) -> grids.Grid:
    cells = tuple(grids.Cell(grids.StudyRow(job.title, job.title), 0, (job,)) for job in jobs)
    return grids.Grid("A study", "detection", "mini", output, cells, (), grids.TestSet(""))


def plan_of(output: Path, *jobs: Job, measure: bool = True, places: int = 2) -> Plan:
    console = Console(file=io.StringIO())
    grid = grid_of(output, jobs)
    return make_plan(
        grid,
        places_at_a_time=places,
        measure=measure,
        console=console,
        place=Place(),
        words=STAND_IN,
    )


def printed(plan: Plan) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_plan(plan, console)
    return console.file.getvalue()


def line(name: str, hours: float | None = 1.0, *, needs: Sequence[str] = ()) -> PlannedJob:
    return PlannedJob(
        title=name,
        folder=Path(name),
        needs=tuple(map(Path, needs)),
        state="new",
        iterations=100,
        iterations_left=100,
        images=800,
        train_images=None,
        hours=hours,
        source="not measured" if hours is None else "measured here on 10 iterations",
        memory_bytes=2_000_000_000,
        on_gpu=False,
        disk_bytes=1_500_000,
    )


@pytest.mark.parametrize(
    ("jobs", "places", "expected"),
    [
        ([], 2, 0.0),
        ([line("a", 1), line("b", 2), line("c", 3)], 1, 6.0),
        ([line("a", 1), line("b", 2), line("c", 3)], 2, 4.0),
        ([line("a", 1), line("b", 2), line("c", 3)], 9, 3.0),
        ([line("a", 2), line("b", 3, needs="a"), line("c", 1)], 2, 5.0),
        ([line("b", 3, needs="a"), line("a", 2), line("c", 1)], 2, 5.0),
        ([line("a", None), line("b", 3, needs="a")], 2, 3.0),
        ([line("a", 1, needs=["elsewhere"])], 1, 1.0),
    ],
    ids=["none", "in_turn", "two", "many", "chain", "chain_backwards", "unknown", "outside"],
)
def test_how_long_it_takes_side_by_side(
    jobs: list[PlannedJob], places: int, expected: float
) -> None:
    assert makespan(jobs, places) == pytest.approx(expected)


def test_jobs_that_wait_for_each_other_end_the_reckoning() -> None:
    assert makespan([line("a", 1, needs="b"), line("b", 1, needs="a")], 2) == 0.0


def test_durations_and_sizes_read_well() -> None:
    hours = (0, 30 / 3600, 0.5, 1.26, 47.9, 100)
    assert [duration(h) for h in hours] == ["0 s", "30 s", "30 min", "1.3 h", "47.9 h", "4.2 days"]
    sizes = [size(number) for number in (0, 999, 1_230_000, 45e9, 3e12)]
    assert sizes == ["0 B", "999 B", "1.23 MB", "45 GB", "3 TB"]


def test_the_table_fits_and_the_sums_are_said() -> None:
    jobs = (line("a long title " * 6), line("b", 2.0), line("c", None))
    plan = Plan("A study", Path(), jobs, 2, free_bytes=4_000_000, memory_bytes_here=3_000_000_000)
    shown = printed(plan)
    assert max(map(len, shown.splitlines())) <= 100
    assert "In all: 3.0 h for 2 jobs, about 2.0 h with 2 at a time; 1 more" in shown
    assert "Disk: 4.5 MB are still to be written, 4 MB are free." in shown
    assert "The disk does not suffice" in shown
    assert "Memory: 4 GB with 2 at a time, of this machine's 3 GB: too little" in shown
    assert "Not measured: c." in shown


def test_a_gpu_holds_one_job_at_a_time() -> None:
    jobs = tuple(replace(line(name), on_gpu=True) for name in "abc")
    plan = Plan("A study", Path(), jobs, 3, free_bytes=10**12, memory_bytes_here=10**9)
    assert plan.memory_bytes == 2_000_000_000  # of one of them
    assert "of a GPU's 1 GB: too little; give a smaller SOLVER.IMS_PER_BATCH" in printed(plan)


def test_a_plan_as_json() -> None:
    jobs = (line("a"), line("b", 2.0, needs="a"), replace(line("c", None), missing=("x: gone",)))
    found = json.loads(json.dumps(Plan("A study", Path(), jobs, 1, free_bytes=10**12).as_dict()))
    assert found["jobs"][1]["needs"] == ["a"]
    assert found["total"]["hours"] == 3.0
    assert found["total"]["hours_side_by_side"] == 3.0
    assert found["total"]["jobs_of_unknown_hours"] == 1
    assert found["total"]["disk_suffices"] is True
    assert found["missing"] == {"x: gone": ["c"]}


def test_an_empty_study_has_nothing_left(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    assert plan.hours == plan.hours_side_by_side == plan.disk_bytes == 0
    assert "Nothing is left to do" in printed(plan)


def test_seeds_share_a_measurement_and_each_job_has_its_own_hours(tmp_path: Path) -> None:
    crops = folder_set(tmp_path / "crops")
    jobs = [
        classification_job(
            tmp_path / f"s{seed}", crops, crops, seed=seed, **{"TEST.EVAL_PERIOD": 9}
        )
        for seed in range(2)
    ]
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "last_checkpoint").write_text("model_0000099.pth")
    (tmp_path / "s1" / "model_0000099.pth").write_bytes(b"")
    console = Console(file=io.StringIO())
    plan = make_plan(
        grid_of(tmp_path, jobs), places_at_a_time=2, console=console, place=Place(), words=STAND_IN
    )
    assert console.file.getvalue().splitlines() == ["Measuring 1 of 1: s0"]
    first, second = plan.jobs
    assert (first.state, first.iterations_left) == ("new", 350)
    assert (second.state, second.iterations_left) == ("started", 250)
    assert first.images == 350 * 32
    assert first.train_images == 40
    assert first.source == "measured here on 10 iterations"
    assert first.hours >= 700 / 3600  # 2 s an iteration; the stand-in evaluates in no time
    assert first.hours - second.hours == pytest.approx(200 / 3600)
    assert first.memory_bytes == 1_000_000_000


def test_a_busy_machine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = folder_set(tmp_path / "crops")
    job = classification_job(tmp_path / "a", crops, crops)
    for load, said in ((0.0, False), (1e6, True)):
        monkeypatch.setattr("os.getloadavg", lambda load=load: (load, 0.0, 0.0))
        plan = plan_of(tmp_path, job)
        assert ("Other work takes part of this machine" in printed(plan)) is said
        assert plan.idle_hours == pytest.approx(plan.hours / 4)  # 5 s of a core's 20 s


def test_a_failing_measurement_is_said_in_its_line_alone(tmp_path: Path) -> None:
    good, unlucky = folder_set(tmp_path / "good"), folder_set(tmp_path / "unlucky")
    jobs = [classification_job(tmp_path / f"{Path(p).name}_job", p, p) for p in (unlucky, good)]
    plan = plan_of(tmp_path, *jobs)
    assert [job.hours is None for job in plan.jobs] == [True, False]
    assert plan.jobs[0].source == "not measured: the reason"
    assert "Not measured: the reason: unlucky_job." in printed(plan)


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    crops, scenes = folder_set(tmp_path / "crops"), coco_set(tmp_path / "scenes")
    gone = str(tmp_path / "gone")
    first = classification_job(tmp_path / "first", gone, crops)
    weights = tmp_path / "first" / "model_final.pth"  # which the first makes
    second = detection_job(tmp_path / "second", f"{gone}.json:{gone}", scenes, weights=weights)
    third = detection_job(tmp_path / "third", scenes, scenes, weights=f"{gone}.pth")
    plan = plan_of(tmp_path, first, second, third)
    missing = {text.split(": ")[0]: titles for text, titles in plan.missing.items()}
    assert missing == {gone: ["first"], f"{gone}.json": ["second"], f"{gone}.pth": ["third"]}
    assert all(job.hours is None for job in plan.jobs)
    shown = printed(plan).replace("\n", " ")
    assert "Missing for third:" in shown
    assert "whose time is not known" in shown


def test_weights_with_a_name_are_said_to_be_fetched(tmp_path: Path) -> None:
    scenes = coco_set(tmp_path / "scenes")
    name = "torchvision://resnet50/IMAGENET1K_V1"
    jobs = [
        detection_job(tmp_path / tag, scenes, scenes, weights=name, seed=seed)
        for seed, tag in enumerate("ab")
    ]
    plan = plan_of(tmp_path, *jobs)
    assert plan.missing == {}
    assert plan.fetches == {name: ["a", "b"]}
    assert f"Fetched when a, b start, if need be: {name}" in printed(plan)


def test_without_images_a_published_recipe_costs_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    config = "resnext_det://ImageNet-Classification/X_50_32x4d.yaml"
    job = make_job("x", tmp_path / "x", config, seed=0)
    (found,) = plan_of(tmp_path, job).jobs
    solver = load_config(config).cfg.SOLVER
    row = json.loads((config_root() / "costs.json").read_text())["cpu"]["rows"]
    seconds = row["resnext50_32x4d, 224 px"]["seconds_per_image"]
    assert found.hours == pytest.approx(solver.MAX_ITER * solver.IMS_PER_BATCH * seconds / 3600)
    assert found.source == "configs/costs.json"
    assert len(found.missing) == 2
    assert "imagenet" in found.missing[0]


def test_what_is_finished_costs_nothing_and_tells_its_twins(tmp_path: Path) -> None:
    crops = folder_set(tmp_path / "crops")
    jobs = [classification_job(tmp_path / f"s{seed}", crops, crops, seed=seed) for seed in range(2)]
    (tmp_path / "s0").mkdir()
    (tmp_path / "s0" / "result.json").write_text("{}")
    (tmp_path / "s0" / "study_job.json").write_text(
        json.dumps({"digest": jobs[0].digest, "seconds": 720.0})
    )
    plan = plan_of(tmp_path, *jobs)
    assert (plan.jobs[0].state, plan.jobs[0].hours, plan.jobs[0].disk_bytes) == ("finished", 0.0, 0)
    assert plan.jobs[1].hours == pytest.approx(0.2)
    assert plan.jobs[1].source == "a finished run of this study"
    assert "In all: 12 min for 1 job" in printed(plan)


def test_nothing_is_measured_where_none_is_asked(tmp_path: Path) -> None:
    crops = folder_set(tmp_path / "crops")
    job = classification_job(tmp_path / "a", crops, crops)
    (found,) = plan_of(tmp_path, job, measure=False).jobs
    assert (found.hours, found.source) == (None, "not measured")
    assert not (tmp_path / "a").exists()


def test_how_far_a_job_is(tmp_path: Path) -> None:
    job = Job("a", tmp_path, (), 100, "")
    assert state_of(job) == ("new", 100)
    (tmp_path / "last_checkpoint").write_text("model_0000059.pth")
    (tmp_path / "model_0000059.pth").write_bytes(b"")
    assert state_of(job) == ("started", 40)
    (tmp_path / "last_checkpoint").write_text("model_final.pth")
    (tmp_path / "model_final.pth").write_bytes(b"")
    assert state_of(job) == ("started", 0)
    (tmp_path / "result.json").write_text("{}")
    assert state_of(job) == ("finished", 0)


@pytest.mark.parametrize(
    ("max_iter", "period", "keep", "expected"),
    [(350, 100, 0, 4), (350, 100, 2, 3), (350, 400, 0, 1), (300, 100, 0, 4), (300, 100, 9, 4)],
    ids=["all", "two_kept", "final_only", "both_at_the_end", "fewer_than_kept"],
)
def test_how_many_checkpoints_stay(max_iter: int, period: int, keep: int, expected: int) -> None:
    keys = {"MAX_ITER": max_iter, "CHECKPOINT_PERIOD": period, "KEEP_CHECKPOINTS": keep}
    words = [word for key, value in keys.items() for word in (f"SOLVER.{key}", str(value))]
    cfg = load_config("resnext_det://quick_schedules/classification_R_26.yaml", words).cfg
    assert num_checkpoints(cfg) == expected


@pytest.mark.parametrize("averaged", [False, True], ids=["plain", "averaged"])
def test_a_checkpoint_is_as_large_as_planned(tmp_path: Path, averaged: bool) -> None:
    crops = folder_set(tmp_path / "crops", classes=2, images=1)
    more = {"SOLVER.EMA.ENABLED": averaged, "SOLVER.EMA.DECAY": 0.9}
    job = classification_job(tmp_path / "a", crops, crops, **more)
    facts = read_job(job, [], DataSets())
    model = network(facts)
    planned = checkpoint_bytes(facts.cfg, model)
    real = model.to_empty(device="cpu")
    other = network(facts).to_empty(device="cpu") if averaged else real
    optimizer = torch.optim.SGD(real.parameters(), lr=0.1, momentum=0.9)
    for parameter in real.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    path = Checkpointer(tmp_path).save(
        "model_final",
        model=other,
        training_model=real,
        iteration=0,
        training_state={"optimizer": optimizer.state_dict()},
    )
    assert planned == pytest.approx(path.stat().st_size, rel=0.01)


def test_proposals_take_more_room_than_detections() -> None:
    cfg = load_config("resnext_det://Paper/rpn_R_50_C4_paper.yaml").cfg
    assert found_bytes(cfg) == 2000 * 5 * 4  # four corners and a logit, float32
    assert found_bytes(with_values(cfg, {"MODEL.META_ARCHITECTURE": "GeneralizedRCNN"})) < 20_000
