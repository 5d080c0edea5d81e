"""Caffe2's names in ours: by hand, by a list that Detectron2 made, and by Detectron2 itself."""

import json
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.caffe2_names import rename_blob
from resnext_det.weights.naming.registry import give_our_names
from tests.weights.caffe2_files import with_momentum
from tests.weights.caffe2_kinds import KINDS, msra_r50, retinanet

# Made by make_caffe2_pairs.py, which calls Detectron2's converter.
RECORD = json.loads(Path(__file__).with_name("caffe2_pairs.json").read_text())

BY_HAND = {
    "conv1_w": "stem.conv1.weight",
    "res_conv1_bn_gamma": "stem.conv1.norm.weight",
    "res_conv1_bn_s": "stem.conv1.norm.weight",
    "res_conv1_bn_riv": "stem.conv1.norm.running_var",
    "conv1_gn_b": "stem.conv1.norm.bias",
    "res2_0_branch1_w": "res2.0.shortcut.weight",
    "res2_0_branch1_bn_running_mean": "res2.0.shortcut.norm.running_mean",
    "res4_22_branch2b_bn_running_var": "res4.22.conv2.norm.running_var",
    "res5_2_branch2c_gn_s": "res5.2.conv3.norm.weight",
    "fc1000_w": "linear.weight",
    "pred_b": "linear.bias",
    "fpn_inner_res5_2_sum_w": "fpn_lateral5.weight",
    "fpn_inner_res4_35_sum_lateral_b": "fpn_lateral4.bias",
    "fpn_inner_res3_3_sum_lateral_gn_s": "fpn_lateral3.norm.weight",
    "fpn_res2_2_sum_w": "fpn_output2.weight",
    "conv_rpn_w": "proposal_generator.rpn_head.conv.weight",
    "rpn_cls_logits_fpn2_b": "proposal_generator.rpn_head.objectness_logits.bias",
    "rpn_bbox_pred_fpn2_w": "proposal_generator.rpn_head.anchor_deltas.weight",
    "fc7_w": "box_head.fc2.weight",
    "head_conv4_gn_s": "box_head.conv4.norm.weight",
    "_[mask]_fcn1_w": "mask_head.mask_fcn1.weight",
    "_mask_fcn4_gn_b": "mask_head.mask_fcn4.norm.bias",
    "conv5_mask_w": "mask_head.deconv.weight",
    "mask_fcn_logits_b": "mask_head.predictor.bias",
    "conv_fcn8_w": "roi_heads.keypoint_head.conv_fcn8.weight",
    "kps_score_lowres_w": "roi_heads.keypoint_head.score_lowres.weight",
    # Without a name in Detectron2's converter: its RetinaNet has these.
    "retnet_cls_conv_n3_fpn3_w": "head.cls_subnet.6.weight",
    "retnet_bbox_conv_n1_fpn3_b": "head.bbox_subnet.2.bias",
    "retnet_cls_pred_fpn3_w": "head.cls_score.weight",
    "retnet_bbox_pred_fpn3_b": "head.bbox_pred.bias",
    "fpn_6_w": "top_block.p6.weight",
}


def rename(blobs, **extras):
    return give_our_names(FileContent("pickle", blobs, extras), "R-50.pkl")


@pytest.mark.parametrize(("blob", "ours"), BY_HAND.items(), ids=BY_HAND.keys())
def test_names_written_by_hand(blob, ours):
    assert rename_blob(blob) == ours


@pytest.mark.parametrize(
    "blob", ["res2_0_branch3_w", "res2_0_branch2a_w_momentum", "conv1", "fc8_w", "fpn_res2_w", ""]
)
def test_other_names_have_none(blob):
    assert rename_blob(blob) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_blob_has_the_name_that_detectron2_gave_it(kind):
    pairs = RECORD["pairs"]
    ours = {blob: rename_blob(blob) for blob in KINDS[kind]().blobs}
    known = {blob: key for blob, key in ours.items() if blob in pairs and not idle(blob)}
    assert known == {blob: pairs[blob] for blob in known}
    # None was left to chance: what the list has not, is the classifier under MSRA's name.
    assert {blob for blob in ours if blob not in known and not idle(blob)} <= {
        "fc1000_w",
        "fc1000_b",
    }
    assert len(ours) == RECORD["blobs"][kind]


def idle(blob: str) -> bool:
    return blob == "conv1_b" or ("_branch" in blob and "n_b" not in blob and blob.endswith("_b"))


@pytest.mark.d2
@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_values_are_detectron2s(kind):
    from detectron2.checkpoint.c2_model_loading import convert_c2_detectron_names

    blobs = KINDS[kind]().blobs
    theirs, original = convert_c2_detectron_names(dict(blobs))
    ours = dict(rename(with_momentum(blobs)).state)
    for ending in ("weight", "bias"):
        if f"fc1000.{ending}" in theirs:
            theirs[f"linear.{ending}"] = theirs.pop(f"fc1000.{ending}")
    theirs = {key: value for key, value in theirs.items() if not idle(original.get(key, ""))}
    affine = {key: ours.pop(key) for key in ours.keys() - theirs.keys()}
    assert ours.keys() == theirs.keys()
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []
    # Beyond theirs: statistics for the norms that have none, and nothing else.
    assert all(key.endswith(("norm.running_mean", "norm.running_var")) for key in affine)
    scales = sum(blob.endswith("_bn_s") for blob in blobs)
    assert len(affine) == 2 * scales


@pytest.mark.d2
def test_the_recorded_pairs_are_what_detectron2_says_today():
    from tests.weights.naming.make_caffe2_pairs import make_record

    assert make_record()["pairs"] == RECORD["pairs"]


def test_retinanet_is_detectron2s_retinanet():
    state = rename(retinanet().blobs).state
    assert state["head.cls_score.weight"].shape == (4 * 9, 8, 3, 3)
    assert state["head.bbox_pred.weight"].shape == (4 * 9, 8, 3, 3)
    # Four convolutions a tower, at the even places; p6 and p7; laterals of res3 to res5.
    assert {key for key in state if key.startswith("head.bbox_subnet")} == {
        f"head.bbox_subnet.{place}.{ending}"
        for place in (0, 2, 4, 6)
        for ending in ("weight", "bias")
    }
    assert "fpn_lateral3.weight" in state
    assert "fpn_lateral2.weight" not in state
    assert state["top_block.p6.weight"].shape == (8, 128, 3, 3)


def test_idle_biases_are_named_where_they_are_not_zero():
    blobs = msra_r50().blobs
    notes = rename(blobs).notes
    assert any(note.startswith("conv1_b, up to 0.") for note in notes)
    zero = {**blobs, "conv1_b": torch.zeros(4)}
    assert not any(note.startswith("conv1_b") for note in rename(zero).notes)


def test_blobs_of_unknown_parts_are_left_out_and_named():
    blobs = msra_r50().blobs
    renamed = rename({**blobs, "conv_cls_w": torch.ones(1), "lr": torch.ones(1)})
    assert "1 blobs left out, of no part known here (conv_cls_w)" in renamed.notes
    assert renamed.state.keys() == rename(blobs).state.keys()


def test_a_stage_with_more_in_it_is_refused():
    blobs = {**msra_r50().blobs, "res2_0_se_w": torch.ones(1)}
    with pytest.raises(UserError, match=r"^R-50.pkl: no plain ResNet.* has res2_0_se_w$"):
        rename(blobs)


def test_two_blobs_for_one_tensor_are_refused():
    blobs = {**msra_r50().blobs, "pred_w": torch.ones(10, 128)}
    with pytest.raises(UserError, match=r"has pred_w, which is a second linear.weight$"):
        rename(blobs)


def test_an_empty_file_is_nobodys():
    with pytest.raises(UserError, match="holds no tensors"):
        rename({})


def test_affine_layers_get_statistics_that_change_nothing():
    from resnext_det.modeling.norms import FrozenBatchNorm2d

    blobs = KINDS["detectron_r50"]().blobs
    renamed = rename(blobs)
    assert (renamed.side_car.norm, renamed.side_car.norm_eps) == ("affine", 1e-5)
    layer = FrozenBatchNorm2d(4)
    prefix = "res2.0.conv1.norm."
    layer.load_state_dict(
        {key.removeprefix(prefix): v for key, v in renamed.state.items() if key.startswith(prefix)}
    )
    x = torch.linspace(-3, 3, 4 * 50).reshape(2, 4, 5, 5)
    scale, bias = (blobs[f"res2_0_branch2a_bn_{end}"].reshape(1, 4, 1, 1) for end in "sb")
    exact = x.double() * scale + bias
    assert (layer(x) - exact).abs().max() < 5e-7
    # With the variance of 1 that Detectron2 leaves, each norm is 1 / sqrt(1 + 1e-5) too small.
    layer.running_var.fill_(1)
    gap = (layer(x) - exact).abs().max() / (x * scale).abs().max()
    assert 4.5e-6 < gap < 5.5e-6


def test_a_heads_group_norm_does_not_make_the_backbone_one():
    net = KINDS["detectron_r50"]()
    net.norm = "GN"
    net.normed("head_conv1", 8, 8, 3)
    assert rename(net.blobs).side_car.norm == "affine"
    gn = rename(KINDS["mask_fpn_gn"]().blobs)
    assert (gn.side_car.norm, gn.side_car.norm_eps) == ("GN", None)
    assert not any(key.endswith("running_var") for key in gn.state)
