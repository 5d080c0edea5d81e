"""Table 7. Engine-neutral."""

import json

import pytest

from projects.CIFAR.rows import (
    DATA_SETS,
    mini_rows,
    mini_table,
    paper_rows,
    paper_tables,
    row_tags,
)
from projects.CIFAR.run import SEEDS, main
from projects.CIFAR.tables import FOLDER, tables
from resnext_det.config import load_config
from resnext_det.reports.published import published_tables
from tests.projects.small_folders import class_folder


@pytest.mark.parametrize("name", DATA_SETS)
def test_rows_are_the_configs_of_the_data_set(name):
    for classifier in paper_rows(name):
        cfg = load_config(classifier.config).cfg
        assert list(cfg.DATASETS.TEST) == [f"{name}_test"]
        net = cfg.MODEL.RESNETS
        assert classifier.row.tag.endswith(f"29_{net.NUM_GROUPS}x{net.WIDTH_PER_GROUP}d")


def test_the_small_networks_are_the_papers_with_an_eighth_of_the_channels():
    for small, whole in zip(mini_rows(), paper_rows("cifar10"), strict=True):
        cfgs = [load_config(c.config, list(c.overrides)).cfg for c in (small, whole)]
        nets = [cfg.MODEL.RESNETS for cfg in cfgs]
        for key in ("DEPTH", "NUM_GROUPS", "STEM", "SHORTCUTS"):
            assert nets[0][key] == nets[1][key]
        for key in ("WIDTH_PER_GROUP", "STEM_OUT_CHANNELS", "RES2_OUT_CHANNELS"):
            assert 8 * nets[0][key] == nets[1][key]
        # The rate for a quarter of the batch; decay and crops as they are.
        assert 4 * cfgs[0].SOLVER.BASE_LR == cfgs[1].SOLVER.BASE_LR
        assert 4 * cfgs[0].SOLVER.IMS_PER_BATCH == cfgs[1].SOLVER.IMS_PER_BATCH
        assert cfgs[0].SOLVER.WEIGHT_DECAY == cfgs[1].SOLVER.WEIGHT_DECAY
        assert cfgs[0].INPUT == cfgs[1].INPUT


def test_ten_seeds_as_in_the_paper():
    assert SEEDS == 10


@pytest.mark.parametrize("table", [*paper_tables().values(), mini_table()])
def test_lines_have_the_papers_figures_where_it_has_any(table):
    [published] = published_tables([table.published])
    without = [line.model for line in table.lines if published.find(line.model) is None]
    assert without == ["ResNet-29 1x64d"]
    assert all(key in published.rows[0] for line in table.lines for key in line.keys)


def test_pairs_go_from_one_network_to_the_next():
    assert row_tags(paper_rows("cifar10")) == (
        ("R_29_1x64d", "X_29_8x64d"),
        ("X_29_8x64d", "X_29_16x64d"),
    )


def test_the_readme_has_the_tables_of_the_results(tmp_path):
    text = (FOLDER / "README.md").read_text()
    for name, table in tables().items():
        assert f"<!-- {name} -->\n\n{table}\n<!-- end -->" in text, name
    assert all("not run" in table for table in tables(tmp_path).values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "cifar100"), "--data is the paper scale's: the mini scale takes --train-data"),
        (("--scale", "paper", "--iterations", "5"), "--iterations is the mini scale's"),
        (("--scale", "paper", "--data", "cifar100"), "cifar100/test: no such folder"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "none"))
    assert main([*words, "--output", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().out


@pytest.mark.slow
def test_the_smallest_study(tmp_path, capsys):
    train, test = class_folder(tmp_path / "t", "ab"), class_folder(tmp_path / "v", "ab")
    words = ["--train-data", train, "--test-data", test, "--iterations", "1", "--seeds", "2"]
    words += ["--rows", "R_29_1x8d", "--gpus", "none", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert [row["seed"] for row in result["rows"]] == [0, 1]
    errors = [100 - row["metrics"]["top1"] for row in result["rows"]]
    said = capsys.readouterr().out
    assert "CIFAR-10, test, error in %" in said
    assert f"{sum(errors) / 2:.2f} ±" in said
