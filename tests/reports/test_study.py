"""Result JSON as rows."""

import json
from pathlib import Path

import pytest

from resnext_det.errors import UserError
from resnext_det.reports.study import read_study


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
