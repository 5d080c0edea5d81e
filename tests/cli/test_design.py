"""The design verb: its table, its JSON, its refusals, and the configs that it writes."""

import json
import shlex

import numpy as np
import pytest
import torch
from PIL import Image

from resnext_det.cli import main
from resnext_det.config import load_config, task_of
from resnext_det.engines.base import resolve_engine
from resnext_det.modeling.complexity import count_parameters
from resnext_det.modeling.from_config import backbone_from_config, classifier_from_config

# Narrow enough for a test to train it.
NARROW = ("design", "--depth", "26", "--stem-channels", "8", "--res2-channels", "32")


HEADER = """\
# Faster R-CNN with FPN on ResNeXt-26 2x64d, COCO, 1x schedule; designed after ResNet-26 1x64d.
#
# Command:    resnext-det train --num-gpus 8 \\
#               --config-file mine/faster_rcnn_X_26_2x64d_FPN_1x.yaml \\
#               MODEL.WEIGHTS path/to/X_26_2x64d/model_final.pth
# Complexity: 27.14 M parameters (-15.2 %), 4.205 G multiply-adds (-10.2 %) of the classifier at 224
#             px; block, Eq. 4: 139,264 (+0.0 %); from 2 times ResNet-26
# Cost:       not measured
# Expected:   none measured
# Source:     `resnext-det design --like resnet26 --times 2 --cardinality 2`
_BASE_: "resnext_det://Base-RCNN-FPN.yaml"
MODEL:
  WEIGHTS: ""  # the classifier trained first: see the command
  RESNETS:
    DEPTH: 26
    NUM_GROUPS: 2
    WIDTH_PER_GROUP: 64
"""


def designed(tmp_path, *argv):
    """What --json says."""
    path = tmp_path / "design.json"
    assert main(["design", *argv, "--json", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def refusal(capsys, *argv):
    assert main(["design", *argv]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message.removeprefix("error: ").rstrip()


def test_table_and_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    content = designed(tmp_path, "--like", "resnet26")
    assert {row["num_groups"]: row["width_per_group"] for row in content["rows"]} == {
        1: 64, 2: 40, 4: 24, 8: 14, 16: 8, 32: 4, 64: 2,
    }  # fmt: skip
    printed = " ".join(capsys.readouterr().out.split())
    assert "Designed after ResNet-26 1x64d (16.00 M parameters" in printed
    assert "kept: the block's parameters (Eq. 4), 69,632." in printed
    assert "│ 16 │ 8 │ 128 │ 74,752 (+7.4 %) │ 234.4 (+7.4 %)" in printed
    assert "│ 32 │ 4 │ 128 │ 70,144 (+0.7 %) │" in printed
    assert "│ resnext26_32x4d │" in printed
    assert "No whole width comes within 5 % at C = 16: the nearest is shown." in printed
    row = content["rows"][5]
    assert (row["group_width"], row["variant"]) == (128, "resnext26_32x4d")
    assert row["differences"]["block_params"] == pytest.approx(100 * (70144 / 69632 - 1))
    assert [row["within_tolerance"] for row in content["rows"]].count(False) == 1
    assert content["reference"]["params"] == 15_995_176
    assert (content["match"], content["times"], content["target"]) == ("block", 1, 69632)


def test_the_papers_rounding_is_told(tmp_path, capsys):
    argv = ("--depth", "26", "--times", "2", "--cardinality", "1,2,64")
    content = designed(tmp_path, *argv)
    assert [row["width_per_group"] for row in content["rows"]] == [99, 64, 4]
    note = "The paper's Table 4 has 1x100d, rounded; the nearest width is 99."
    assert content["notes"] == [note]
    assert note in capsys.readouterr().out
    assert content["rows"][0]["paper_width"] == 100


def test_budgets_say_what_is_kept(tmp_path, capsys):
    content = designed(tmp_path, "--depth", "26", "--params", "15M", "--cardinality", "2")
    assert (content["match"], content["target"]) == ("params", pytest.approx(15e6))
    content = designed(tmp_path, "--depth", "26", "--flops", "2.5e9", "--cardinality", "2")
    assert (content["match"], content["target"]) == ("flops", pytest.approx(2.5e9))
    printed = " ".join(capsys.readouterr().out.split())
    assert "kept: the whole network's parameters, 15,000,000." in printed
    assert "kept: the whole network's multiply-adds, 2,500,000,000." in printed


def test_half_width(tmp_path):
    half = ("--stem-channels", "32", "--res2-channels", "128", "--cardinality", "32")
    content = designed(tmp_path, "--depth", "26", *half)
    assert content["reference"]["model"] == "ResNet-26 1x32d"
    assert content["rows"][0]["model"] == "ResNeXt-26 32x2d"


WRONG = {
    "no such variant": (
        "--like resnext50",
        "no variant is named 'resnext50'; the nearest is 'resnet50'",
    ),
    "basic blocks": ("--like resnet34", "resnet34 is made of basic blocks"),
    "basic depth": ("--depth 18", "resnet18 is made of basic blocks"),
    "depth": ("--depth 42", "no ResNet of depth 42 is known: choose one of 26, 29, 50"),
    "no number": ("--cardinality 2,x", "--cardinality 2,x: 'x' is no positive whole number"),
    "nothing": ("--cardinality 2,,4", "--cardinality 2,,4: '' is no positive whole number"),
    "zero": ("--cardinality 0", "'0' is no positive whole number"),
    "negative": ("--cardinality=-2", "'-2' is no positive whole number"),
    "half": ("--cardinality 2.5", "'2.5' is no positive whole number"),
    "twice": ("--cardinality 2,4,02", "cardinality 2 is named twice"),
    "many": ("--cardinality 10000", "from 1 to 8192, the most groups designed for"),
    "wide": ("--times 800 --cardinality 8000", "more than the 8192 designed for"),
    "no amount": ("--params many", "--params many: a number is wanted, with K, M or G"),
    "small letter": ("--params 25.5m", "--params 25.5m: a number is wanted"),
    "FLOPs of nothing": ("--flops 0G", "--flops 0G: a number is wanted"),
    "no unit": ("--params 25.5", "is its unit missing, as in 25.5M or 4.1G?"),
    "too much": ("--flops 4000000G", "ask for less complexity"),
    "two goals": ("--flops 4G --match params", "--match params and --flops contradict each other"),
    "times": ("--times -1", "times -1: it must be above 0"),
    "tolerance": ("--tolerance nan", "tolerance nan: it must be above 0"),
    "stem": ("--stem-channels 0", "stem channels 0: there must be 1 to 8192"),
    "uneven": ("--res2-channels 130 --like resnext26_32x4d", "name depth and template"),
    "template": ("--template 32 --depth 26", "as in 1x64d"),
    "detector of nothing": ("--detector", "add --write FOLDER"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refusals(capsys, name):
    words, message = WRONG[name]
    argv = shlex.split(words)
    if "--like" not in argv and "--depth" not in argv:
        argv += ["--depth", "26"]
    assert message in refusal(capsys, *argv)


def test_json_is_checked_first(capsys, tmp_path):
    message = refusal(capsys, "--like", "nothing", "--json", str(tmp_path / "a" / "b.json"))
    assert "No such file or directory" in message


def test_cifar_has_no_detector(capsys, tmp_path):
    folder = tmp_path / "configs"
    argv = ["--depth", "29", "--write", str(folder), "--detector", "--cardinality", "8"]
    assert "without the res5 that FPN takes" in refusal(capsys, *argv)
    assert not folder.exists()


@pytest.mark.parametrize("like", ["resnet26", "resnet29_1x64d"])
def test_written_configs_are_the_networks_designed(tmp_path, like):
    argv = ["--like", like, "--cardinality", "1,4,5", "--write", str(tmp_path / "configs")]
    content = designed(tmp_path, *argv)
    files = sorted((tmp_path / "configs").iterdir())
    assert [file.name for file in files] == (
        ["R_26.yaml", "X_26_4x24d.yaml", "X_26_5x20d.yaml"]
        if like == "resnet26"
        else ["R_29_1x64d.yaml", "X_29_4x24d.yaml", "X_29_5x20d.yaml"]
    )
    for file, row in zip(files, content["rows"], strict=True):
        cfg = load_config(str(file)).cfg
        assert task_of(cfg) == "classification"
        with torch.device("meta"):
            assert count_parameters(classifier_from_config(cfg)) == row["params"]


def test_written_detectors_are_the_networks_designed(tmp_path):
    folder = tmp_path / "configs"
    half = ("--stem-channels", "32", "--res2-channels", "128")
    argv = ("--depth", "26", *half, "--cardinality", "1,32", "--write", str(folder), "--detector")
    designed(tmp_path, *argv)
    for tag, groups in (("R_26_1x32d", 1), ("X_26_32x2d", 32)):
        file = folder / f"faster_rcnn_{tag}_stem32_stages128_FPN_1x.yaml"
        cfg = load_config(str(file)).cfg
        assert task_of(cfg) == "detection"
        with torch.device("meta"):
            backbone = backbone_from_config(cfg)
            resolve_engine("portable").build_model(cfg)
        first = backbone.stages()[0][0]
        assert (first.conv2.groups, first.conv2.in_channels) == (groups, {1: 32, 32: 64}[groups])
        assert backbone.output_shape()["res2"].channels == 128


def test_headers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ["design", "--like", "resnet26", "--times", "2", "--cardinality", "2,1"]
    assert main([*argv, "--write", "mine", "--detector"]) == 0
    assert (tmp_path / "mine" / "faster_rcnn_X_26_2x64d_FPN_1x.yaml").read_text() == HEADER
    text = (tmp_path / "mine" / "R_26_1x99d.yaml").read_text()
    assert text.startswith("# ResNet-26 1x99d on ImageNet-1K, 100 epochs; designed after ResNet-26")
    assert "#               --config-file mine/R_26_1x99d.yaml\n# Complexity: " in text


def test_the_same_command_again_changes_nothing(tmp_path, capsys):
    argv = [*NARROW, "--write", str(tmp_path / "mine"), "--cardinality"]
    assert main([*argv, "1,2"]) == 0
    texts = {file: file.read_text() for file in (tmp_path / "mine").iterdir()}
    stamps = {file: file.stat().st_mtime_ns for file in texts}
    assert main([*argv, "2,1,4", "--detector"]) == 0  # more files, the same ones first
    assert {file: file.stat().st_mtime_ns for file in texts} == stamps
    assert len(list((tmp_path / "mine").iterdir())) == 6
    changed = sorted(texts)[0]
    changed.write_text("SEED: 1\n")
    message = refusal(capsys, *argv[1:], "1,8")
    assert message.startswith(f"{changed} is there and differs: nothing was written")
    assert changed.read_text() == "SEED: 1\n"
    assert len(list((tmp_path / "mine").iterdir())) == 6


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    message = refusal(capsys, *NARROW[1:], "--write", str(tmp_path / "mine"))
    assert message == f"--write {tmp_path / 'mine'}: is a file; a folder is wanted"


@pytest.fixture
def images(tmp_path):
    """Two class folders of two images, and a COCO file of them."""
    random = np.random.default_rng(0)
    images, boxes = [], []
    for number in range(4):
        name = f"{'ab'[number % 2]}/{number}.png"
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
        images.append({"id": number, "file_name": name, "height": 64, "width": 64})
        boxes.append(
            {"id": number + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
             "bbox": [8.0, 8.0, 40.0, 40.0], "area": 1600.0}
        )  # fmt: skip
    content = {
        "images": images, "annotations": boxes, "categories": [{"id": 1, "name": "thing"}],
    }  # fmt: skip
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return tmp_path / "images"


@pytest.mark.parametrize("engine", ["portable", pytest.param("d2", marks=pytest.mark.d2)])
@pytest.mark.usefixtures("no_handlers_left")
def test_what_is_written_trains(tmp_path, images, engine):
    argv = [*NARROW, "--cardinality", "4", "--write", str(tmp_path / "mine"), "--detector"]
    assert main(argv) == 0
    short = "SOLVER.MAX_ITER 1 SOLVER.STEPS [] SOLVER.IMS_PER_BATCH 2 SOLVER.REFERENCE_BATCH 0"
    short += " DATALOADER.NUM_WORKERS 0 MODEL.DEVICE cpu TEST.EVAL_PERIOD 0 SEED 1 OUTPUT_DIR"
    small = "INPUT.CLASSIFICATION.TRAIN_CROP 32 INPUT.CLASSIFICATION.RESIZE_TEST 32"
    small += f" INPUT.CLASSIFICATION.TEST_CROP 32 {short} {tmp_path / 'classifier'}"
    tag = "X_26_4x3d_stem8_stages32"
    train = ["train", "--config-file", str(tmp_path / "mine" / f"{tag}.yaml")]
    data = [f"toys={images}"]
    assert main([*train, "--train-data", *data, "--test-data", *data, *small.split()]) == 0
    weights = tmp_path / "classifier" / "model_final.pth"
    small = f"MODEL.WEIGHTS {weights} INPUT.MIN_SIZE_TRAIN [64] INPUT.MIN_SIZE_TEST 64"
    small += (
        f" MODEL.FPN.OUT_CHANNELS 8 MODEL.ROI_BOX_HEAD.FC_DIM 8 {short} {tmp_path / 'detector'}"
    )
    # Frozen statistics, after one iteration of a classifier, would let activations explode.
    small = f"MODEL.RESNETS.NORM BN MODEL.BACKBONE.FREEZE_AT 0 {small}"
    file = tmp_path / "mine" / f"faster_rcnn_{tag}_FPN_1x.yaml"
    train = ["train", "--config-file", str(file), "--engine", engine]
    data = [f"toys={tmp_path / 'boxes.json'}:{images}"]
    assert main([*train, "--train-data", *data, "--test-data", *data, *small.split()]) == 0
    assert (tmp_path / "detector" / "model_final.pth").is_file()
