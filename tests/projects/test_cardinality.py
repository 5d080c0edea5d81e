"""Tables 2, 3 and 4 and the ablation without shortcuts. Engine-neutral."""

import json

import pytest
import torch

from projects.Cardinality.rows import (
    IMAGENET_EQUAL,
    IMAGENET_PAIRS,
    MINI_EQUAL,
    MINI_PAIRS,
    WIDTHS,
    imagenet_rows,
    imagenet_tables,
    mini_rows,
    mini_tables,
)
from projects.Cardinality.run import equal_complexity, main
from projects.Cardinality.tables import FOLDER, tables, width_table
from resnext_det.config import config_root, load_config
from resnext_det.modeling.complexity import measure_complexity
from resnext_det.modeling.design import design_widths
from resnext_det.modeling.designed_network import reference_network
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.reports.published import published_tables
from tests.projects.small_folders import class_folder


def config(classifier):
    return load_config(classifier.config, list(classifier.overrides)).cfg


def flops(classifier):
    cfg = config(classifier)
    with torch.device("meta"):
        model = classifier_from_config(cfg)
    return measure_complexity(model, cfg.INPUT.CLASSIFICATION.TEST_CROP).flops


@pytest.mark.parametrize("rows", [imagenet_rows(), mini_rows()], ids=["imagenet", "mini"])
def test_a_rows_config_is_the_network_that_its_tag_says(rows):
    for classifier in rows:
        net, tag = config(classifier).MODEL.RESNETS, classifier.row.tag
        assert tag.endswith("_no_shortcuts") is not net.SHORTCUTS
        parts = tag.removesuffix("_no_shortcuts").split("_")
        template = parts[2] if len(parts) > 2 else "1x64d"
        assert f"{net.NUM_GROUPS}x{net.WIDTH_PER_GROUP}d" == template
        assert str(net.DEPTH) == parts[1]
    assert len({classifier.row.tag for classifier in rows}) == len(rows)


def test_all_rows_of_the_tables_are_there():
    assert len(imagenet_rows()) == 10 + 4 + 2  # Table 3; what Table 4 has more; the ablation
    assert len(mini_rows()) == 5 + 4 + 2


def test_small_widths_are_what_eq_4_gives():
    reference = reference_network(depth=26, stem_channels=32, res2_channels=128)
    assert (reference.num_groups, reference.width_per_group) == (1, 32)
    found = design_widths(reference, [groups for groups, _ in WIDTHS]).designs
    assert [d.network.width_per_group for d in found] == [width // 2 for _, width in WIDTHS]


def test_small_networks_are_of_about_one_complexity():
    of_tag = {classifier.row.tag: classifier for classifier in mini_rows()}
    for tags in MINI_EQUAL:
        reference = flops(of_tag[tags[0]])
        for tag in tags[1:]:
            assert abs(flops(of_tag[tag]) / reference - 1) * 100 <= 5.5, tag


def test_the_papers_networks_are_of_about_one_complexity():
    """By the counts that a test of the configs holds against the networks."""
    counts = json.loads((config_root() / "complexity.json").read_text())["configs"]
    for tags in IMAGENET_EQUAL:
        found = [counts[f"ImageNet-Classification/{tag}_paper.yaml"]["flops"] for tag in tags]
        assert all(abs(count / found[0] - 1) * 100 <= 4.5 for count in found)


@pytest.mark.parametrize(
    ("rows", "pairs"),
    [(imagenet_rows(), IMAGENET_PAIRS), (mini_rows(), MINI_PAIRS)],
    ids=["imagenet", "mini"],
)
def test_pairs_are_of_rows(rows, pairs):
    tags = {classifier.row.tag for classifier in rows}
    assert {tag for pair in pairs for tag in pair} <= tags
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("made", [imagenet_tables(), mini_tables()], ids=["imagenet", "mini"])
def test_every_line_has_the_papers_figures(made):
    for table in made.values():
        [published] = published_tables([table.published])
        for line in table.lines:
            assert len(line.keys) == len(table.columns)
            assert all(isinstance(published.find(line.model)[key], float) for key in line.keys)


def test_table_2_is_designed():
    lines = width_table().splitlines()
    assert lines[2] == "| Width d, designed | 64 | 40 | 24 | 14 | 4 |"
    assert lines[3].endswith("| 64 | 40 | 24 | 14 | 4 |")
    # C (256 d + 9 d² + 256 d), Eq. 4
    block = [f"{c * (512 * d + 9 * d * d):,}" for c, d in WIDTHS]
    assert lines[4] == f"| Parameters of the block | {' | '.join(block)} |"


def test_the_readme_has_the_tables_of_the_results():
    text = (FOLDER / "README.md").read_text()
    for name, table in tables().items():
        assert f"<!-- {name} -->\n\n{table}\n<!-- end -->" in text, name


def test_tables_without_any_result(tmp_path):
    for name, table in tables(tmp_path).items():
        assert name == "table 2" or "not run" in table


def rows_of(**of_tag):
    known = {classifier.row.tag: classifier.row for classifier in mini_rows()}
    found = [
        {"model": known[t].model, "note": known[t].note, "flops": f} for t, f in of_tag.items()
    ]
    return {"scale": "mini", "rows": found}


def test_complexity_is_checked():
    equal = rows_of(R_26_1x32d=100, X_26_2x20d=103, X_26_4x12d=94.5)
    found = equal_complexity(equal, MINI_EQUAL[0])
    assert found["passed"] is True
    assert "ResNeXt-26 4x12d, half width differs most" in found["text"]
    assert "by -5.5 %; at most 6 %" in found["text"]
    assert (
        equal_complexity(rows_of(R_26_1x32d=100, X_26_8x7d=107), MINI_EQUAL[0])["passed"] is False
    )


def test_complexity_of_one_row_is_not_compared():
    assert equal_complexity(rows_of(R_26_1x32d=100), MINI_EQUAL[0]) is None
    assert equal_complexity(rows_of(X_26_2x20d=100, X_26_8x7d=1), MINI_EQUAL[0]) is None
    assert equal_complexity(rows_of(), MINI_EQUAL[0]) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scale", "imagenet", "--iterations", "5"), "--iterations is the mini scale's"),
        (("--train-data", "here"), "--test-data is missing"),
        (("--scale", "imagenet"), "no such folder"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "none"))
    assert main([*words, "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("error: ")
    assert message in said


@pytest.mark.slow
def test_the_smallest_study(tmp_path, capsys):
    train, test = class_folder(tmp_path / "t", "abc"), class_folder(tmp_path / "v", "abc")
    words = ["--train-data", train, "--test-data", test, "--iterations", "1", "--gpus", "none"]
    words += ["--rows", "R_26_1x32d", "X_26_32x2d", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    result = json.loads((tmp_path / "out/result.json").read_text())
    assert [row["model"] for row in result["rows"]] == [
        "ResNet-26 1x32d, half width",
        "ResNeXt-26 32x2d, half width",
    ]
    assert result["kind"] == "classification"
    assert {d["metric"] for d in result["differences"]} >= {"top1"}
    assert (tmp_path / "out/report.html").is_file()
    said = capsys.readouterr().out
    for expected in ("cardinality at equal complexity, error in %", "22.2", "differs most"):
        assert expected in said
    top1 = result["rows"][0]["metrics"]["top1"]
    assert f"{100 - top1:.1f}" in said
    assert str(tmp_path) not in json.dumps(result)
