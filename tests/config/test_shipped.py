"""Every file under configs/: loads, is sound, round-trips, and keeps the house style."""

import re
from pathlib import Path

import pytest
import torchvision
import yaml

from resnext_det.config import (
    changed_keys,
    config_root,
    dump_config,
    find_config,
    load_config,
    task_of,
)
from resnext_det.config.loader import read_chain
from resnext_det.modeling.variants import get_variant, list_variants

ROOT = config_root()
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))
RUNNABLE = [name for name in FILES if not Path(name).name.startswith("Base-")]
COCO = [name for name in FILES if name.startswith("COCO-Detection/")]
IMAGENET = [name for name in FILES if name.startswith("ImageNet-Classification/")]
IMAGENET_TRAIN_IMAGES = 1_281_167  # ILSVRC 2012
BACKBONE_KEYS = [f"MODEL.RESNETS.{key}" for key in ("DEPTH", "NUM_GROUPS", "WIDTH_PER_GROUP")]


def load(name: str):
    return load_config(f"resnext_det://{name}").cfg


def differing_keys(first, second) -> set[str]:
    changed = changed_keys(first), changed_keys(second)
    return {key for key in {*changed[0], *changed[1]} if changed[0].get(key) != changed[1].get(key)}


def test_the_files_that_are_promised_are_there():
    nets = ["R_50", "R_101", "R_152", "X_50_32x4d", "X_101_32x4d", "X_101_32x8d", "X_101_64x4d"]
    nets.append("X_152_32x4d")
    for net in nets:
        assert f"ImageNet-Classification/{net}.yaml" in FILES
        for schedule in ("1x", "3x"):
            assert f"COCO-Detection/faster_rcnn_{net}_FPN_{schedule}.yaml" in FILES
    for net in ("R_26", "X_26"):
        assert f"quick_schedules/classification_{net}.yaml" in FILES
        assert f"quick_schedules/faster_rcnn_{net}_FPN.yaml" in FILES


@pytest.mark.parametrize("name", FILES)
def test_loads_without_a_warning_and_reloads_equal(name, tmp_path, caplog):
    cfg = load(name)
    assert not caplog.records
    (tmp_path / "config.yaml").write_text(dump_config(cfg))
    assert load_config(str(tmp_path / "config.yaml")).cfg == cfg


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_header_says_command_cost_expectation_and_source(name):
    head = (ROOT / name).read_text().split("_BASE_")[0]
    for word in ("Command:", "Cost:", "Expected:", "Source:"):
        assert f"\n# {word}" in head
    assert f"configs/{name}" in head
    assert "measured" in head  # here, or "not measured here"


@pytest.mark.parametrize("name", FILES)
def test_style(name):
    text = (ROOT / name).read_text()
    values = [line.split("#")[0] for line in text.splitlines()]
    assert not [line for line in values if re.search(r":\s*\(", line)], "lists, not tuples"
    assert not [line for line in values if re.search(r"\b(ON|OFF|YES|NO|on|off|yes|no)\b", line)]
    assert not [line for line in values if re.search(r"[ \[]\d+e-?\d", line)], "1.0e-4, not 1e-4"
    assert len(read_chain(f"resnext_det://{name}")) <= 3  # the file and two bases


@pytest.mark.parametrize("name", RUNNABLE)
def test_bases_are_relative_so_that_detectron2_finds_them(name):
    base = yaml.safe_load((ROOT / name).read_text())["_BASE_"]
    assert not base.startswith(("/", "resnext_det://"))
    assert find_config(base, (ROOT / name).parent).is_file()


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_file_name_says_the_network(name):
    net = load(name).MODEL.RESNETS
    match = re.search(r"([RX])_(\d+)(?:_(\d+)x(\d+)d)?", Path(name).stem)
    assert match
    kind, depth, groups, width = match.groups()
    assert int(depth) == net.DEPTH
    if name.startswith("quick_schedules/"):
        assert (net.NUM_GROUPS == 1) == (kind == "R")  # widths are tuned to equal complexity
    elif kind == "R":
        assert (net.NUM_GROUPS, net.WIDTH_PER_GROUP) == (1, 64)
    else:
        assert (int(groups), int(width)) == (net.NUM_GROUPS, net.WIDTH_PER_GROUP)
    assert net.STRIDE_IN_1X1 is False


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_folder_says_the_task(name):
    is_classifier = "lassification" in name
    assert task_of(load(name)) == ("classification" if is_classifier else "detection")


@pytest.mark.parametrize("name", RUNNABLE)
def test_pixels_are_rgb_with_imagenets_mean_and_deviation(name):
    cfg = load(name)
    preset = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    assert cfg.INPUT.FORMAT == "RGB"
    assert pytest.approx([255 * value for value in preset.mean]) == cfg.MODEL.PIXEL_MEAN
    assert pytest.approx([255 * value for value in preset.std]) == cfg.MODEL.PIXEL_STD


@pytest.mark.parametrize("name", COCO)
def test_coco_schedules_are_detectron2s(name):
    solver = load(name).SOLVER
    expected = {"1x": ([60000, 80000], 90000), "3x": ([210000, 250000], 270000)}[name[-7:-5]]
    assert expected == (solver.STEPS, solver.MAX_ITER)
    assert (solver.BASE_LR, solver.IMS_PER_BATCH) == (0.02, 16)
    assert (solver.WEIGHT_DECAY, solver.MOMENTUM) == (0.0001, 0.9)


@pytest.mark.parametrize("name", COCO)
def test_coco_nets_differ_in_the_backbone_only(name):
    reference = load(f"COCO-Detection/faster_rcnn_R_50_FPN_{name[-7:-5]}.yaml")
    assert differing_keys(load(name), reference) <= {*BACKBONE_KEYS, "MODEL.WEIGHTS"}


@pytest.mark.parametrize("name", COCO)
def test_the_weights_that_coco_configs_name_exist(name):
    spec = load(name).MODEL.WEIGHTS
    net = Path(name).stem.removeprefix("faster_rcnn_").rsplit("_FPN", 1)[0]
    variant = net.lower().replace("r_", "resnet").replace("x_", "resnext", 1)
    assert variant in list_variants()
    scheme, _, rest = spec.partition("://")
    if not spec:
        assert net == "X_152_32x4d"
    elif scheme == "torchvision":
        model, _, weights = rest.partition("/")
        assert model == variant
        assert weights in torchvision.models.get_model_weights(model).__members__
    else:
        assert (scheme, rest.split(".")[0]) == ("timm", variant)
        timm = pytest.importorskip("timm", reason="needs timm (pip install timm)")
        assert rest in timm.list_pretrained(f"{variant}*")


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_epochs_in_iterations(name):
    solver = load(name).SOLVER
    iterations = [round(e * IMAGENET_TRAIN_IMAGES / 256) for e in (30, 60, 90, 100)]
    assert [*solver.STEPS, solver.MAX_ITER] == iterations
    assert (solver.IMS_PER_BATCH, solver.BASE_LR, solver.GAMMA) == (256, 0.1, 0.1)
    assert (solver.WEIGHT_DECAY, solver.WEIGHT_DECAY_NORM) == (1e-4, 1e-4)


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_nets_train_whole_with_batch_norm(name):
    cfg = load(name)
    assert (cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT) == ("BN", 0)
    variant = get_variant(cfg.MODEL.RESNETS.VARIANT)
    assert variant.depth == cfg.MODEL.RESNETS.DEPTH


@pytest.mark.parametrize("kind", ["classification_{}", "faster_rcnn_{}_FPN"])
def test_quick_pairs_differ_in_the_backbone_only(kind):
    first, second = (load(f"quick_schedules/{kind.format(net)}.yaml") for net in ("R_26", "X_26"))
    allowed = {*BACKBONE_KEYS, "MODEL.RESNETS.VARIANT", "MODEL.WEIGHTS", "OUTPUT_DIR"}
    assert differing_keys(first, second) <= allowed
