"""Weights of the user's beside the published table. Engine-neutral."""

import json

import pytest
import torch

from projects.PublishedModels.evaluations import evaluation_cells, parse_weights
from projects.PublishedModels.models import MODELS
from projects.PublishedModels.run import main
from projects.PublishedModels.tables import FOLDER, model_lines, tables
from resnext_det.classification.ranks import RANKS_FILE
from resnext_det.config import load_config
from resnext_det.errors import UserError
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.checkpoint import Checkpointer
from tests.projects.small_folders import class_folder

VARIANTS = ("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext152_32x4d")


def test_the_tables_networks_have_configs_of_their_variant():
    assert tuple(model.variant for model in MODELS) == VARIANTS
    for model in MODELS:
        net = load_config(model.config).cfg.MODEL.RESNETS
        assert model.variant == net.VARIANT


def test_nothing_evaluated_shows_the_published_figures_and_the_costs():
    lines = {line[0]: line[1:] for line in model_lines(None)[1:]}
    assert lines["ResNeXt-50 32x4d"] == [
        *("not evaluated", "77.90", "not evaluated", "93.66"),
        *("25.03", "25.03", "4.23", "4.27", "4.27"),
    ]
    assert [line[1] for line in lines.values()] == ["77.90", "78.61", "79.27", "78.88"]
    assert [line[3] for line in lines.values()] == ["93.66", "94.17", "94.58", "94.33"]
    assert [line[4] for line in lines.values()] == ["25.03", "44.18", "88.79", "59.95"]
    # The exact counts of both conventions.
    assert [line[6] for line in lines.values()] == ["4.23", "7.97", "16.41", "11.71"]
    assert [line[7] for line in lines.values()] == ["4.27", "8.03", "16.51", "11.80"]


def test_what_was_evaluated_stands_beside_them():
    rows = [{"model": "ResNeXt-101 32x8d", "metrics": {"top1": 79.312, "top5": None}}]
    lines = {line[0]: line[1:5] for line in model_lines({"rows": rows})[1:]}
    assert lines["ResNeXt-101 32x8d"] == ["79.31", "79.27", "–", "94.58"]
    assert lines["ResNeXt-50 32x4d"][0] == "not evaluated"


def test_the_readme_has_the_table_of_the_result():
    text = (FOLDER / "README.md").read_text()
    for name, table in tables().items():
        assert f"<!-- {name} -->\n\n{table}\n<!-- end -->" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no weights: write VARIANT=FILE_OR_NAME, as in --weights resnext50_32x4d=x50.pth"),
        (("x.pth",), "--weights x.pth: write VARIANT=FILE_OR_NAME"),
        (("resnext50_32x4d=",), "--weights resnext50_32x4d=: write VARIANT=FILE_OR_NAME"),
        (("resnet50=x",), "--weights resnet50=…: the published table has resnext50_32x4d, "),
        (
            ("resnext50_32x4d=a", "resnext50_32x4d=b"),
            "--weights resnext50_32x4d: given twice, a and b",
        ),
    ],
    ids=["none", "no variant", "no file", "unknown", "twice"],
)
def test_weights_that_make_no_sense_are_refused(words, message):
    with pytest.raises(UserError) as caught:
        parse_weights(words)
    assert str(caught.value).startswith(message)


def test_weights_are_evaluated_in_the_order_of_the_table(tmp_path):
    given = parse_weights([f"{VARIANTS[2]}=c", f"{VARIANTS[0]}=torchvision://resnext50_32x4d"])
    cells = evaluation_cells(given, tmp_path, "pictures=folder")
    assert [cell.row.model for cell in cells] == ["ResNeXt-50 32x4d", "ResNeXt-101 32x8d"]
    [job] = cells[0].jobs
    words = " ".join(job.arguments)
    assert "--eval-only --test-data pictures=folder" in words
    assert "MODEL.WEIGHTS torchvision://resnext50_32x4d" in words
    assert job.folder == tmp_path / "X_50_32x4d" / "inference"


def test_other_weights_in_the_same_file_are_another_run(tmp_path):
    file = tmp_path / "w.pth"

    def digest(text):
        file.write_text(text)
        [cell] = evaluation_cells(parse_weights([f"{VARIANTS[0]}={file}"]), tmp_path, None)
        return cell.jobs[0].digest

    assert digest("a") == digest("a") != digest("b")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--plan",), "--plan: nothing is trained here"),
        (("--seeds", "2"), "--seeds: nothing is trained here"),
        (("--test-data", "folder"), "data argument 'folder': write NAME="),
        (("--test-data", "x=a.json:b"), "--test-data x=a.json:b: class folders or shards"),
        ((), "imagenet/val: no such folder"),
    ],
    ids=["plan", "seeds", "no name", "detection", "no data"],
)
def test_mistakes_are_told_in_a_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "none"))
    given = ["--weights", f"{VARIANTS[0]}=x.pth", "--output", str(tmp_path / "out"), *words]
    assert main(given) == 2
    assert message in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def weights(tmp_path):
    """A ResNeXt-50 32x4d of few channels outside of its groups, of two classes."""
    keys = ["MODEL.RESNETS.STEM_OUT_CHANNELS", "8", "MODEL.RESNETS.RES2_OUT_CHANNELS", "16"]
    cfg = load_config(MODELS[0].config, [*keys, "MODEL.CLASSIFIER.NUM_CLASSES", "2"]).cfg
    torch.manual_seed(0)
    checkpointer = Checkpointer(tmp_path / "w", config=cfg.dump(), class_names=("a", "b"))
    return checkpointer.save("w", model=classifier_from_config(cfg), iteration=0)


@pytest.mark.slow
def test_weights_are_evaluated_and_those_of_another_network_refused(tmp_path, weights, capsys):
    data = class_folder(tmp_path / "v", "ab", 2)
    words = ["--test-data", f"pictures={data}", "--output", str(tmp_path / "out"), "--gpus", "none"]
    words += ["--weights", f"{VARIANTS[0]}={weights}"]
    assert main(words) == 0
    result = json.loads((tmp_path / "out/result.json").read_text())
    [row] = result["rows"]
    assert row["model"] == "ResNeXt-50 32x4d"
    ranks = json.loads((tmp_path / "out" / "X_50_32x4d" / RANKS_FILE).read_text())["ranks"]
    assert row["metrics"]["top1"] == 100 * ranks.count(0) / 4
    said = capsys.readouterr().out
    assert "77.90" in said
    assert "not" in said  # the others are not evaluated
    assert main([*words, f"{VARIANTS[2]}={weights}"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "ResNeXt-101 32x8d: evaluation: ended with status 2" in said
    assert "w.pth" in said
    assert "DEPTH" in said or "depth" in said
