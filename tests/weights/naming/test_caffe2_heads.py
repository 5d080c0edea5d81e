"""Rows of Detectron's heads: the background, class-agnostic heads, and the order of anchors."""

from pathlib import Path

import pytest
import torch

from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.caffe2_heads import rearrange_rows
from resnext_det.weights.naming.detectron_cfg import DetectronCfg
from resnext_det.weights.naming.registry import give_our_names
from tests.weights.caffe2_kinds import KINDS

RPN = "proposal_generator.rpn_head"
DEFAULTS = DetectronCfg()
CFG = (Path(__file__).with_name("detectron_cfg.yaml")).read_text()


def rows(key, value, cfg=DEFAULTS):
    return rearrange_rows(key, torch.as_tensor(value), cfg)[0]


def test_the_background_goes_last_in_scores():
    assert rows("cls_score.bias", [0, 1, 2, 3]).tolist() == [1, 2, 3, 0]
    assert rows("cls_score.weight", [[0, 0], [1, 1]]).tolist() == [[1, 1], [0, 0]]


def test_boxes_of_the_background_go():
    assert rows("bbox_pred.bias", list(range(12))).tolist() == list(range(4, 12))


def test_class_agnostic_boxes_are_those_of_the_second_class():
    # Two classes, the background and everything else: fast_rcnn_heads.py, num_bbox_reg_classes.
    assert rows("bbox_pred.bias", list(range(8))).tolist() == [4, 5, 6, 7]


def test_the_backgrounds_mask_goes():
    assert rows("mask_head.predictor.bias", [0, 1, 2]).tolist() == [1, 2]


def test_one_mask_for_all_classes_stays():
    agnostic = DetectronCfg(class_agnostic_masks=True)
    assert rows("mask_head.predictor.bias", [7], agnostic).tolist() == [7]
    assert rows("mask_head.predictor.bias", [7]).tolist() == [7]


@pytest.mark.parametrize(
    ("key", "value", "cfg"),
    [
        ("mask_head.predictor.weight", torch.ones(784, 6), DetectronCfg()),
        ("head.cls_score.weight", torch.ones(45, 8, 3, 3), DetectronCfg(softmax_retinanet=True)),
    ],
    ids=["fully connected masks", "softmax RetinaNet"],
)
def test_heads_without_a_like_are_left_out_by_name(key, value, cfg):
    kept, note = rearrange_rows(key, value, cfg)
    assert kept is None
    assert note.startswith(f"{key} left out")


@pytest.mark.parametrize("key", ["cls_score.bias", "bbox_pred.bias", "mask_head.predictor.bias"])
def test_a_lone_number_is_left_to_the_load_report(key):
    assert rearrange_rows(key, torch.tensor(1.0), DetectronCfg()) == (torch.tensor(1.0), "")


def detectron_anchors(sizes, ratios):
    """(width, height) rounded to whole sizes, in the order of modeling/generate_anchors.py."""
    return [(size / ratio**0.5, size * ratio**0.5) for ratio in ratios for size in sizes]


def detectron2_anchors(sizes, ratios):
    """In the order of detectron2/modeling/anchor_generator.py, generate_cell_anchors."""
    return [(size / ratio**0.5, size * ratio**0.5) for size in sizes for ratio in ratios]


def test_anchors_of_several_sizes_change_their_order():
    sizes, ratios = (32, 64, 128, 256, 512), (0.5, 1.0, 2.0)
    there, here = detectron_anchors(sizes, ratios), detectron2_anchors(sizes, ratios)
    cfg = DetectronCfg(rpn_sizes=5, rpn_ratios=3)
    order = rows(f"{RPN}.objectness_logits.bias", list(range(15)), cfg).tolist()
    assert [there[row] for row in order] == here
    deltas = rows(f"{RPN}.anchor_deltas.bias", list(range(60)), cfg).reshape(15, 4)
    assert deltas.tolist() == [[4 * row + side for side in range(4)] for row in order]


@pytest.mark.d2
def test_anchors_here_are_in_detectron2s_order():
    from detectron2.modeling.anchor_generator import DefaultAnchorGenerator

    sizes, ratios = (32, 64, 128), (0.5, 1.0, 2.0)
    generator = DefaultAnchorGenerator(sizes=[sizes], aspect_ratios=[ratios], strides=[16])
    made = torch.as_tensor(generator.generate_cell_anchors(sizes, ratios))
    wanted = torch.tensor(detectron2_anchors(sizes, ratios))
    assert torch.allclose(made[:, 2:] - made[:, :2], wanted, atol=1e-3)


def test_anchors_of_one_size_keep_their_order():
    fpn = DetectronCfg(rpn_sizes=5, rpn_ratios=3)  # the config of an FPN has RPN.SIZES, too
    assert rows(f"{RPN}.objectness_logits.bias", [0, 1, 2], fpn).tolist() == [0, 1, 2]
    assert rows(f"{RPN}.objectness_logits.bias", list(range(15))).tolist() == list(range(15))


def test_only_the_rpns_outputs_change_for_anchors():
    cfg = DetectronCfg(rpn_sizes=5, rpn_ratios=3)
    assert rows(f"{RPN}.conv.bias", list(range(15)), cfg).tolist() == list(range(15))


def test_a_whole_c4_detector_is_rearranged_by_its_own_config():
    blobs = KINDS["mask_c4"]().blobs
    renamed = give_our_names(FileContent("pickle", blobs, {"cfg": CFG}), "model_final.pkl")
    logits = renamed.state[f"{RPN}.objectness_logits.bias"]
    assert torch.equal(logits, blobs["rpn_cls_logits_b"].reshape(3, 5).T.flatten())
    assert renamed.state["cls_score.weight"].shape == (5, 128)
    assert torch.equal(renamed.state["cls_score.bias"][-1], blobs["cls_score_b"][0])
    assert renamed.state["bbox_pred.bias"].shape == (16,)
    assert renamed.state["mask_head.predictor.bias"].shape == (4,)
    assert any("x2 - x1 + 1" in note for note in renamed.notes)
