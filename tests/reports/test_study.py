"""Result JSON as rows."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from resnext_det.errors import UserError
from resnext_det.reports.json_values import MalformedError, number
from resnext_det.reports.study import read_study
from tests.reports.samples import classification, detection, one_run, samples


def test_a_study_is_read_with_paths_beside_it(study_file: Path) -> None:
    study = read_study(study_file)
    assert [row.label for row in study.rows] == [
        "ResNet-26, pretrained",
        "ResNeXt-26 32x4d, pretrained",
        "ResNeXt-26 32x4d, from scratch",
    ]
    assert study.rows[0].run == study_file.parent / "run0"
    assert study.file("images") == study_file.parent / "images"
    assert study.file("nothing") is None
    assert "rows" not in study.more


def test_a_run_is_a_study_of_one_row(tmp_path: Path) -> None:
    run = tmp_path / "faster_rcnn_X_50"
    run.mkdir()
    content = {"config": {}, "versions": {}, "seed": 3, "engine": "d2", "metrics": {"AP": None}}
    (run / "result.json").write_text(json.dumps(content))
    study = read_study(run / "result.json")
    (row,) = study.rows
    assert (row.label, row.seed, row.metrics, row.run) == ("faster_rcnn_X_50", 3, {"AP": None}, run)
    assert study.more["engine"] == "d2"


def test_a_study_without_rows_is_empty(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"rows": []}')
    assert read_study(tmp_path / "result.json").rows == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as result JSON"),
        ("[1]", "neither a run's nor a study's result JSON"),
        ("{}", "neither a run's nor a study's result JSON"),
        ('{"rows": [{"model": "a"}]}', "neither a run's nor a study's result JSON"),
    ],
)
def test_a_broken_file_is_named_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_study(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such result file"):
        read_study(tmp_path / "result.json")


def written(folder: Path, content: Any) -> Path:
    path = folder / "result.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("name", samples())
def test_every_sample_is_read(name: str, tmp_path: Path) -> None:
    content = samples()[name]
    study = read_study(written(tmp_path, content))
    assert len(study.rows) == (1 if name == "one_run" else len(content["rows"]))
    assert study.kind == content.get("kind", "detection")


def test_the_entries_of_a_study(tmp_path: Path) -> None:
    content = detection(num_seeds=2)
    study = read_study(written(tmp_path, content))
    row = study.rows[0]
    assert row.curves["detection"]["bbox/AP50"][0] == (100, 200, 300, 400)
    assert row.curves["detection"]["bbox/APl"] == ((), ())  # null is no point
    assert row.commands == tuple(content["rows"][0]["commands"])
    assert (row.train_seconds, row.device) == (0.21, "NVIDIA H100")
    assert row.pretraining_metrics == {"top1": 80.0, "top5": 92.0}
    assert len(study.differences) == 2 * 7
    assert study.differences[0].per_seed == tuple(content["differences"][0]["per_seed"])
    assert [curve.iou for curve in study.precision_recall[::4]] == ["0.5", "0.75", "mean"]
    assert len(study.precision_recall[0].low) == 101
    picture = study.pictures[0]
    assert [side.score for side in picture.sides] == [41.5, 71.5]
    assert picture.truth[1].bbox == (80, 75, 50, 60)
    assert study.published == ("table8", "detectron2")


def test_one_seed_has_no_band_and_no_verdict(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, detection(num_seeds=1)))
    assert study.precision_recall[0].low == ()
    assert {(d.t_low, d.verdict) for d in study.differences} == {(None, None)}


def test_a_classification_run_is_known_by_its_metrics(tmp_path: Path) -> None:
    content = {**one_run(), "metrics": {"top1": 39.7, "top5": 77.9}}
    study = read_study(written(tmp_path, content))
    assert study.kind == "classification"
    assert study.rows[0].commands == (content["command"],)
    assert read_study(written(tmp_path, classification())).kind == "classification"


def put(content: Any, *path: Any, value: Any) -> Any:
    """Sets the value at a path of keys and indices."""
    *above, last = path
    at = content
    for key in above:
        at = at[key]
    at[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("rows",), {}, "rows is an object, not a list"),
        (("rows", 3), None, "rows[3] is null, not an object"),
        (("rows", 1, "model"), 5, "rows[1].model is 5, not a string"),
        (("rows", 1, "seed"), 0.5, "rows[1].seed is 0.5, not a whole number"),
        (("rows", 1, "pretrained"), "yes", "rows[1].pretrained is neither true nor false nor"),
        (("rows", 1, "metrics", "AP"), "30", "rows[1].metrics.AP is '30', not a number"),
        (("rows", 1, "metrics", "AP"), math.nan, "rows[1].metrics.AP is nan, not a finite number"),
        (("rows", 1, "commands"), [1], "rows[1].commands[0] is 1, not a string"),
        (
            ("rows", 0, "curves", "detection", "total_loss"),
            [[1, 2], [3]],
            "rows[0].curves.detection.total_loss is not [iterations, as many values]",
        ),
        (
            ("rows", 0, "curves", "detection", "total_loss"),
            [],
            "rows[0].curves.detection.total_loss is not [iterations, as many values]",
        ),
        (("kind",), "panoptic", "kind is 'panoptic', neither 'detection' nor 'classification'"),
        (("title",), ["a"], "title is a list, not a string"),
        (("settings",), [], "settings is a list, not an object"),
        (("findings", 0, "passed"), "no", "findings[0].passed is neither true nor false nor null"),
        (("differences", 0, "verdict"), "better", "differences[0].verdict is none of 'larger'"),
        (("differences", 0, "value"), True, "differences[0].value is True, not a number"),
        (
            ("precision_recall", "curves", 0, "low"),
            [1.0],
            "precision_recall.curves[0].low has 1 values, recall has 101",
        ),
        (("pictures", 0, "width"), 0, "pictures[0] is 0x240 pixels"),
        (("pictures", 0, "truth", 0, "bbox"), [1], "pictures[0].truth[0].bbox is not x, y, w, h"),
        (
            ("pictures", 0, "address"),
            "https://example.org/a.jpg",
            "pictures[0].address is no JPEG or PNG as a data: address",
        ),
    ],
    ids=range(20),
)
def test_a_malformed_value_is_named(
    path: tuple[Any, ...], value: Any, words: str, tmp_path: Path
) -> None:
    file = written(tmp_path, put(detection(num_seeds=2), *path, value=value))
    with pytest.raises(UserError) as caught:
        read_study(file)
    start = f"{file}: neither a run's nor a study's result JSON: "
    assert str(caught.value).startswith(start + words)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_result_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read as result JSON"):
        read_study(tmp_path)


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(MalformedError, match=r"^a is 'x{38}…, not a number$"):
        number("x" * 99, "a")
