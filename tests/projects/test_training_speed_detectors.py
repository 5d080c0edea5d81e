"""Training steps beside Detectron2's: the same losses to start with, and what is written."""

import json

import pytest

from projects.TrainingSpeed import detectors, tables
from projects.TrainingSpeed.detector_contestants import Contestant, Work, calibrated_state

TINY = ["--net", "tiny", "--height", "64", "--width", "96", "--batch", "1"]
WORDS = "channels_last fold_norms fast_pooling sampled_anchors"


def test_how_far_losses_lie_apart():
    one = [{"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 2.0}]
    other = [{"a": 1.0, "b": 4.0}, {"a": 2.0, "b": 2.0}]
    assert detectors.apart({detectors.THEIRS: one, "ours": other}) == {"ours": [0.25, 0.0]}


def test_speed_is_theirs_by_ours():
    rounds = {"wall": [{detectors.THEIRS: 3.0, "ours": 1.0}, {detectors.THEIRS: 6.0, "ours": 2.0}]}
    found = detectors.summary(rounds)["wall"]["ours"]
    assert (found["seconds"]["median"], found["speed"]["median"]) == (1.5, 3.0)


def test_the_same_images_and_weights_every_time():
    work = Work("tiny", 64, 96, 1, "cpu")
    one, other = (Contestant(work, calibrated_state(work), "exact") for _ in range(2))
    assert one.first_losses(1) == other.first_losses(1)


def test_without_a_gpu(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert detectors.main(["--device", "cuda", "--json", str(tmp_path / "a.json")]) == 2
    assert capsys.readouterr().err == "error: --device cuda: torch finds no GPU here\n"


@pytest.mark.d2
def test_beside_detectron2(capsys, tmp_path):
    path = tmp_path / "found.json"
    few = ["--rounds", "1", "--warm-up", "0", "--updates", "2", "--words", WORDS]
    assert detectors.main([*TINY, *few, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    names = [detectors.THEIRS, detectors.HALF, "ours, exact", f"ours, {WORDS}"]
    assert list(found["clocks"]["wall"]) == names
    assert found["apart"]["ours, exact"] == [0, 0]
    assert found["apart"][f"ours, {WORDS}"][0] < 1e-4
    assert found["skipped"] == {}
    out = capsys.readouterr().out.splitlines()
    assert len([line for line in out if line.startswith(("wall", " cpu"))]) == 8


@pytest.mark.d2
def test_a_setting_of_another_device_is_left_out_with_its_reason(tmp_path):
    path = tmp_path / "found.json"
    few = ["--rounds", "1", "--warm-up", "0", "--updates", "0", "--words", "fast_suppression"]
    assert detectors.main([*TINY, *few, "--json", str(path)]) == 0
    (reason,) = json.loads(path.read_text())["skipped"].values()
    assert reason.startswith("UserError: SOLVER.FAST_SUPPRESSION is True, which is for GPUs alone")


KEPT = sorted((tables.FOLDER / "results" / "detectors").glob("*.json"))


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_numbers_follow_from_the_kept_rounds(path):
    kept = json.loads(path.read_text())
    assert detectors.summary(kept["rounds"]) == kept["clocks"]
    assert detectors.apart(kept["losses"]) == kept["apart"]


def test_a_table_has_a_line_for_each_detector():
    numbers = {"seconds": {"median": 2.0}, "speed": {"median": 1.5, "low": 1.25, "high": 1.75}}
    result = {
        "clocks": {"wall": {detectors.THEIRS: numbers, "ours": numbers}},
        "apart": {f"{detectors.THEIRS}, once more": [1e-5, 2e-4], "ours": [3e-5, 4e-4]},
        "skipped": {},
        "peak_mib": {"ours": 123.4},
    }
    assert tables.detectors_table(result).splitlines() == [
        "|  | s, clock | speed (95 %) | loss apart, first | last | peak MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| Detectron2 | 2 | 1.50 (1.25–1.75) | – | – | – |",
        "| Detectron2, once more | – | – | 1e-05 | 2e-04 | – |",
        "| ours | 2 | 1.50 (1.25–1.75) | 3e-05 | 4e-04 | 123 |",
    ]
