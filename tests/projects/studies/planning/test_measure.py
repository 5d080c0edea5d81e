"""A few iterations of a job, timed."""

import os
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from projects.studies.jobs import Job
from projects.studies.planning.job_facts import DataSets, JobFacts, read_job
from projects.studies.planning.measure import Measurement, measure_jobs, measured_arguments
from projects.studies.planning.measured_inputs import few_test_images, starting_weights
from projects.studies.planning.timed_run import (
    AT_LEAST,
    AT_MOST,
    WARM_UP,
    is_enough,
    peak_memory,
    timed,
)
from resnext_det.config import flatten
from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.coco import load_coco
from resnext_det.data.image_folder import load_image_folder
from resnext_det.training.checkpoint import load_checkpoint
from tests.projects.studies.planning.studies_data import (
    classification_job,
    coco_set,
    detection_job,
    folder_set,
)

STAND_IN = (sys.executable, str(Path(__file__).with_name("timed_stand_in.py")))


def facts_of(job: Job) -> JobFacts:
    return read_job(job, [job.folder, *job.needs], DataSets())


def moments(*seconds: float) -> list[float]:
    found = [100.0]
    for second in seconds:
        found.append(found[-1] + second)
    return found


def test_the_first_iterations_are_not_timed() -> None:
    assert timed(moments(9.0, 7.0, 1.0, 2.0)) == (2, 3.0)


def test_of_a_run_that_came_no_further_all_are() -> None:
    assert timed(moments(61.0)) == (1, 61.0)
    assert timed(moments(40.0, 30.0)) == (2, 70.0)


def test_enough_is_a_time_or_a_number() -> None:
    quick = WARM_UP + AT_LEAST
    assert not is_enough(moments())
    assert not is_enough(moments(*[2.0] * (quick - 1)))
    assert is_enough(moments(*[2.0] * quick))  # 8 s of 4 timed ones
    assert not is_enough(moments(*[0.1] * (WARM_UP + AT_MOST - 1)))
    assert is_enough(moments(*[0.1] * (WARM_UP + AT_MOST)))
    assert is_enough(moments(61.0))  # one is all that there was time for


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_memory_sees_what_was_freed() -> None:
    before = peak_memory()
    size = before + 50_000_000
    del_me = torch.ones(size // 8, dtype=torch.float64)
    del del_me
    assert peak_memory() >= size
    assert peak_memory() < size + before + 100_000_000


def test_a_few_test_images_of_each_kind(tmp_path: Path) -> None:
    crops, scenes = folder_set(tmp_path / "crops", images=10), coco_set(tmp_path / "scenes")
    job = classification_job(tmp_path / "c", crops, crops)
    (option,), count = few_test_images(facts_of(job), tmp_path / "few")
    found = load_image_folder(parse_data_argument(option.removeprefix("--test-data=")))
    assert len(found) == count == 64  # of 100
    assert set(found.class_names) <= {f"class_{n}" for n in range(10)}
    (tmp_path / "few_scenes").mkdir()
    job = detection_job(tmp_path / "d", scenes, scenes)
    (option,), count = few_test_images(facts_of(job), tmp_path / "few_scenes")
    cut = load_coco(parse_data_argument(option.removeprefix("--test-data=")), training=True)
    assert len(cut.records) == count == 16  # of 20
    assert all(len(record.boxes) == 1 for record in cut.records)
    assert cut.class_names == tuple(f"class_{n}" for n in range(10))


def test_without_a_test_set_there_is_nothing_to_evaluate(tmp_path: Path) -> None:
    crops = folder_set(tmp_path / "crops")
    facts = facts_of(classification_job(tmp_path / "c", crops, crops))
    facts = JobFacts(**{**vars(facts), "tests": ()})
    assert few_test_images(facts, tmp_path) == ([], 0)


def test_a_measured_run_differs_in_length_and_in_what_comes_after_training(tmp_path: Path) -> None:
    scenes = coco_set(tmp_path / "scenes")
    facts = facts_of(detection_job(tmp_path / "d", scenes, scenes, seed=3))
    place = tmp_path / "measured"
    place.mkdir()
    arguments, images = measured_arguments(facts, place)
    assert images == 16
    at = arguments.index("MODEL.WEIGHTS")
    made = Job("made", place / "run", tuple(arguments), 42, "")
    assert arguments[at + 1] == ""
    measured = dict(flatten(facts_of(made).cfg))
    differing = {key for key, value in flatten(facts.cfg) if measured[key] != value}
    allowed = {"OUTPUT_DIR", "SOLVER.MAX_ITER", "SOLVER.CHECKPOINT_PERIOD", "TEST.EVAL_PERIOD"}
    assert differing == allowed
    assert measured["OUTPUT_DIR"] == str(place / "run")
    data = dict(pairwise(arguments))["--train-data"]
    assert data == f"quickstart_train={scenes}"


def test_weights_are_made_up_only_where_training_refuses_to_do_without(tmp_path: Path) -> None:
    scenes, path = coco_set(tmp_path / "scenes"), tmp_path / "weights.pth"
    coming = tmp_path / "pretraining" / "model_final.pth"
    facts = facts_of(detection_job(tmp_path / "a", scenes, scenes, weights=coming))
    assert starting_weights(facts.cfg, path) == ""
    frozen = {"MODEL.RESNETS.NORM": "FrozenBN", "MODEL.BACKBONE.FREEZE_AT": 2}
    job = detection_job(tmp_path / "b", scenes, scenes, weights=coming, **frozen)
    facts = facts_of(job)
    assert not facts.missing  # an earlier job makes it
    assert starting_weights(facts.cfg, path) == str(path)
    assert "res5.1.conv3.weight" in load_checkpoint(path)["model"]
    own = tmp_path / "own.pth"
    own.write_bytes(b"")
    job = detection_job(tmp_path / "c", scenes, scenes, weights=str(own), **frozen)
    assert starting_weights(facts_of(job).cfg, path) == str(own)


def test_a_measurement_fails_by_itself(tmp_path: Path) -> None:
    good, unlucky = folder_set(tmp_path / "good"), folder_set(tmp_path / "unlucky")
    silent, greedy = folder_set(tmp_path / "silent"), folder_set(tmp_path / "greedy")
    torn = folder_set(tmp_path / "torn")
    jobs = [
        facts_of(classification_job(tmp_path / place.name, str(place), str(place)))
        for place in map(Path, (unlucky, good, silent, greedy, torn))
    ]
    said: list[str] = []
    found = measure_jobs(jobs, side_by_side=2, say=said.append, words=STAND_IN)
    assert found[0] == "the reason"
    assert isinstance(found[1], Measurement)
    assert found[1].seconds_per_iteration == pytest.approx(2.0)
    assert found[2] == "the run ended with status 0: it said nothing"
    assert found[3] == "the run was killed: too little memory?"
    assert isinstance(found[4], str)
    assert "timed.json: not JSON, or cut off: " in found[4]
    assert said[0] == "Measuring 1 of 5: unlucky"


def endless_job(tmp_path: Path) -> tuple[JobFacts, Path]:
    data = folder_set(tmp_path / "endless")
    return facts_of(classification_job(tmp_path / "job", data, data)), tmp_path / "number.txt"


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, number = endless_job(tmp_path)
    monkeypatch.setattr("projects.studies.planning.measure.LIMIT_SECONDS", 6.0)
    assert measure_jobs([facts], words=STAND_IN) == ["no iterations within 0 minutes"]
    assert not number.exists() or not is_alive(int(number.read_text()))


def test_an_interrupted_plan_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, number = endless_job(tmp_path)

    def interrupt_once_it_runs(_: float) -> None:
        threading.Event().wait(0.05)
        if number.exists() and number.read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr("projects.studies.planning.measure.time.sleep", interrupt_once_it_runs)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(KeyboardInterrupt):
        measure_jobs([facts], words=STAND_IN)
    assert not is_alive(int(number.read_text()))
    assert not list((tmp_path / "temporary").iterdir())


def test_no_jobs_are_measured_at_once() -> None:
    assert measure_jobs([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True], ids=["classifier", "frozen_detector"])
def test_a_real_run_is_timed(tmp_path: Path, frozen: bool) -> None:
    short = {"SOLVER.IMS_PER_BATCH": 2, "DATALOADER.NUM_WORKERS": 0}
    if frozen:
        scenes = coco_set(tmp_path / "scenes")
        more = {"MODEL.RESNETS.NORM": "FrozenBN", "MODEL.BACKBONE.FREEZE_AT": 2, **short}
        weights = tmp_path / "pretraining" / "model_final.pth"
        job = detection_job(tmp_path / "d", scenes, scenes, weights=weights, **more)
    else:
        crops = folder_set(tmp_path / "crops")
        job = classification_job(tmp_path / "c", crops, crops, **short)
    (found,) = measure_jobs([facts_of(job)])
    assert isinstance(found, Measurement), found
    assert 1 <= found.iterations <= AT_MOST
    assert found.seconds_per_iteration > 0
    assert found.seconds_per_test_image is not None
    assert found.memory_bytes > 50_000_000
    assert not job.folder.exists()
