"""The recipes of the files under configs/: schedules, networks, and the paper's own numbers."""

import json
from pathlib import Path

import pytest

from tests.config.shipped import COCO, EXTRA, PAPER, ROOT, differing_keys, load, read_name

BACKBONE_KEYS = {f"MODEL.RESNETS.{key}" for key in ("DEPTH", "NUM_GROUPS", "WIDTH_PER_GROUP")}
LENGTH_KEYS = {"SOLVER.STEPS", "SOLVER.MAX_ITER"}
PROPOSALS = {"DATASETS.PROPOSAL_FILES_TRAIN", "DATASETS.PROPOSAL_FILES_TEST"}
LENGTHS = {"1x": ([60000, 80000], 90000), "3x": ([210000, 250000], 270000)}
LONG = [name for name in COCO if name.endswith("_3x.yaml") and name != EXTRA]
FC_PARAMS = 2048 * 1000 + 1000


def res5_params(width: int, groups: int) -> int:
    """Three blocks of 1x1, 3x3 and 1x1, a projection, and each norm's scale and bias."""
    blocks = [
        width * inner + width * width * 9 // groups + width * 2048 for inner in (1024, 2048, 2048)
    ]
    norms = 3 * 2 * (width + width + 2048) + 2 * 2048
    return sum(blocks) + 1024 * 2048 + norms


@pytest.mark.parametrize("name", COCO)
def test_coco_schedules_are_detectron2s(name):
    solver = load(name).SOLVER
    assert LENGTHS[read_name(name).schedule] == (solver.STEPS, solver.MAX_ITER)
    lr = 0.01 if "retinanet" in name else 0.02
    assert (lr, 16, 16) == (solver.BASE_LR, solver.IMS_PER_BATCH, solver.REFERENCE_BATCH)
    assert (solver.WEIGHT_DECAY, solver.MOMENTUM) == (0.0001, 0.9)


@pytest.mark.parametrize("name", COCO + PAPER)
def test_the_nets_of_a_detector_differ_in_the_backbone_only(name):
    called = read_name(name)
    suffix = f"_{called.schedule}.yaml"
    reference = load(called.detector.format("R_50") + suffix)
    allowed = {*BACKBONE_KEYS, "MODEL.WEIGHTS"}
    if "fast_rcnn" in name:
        allowed |= PROPOSALS
    if name in PAPER:
        allowed |= {"OUTPUT_DIR"}
    assert differing_keys(load(name), reference) <= allowed


@pytest.mark.parametrize("name", LONG)
def test_3x_is_1x_but_longer(name):
    assert differing_keys(load(name), load(name.replace("_3x", "_1x"))) == LENGTH_KEYS


@pytest.mark.parametrize("name", COCO + PAPER)
def test_the_counted_complexity_is_the_variants(name):
    """Complexity.json against itself: its detectors' backbones are parts of its classifiers."""
    counted = json.loads((ROOT / "complexity.json").read_text())
    row, whole = counted["configs"][name], counted["variants"][read_name(name).variant]
    net = load(name).MODEL.RESNETS
    params = whole["params"] - FC_PARAMS
    if "_C4" in name:
        params -= res5_params(8 * net.NUM_GROUPS * net.WIDTH_PER_GROUP, net.NUM_GROUPS)
    assert row["params"] == params
    if "_DC5" in name:  # res5 at four times the positions
        assert row["flops"] > whole["flops"]
    elif "_C4" not in name:
        assert row["flops"] == whole["flops"] - 2048 * 1000


@pytest.mark.parametrize("name", [name for name in COCO if "pointrend" in name])
def test_pointrend_is_mask_rcnn_but_for_the_head(name):
    """As projects/PointRend of Detectron2; what else it has stands at the project's defaults."""
    cfg = load(name)
    assert differing_keys(cfg, load(name.replace("pointrend", "mask"))) == {
        "INPUT.MASK_FORMAT",
        "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES",
        "MODEL.ROI_MASK_HEAD.NAME",
        "MODEL.ROI_MASK_HEAD.POINT_HEAD_ON",
        "MODEL.ROI_MASK_HEAD.POOLER_TYPE",
    }
    head = cfg.MODEL.ROI_MASK_HEAD
    assert (head.NAME, head.POOLER_TYPE, head.POINT_HEAD_ON) == ("PointRendMaskHead", "", True)
    assert (head.FC_DIM, head.NUM_FC, head.OUTPUT_SIDE_RESOLUTION) == (1024, 2, 7)
    assert (cfg.MODEL.POINT_HEAD.FC_DIM, cfg.MODEL.POINT_HEAD.NUM_FC) == (256, 3)
    assert head.IN_FEATURES == cfg.MODEL.POINT_HEAD.IN_FEATURES == ["p2"]
    assert (cfg.INPUT.MASK_FORMAT, cfg.MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES) == ("bitmask", True)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_numbers(name):
    """Section 5.4: 8 GPUs, and for each two images (RPN) or one (Fast R-CNN)."""
    cfg = load(name)
    images, lr = (2, 0.02) if Path(name).stem.startswith("rpn") else (1, 0.005)
    assert (8 * images, lr) == (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR)
    assert cfg.SOLVER.IMS_PER_BATCH == cfg.SOLVER.REFERENCE_BATCH
    assert (cfg.SOLVER.STEPS, cfg.SOLVER.MAX_ITER) == ([120_000], 120_000 + 60_000)
    assert (cfg.SOLVER.GAMMA, cfg.SOLVER.MOMENTUM, cfg.SOLVER.WEIGHT_DECAY) == (0.1, 0.9, 1e-4)
    assert cfg.DATASETS.TRAIN == ["coco_2014_train", "coco_2014_valminusminival"]
    assert cfg.DATASETS.TEST[-1] == "coco_2014_minival"
    assert (cfg.MODEL.RESNETS.NORM, cfg.MODEL.RESNETS.OUT_FEATURES) == ("FrozenBN", ["res4"])
    if images == 2:
        assert cfg.MODEL.META_ARCHITECTURE == "ProposalNetwork"
        assert cfg.MODEL.RPN.BATCH_SIZE_PER_IMAGE == 256
        assert cfg.DATASETS.TEST[:-1] == cfg.DATASETS.TRAIN  # proposals to train on
    else:
        assert cfg.MODEL.ROI_HEADS.NAME == "Res5ROIHeads"
        assert cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE == 64


@pytest.mark.parametrize("kind", ["classification_{}", "faster_rcnn_{}_FPN"])
def test_quick_pairs_differ_in_the_backbone_only(kind):
    first, second = (load(f"quick_schedules/{kind.format(net)}.yaml") for net in ("R_26", "X_26"))
    allowed = {*BACKBONE_KEYS, "MODEL.RESNETS.VARIANT", "MODEL.WEIGHTS", "OUTPUT_DIR"}
    assert differing_keys(first, second) <= allowed
