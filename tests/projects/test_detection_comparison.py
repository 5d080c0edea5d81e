"""The comparison's command: the smallest whole study, and what it refuses."""

import json
from pathlib import Path

import pytest

from projects.DetectionComparison.run import main
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data
from resnext_det.reports.study import read_study

ROWS = ("R_26_1x32d_half", "X_26_30x2d_half")


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Runs the command, which has to refuse in one line, and returns that."""
    assert main([str(word) for word in words]) == 2
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "study"


def test_an_unknown_scale(capsys: pytest.CaptureFixture[str], output: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--scale", "huge", "--output", str(output)])
    assert "--scale: invalid choice: 'huge'" in capsys.readouterr().err


def test_an_unknown_row(capsys: pytest.CaptureFixture[str], output: Path) -> None:
    line = refused(capsys, "--scale", "coco", "--rows", "X_50", "--output", output)
    assert line.startswith("--rows X_50: no row")
    assert not output.exists()


def test_missing_data(capsys: pytest.CaptureFixture[str], output: Path) -> None:
    line = refused(capsys, "--scale", "coco", "--engine", "portable", "--output", output)
    assert line.startswith("--scale coco: not found: ")
    assert "train2017" in line
    assert "val2017" in line
    assert not output.exists()


def test_missing_weights(capsys: pytest.CaptureFixture[str], output: Path) -> None:
    words = ("--scale", "coco", "--engine", "portable", "--rows", "R_50", "X_152_32x4d")
    line = refused(capsys, *words, "--output", output, "--weights", "R_50=gone.pth")
    assert "ResNeXt-152 32x4d: no public weights; give --weights X_152_32x4d=FILE" in line
    assert "no such file: gone.pth" in line
    assert "not found: " in line  # and the data, in the same line


def test_the_portable_engine_has_no_c4(capsys: pytest.CaptureFixture[str], output: Path) -> None:
    line = refused(capsys, "--scale", "paper-c4", "--engine", "portable", "--output", output)
    assert line.startswith("--scale paper-c4: only the d2 engine")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pretrain",), "--pretrain: --scale mini has no such option"),
        (("--scale", "coco", "--iterations", "9"), "--iterations: --scale coco has no such"),
        (("--image-size", "96", "128"), "--image-size: of own data; give --classification, too"),
        (("--train-data", "a.json:b"), "--classification and --test-data: not given"),
    ],
    ids=["of the full networks", "of mini", "of own data", "half of the data"],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], output: Path, words: tuple[str, ...], message: str
) -> None:
    assert refused(capsys, *words, "--output", output).startswith(message)


@pytest.mark.slow
def test_the_smallest_whole_study(
    capsys: pytest.CaptureFixture[str], output: Path, tmp_path: Path
) -> None:
    """Two rows at two seeds: eight runs of two iterations, one result, one page."""
    built = build_quickstart_data(
        tmp_path / "data",
        params=QuickstartParams(train_scenes=8, val_scenes=4, train_crops=40, val_crops=20),
    )
    crops = f"{built.crops_train.image_root}:{built.crops_val.image_root}"
    scenes = [f"{e.json_file}:{e.image_root}" for e in (built.scenes_train, built.scenes_val)]
    words = [
        *("--classification", crops, "--train-data", scenes[0], "--test-data", scenes[1]),
        *("--crop", "32", "--image-size", "96", "96", "--anchors", "8", "16", "32", "64", "128"),
        *("--pretrain-iterations", "2", "--iterations", "2", "--rows", *ROWS, "--seeds", "2"),
        *("--engine", "portable", "--gpus", "none", "--output", str(output)),
    ]
    assert main(words) == 0
    study = read_study(output / "result.json")
    found = [(row.model, row.seed, row.pretrained) for row in study.rows]
    shallow = ("ResNet-26 1x32d, half width", "ResNeXt-26 30x2d, half width")
    assert found == [(model, seed, True) for model in shallow for seed in (0, 1)]
    assert all(row.metrics["AP"] is not None for row in study.rows)
    content = json.loads((output / "result.json").read_text())
    assert content["scale"] == "mini"
    settings = content["settings"]  # what own data need set differently stands there, too
    assert settings["MODEL.ANCHOR_GENERATOR.SIZES"] == [[8], [16], [32], [64], [128]]
    assert settings["INPUT.MIN_SIZE_TRAIN"] == [96]
    assert settings["SOLVER.MAX_ITER (pretraining)"] == 2
    assert settings["INPUT.CLASSIFICATION.TRAIN_CROP (pretraining)"] == 32
    assert {d["num_seeds"] for d in content["differences"]} == {2}
    assert {(d["first"], d["second"]) for d in content["differences"]}
    assert all(finding["passed"] is not False for finding in content["findings"])
    assert str(tmp_path) not in json.dumps(content["rows"])
    page = (output / "report.html").read_text()
    for model in shallow:
        assert model in page
    assert "finished before" not in capsys.readouterr().out
    begun = (output / ROWS[0] / "seed_1/detection/metrics.json").stat().st_mtime_ns
    assert main(words) == 0  # nothing finished is trained again
    assert (output / ROWS[0] / "seed_1/detection/metrics.json").stat().st_mtime_ns == begun
