"""Table 6. Engine-neutral."""

import json
from functools import partial
from pathlib import Path

import pytest

from projects.ImageNet5K.data import NUM_OWN, some_classes
from projects.ImageNet5K.rows import (
    MINI_PAIRS,
    PAPER_PAIRS,
    mini_rows,
    mini_table,
    paper_rows,
    paper_table,
)
from projects.ImageNet5K.run import main
from projects.ImageNet5K.tables import FOLDER, tables
from projects.studies.classification import mini
from projects.studies.classification.mini import MiniData
from resnext_det.config import load_config
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data
from resnext_det.reports.published import published_tables
from tests.projects.small_folders import class_folder


@pytest.mark.parametrize("rows", [paper_rows(), mini_rows()], ids=["paper", "mini"])
def test_all_rows_score_a_subset(rows):
    for classifier in rows:
        cfg = load_config(classifier.config, list(classifier.overrides)).cfg
        assert cfg.TEST.CLASS_SUBSET is True
        assert str(cfg.MODEL.RESNETS.DEPTH) == classifier.row.tag.split("_")[1]
        groups = cfg.MODEL.RESNETS.NUM_GROUPS
        assert groups == (1 if classifier.row.tag.startswith("R_") else 32)


@pytest.mark.parametrize("table", [paper_table(), mini_table()], ids=["paper", "mini"])
def test_every_line_has_the_papers_figures(table):
    [published] = published_tables([table.published])
    assert all(
        isinstance(published.find(x.model)[key], float) for x in table.lines for key in x.keys
    )


def test_pairs_are_of_rows():
    for rows, pairs in ((paper_rows(), PAPER_PAIRS), (mini_rows(), MINI_PAIRS)):
        assert [tag for pair in pairs for tag in pair] == [c.row.tag for c in rows]


def test_some_classes_are_copied_once(tmp_path):
    test = class_folder(tmp_path / "v", "abcdefgh", 1)
    data = some_classes(MiniData("t", test, "Letters."), tmp_path / "data" / "six")
    assert sorted(p.name for p in Path(data.test).iterdir()) == list("abcdef")
    assert len("abcdef") == NUM_OWN > 5
    assert data.description.endswith("has the first 6 of the ten classes only.")
    (Path(data.test) / "a" / "0.png").unlink()  # what is there is left alone
    assert some_classes(MiniData("t", test, "Letters."), tmp_path / "data" / "six") == data
    assert not (Path(data.test) / "a" / "0.png").exists()
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["six"]


def test_the_readme_has_the_tables_of_the_results(tmp_path):
    text = (FOLDER / "README.md").read_text()
    for name, table in tables().items():
        assert f"<!-- {name} -->\n\n{table}\n<!-- end -->" in text, name
    assert all("not run" in table for table in tables(tmp_path).values())


@pytest.mark.parametrize(
    ("classes", "message"), [("abx", "'x' is no class of"), ("abc", "has all 3 classes")]
)
def test_a_test_set_that_is_no_subset_is_refused(tmp_path, capsys, classes, message):
    train, test = class_folder(tmp_path / "t", "abc", 1), class_folder(tmp_path / "v", classes, 1)
    words = ["--train-data", train, "--test-data", test, "--output", str(tmp_path / "out")]
    assert main(words) == 2
    assert message in " ".join(capsys.readouterr().out.split())


def test_the_paper_scale_wants_imagenet(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "none"))
    assert main(["--scale", "paper", "--output", str(tmp_path / "out")]) == 2
    assert "imagenet/val: no such folder" in capsys.readouterr().out


@pytest.mark.slow
def test_the_smallest_study(tmp_path, monkeypatch, capsys):
    few = QuickstartParams(train_scenes=1, val_scenes=1, train_crops=40, val_crops=20)
    monkeypatch.setattr(mini, "build_quickstart_data", partial(build_quickstart_data, params=few))
    words = ["--iterations", "1", "--rows", "R_26_1x32d", "X_26_32x2d", "--gpus", "none"]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out/result.json").read_text())
    for row in result["rows"]:
        assert row["metrics"].keys() >= {"top1", "top5", "6_way/top1", "6_way/top5"}
        # Among fewer classes, whose order is kept, no image is scored worse.
        assert row["metrics"]["6_way/top1"] >= row["metrics"]["top1"]
        assert row["metrics"]["6_way/top5"] >= row["metrics"]["top5"]
    said = " ".join(capsys.readouterr().out.split())
    assert "error in %" in said
    assert "27.1" in said
