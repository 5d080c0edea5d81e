"""Pixels and stride of Caffe2 files: by norm and shapes, or by a detector's own config."""

from pathlib import Path

import pytest
import torch

from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import Convention
from resnext_det.weights.naming.registry import give_our_names
from resnext_det.weights.sources import weights_from_content
from tests.weights import caffe2_files as build
from tests.weights.caffe2_files import R50, R101, R152, Net, shapes_only

CFG = (Path(__file__).with_name("detectron_cfg.yaml")).read_text()
MEAN = (103.53, 116.28, 123.675)
ONE, STD = (1.0, 1.0, 1.0), (57.375, 57.12, 58.395)
DETECTRON_MEAN = (102.9801, 115.9465, 122.7717)

# (norm, blocks, groups, width) -> (std, stride in the 1x1), from the configs of Detectron and
# Detectron2 that name the file.
PUBLISHED = {
    "MSRA R-50, Detectron2's": ("BN", R50, 1, 64, ONE, True),
    "MSRA R-101, Detectron2's": ("BN", R101, 1, 64, ONE, True),
    "X-101-32x8d, Detectron2's": ("BN", R101, 32, 8, STD, False),
    "MSRA R-50, Detectron's": ("affine", R50, 1, 64, ONE, True),
    "X-101-32x8d, Detectron's": ("affine", R101, 32, 8, ONE, False),
    "X-101-64x4d, Detectron's": ("affine", R101, 64, 4, ONE, False),
    "X-152-32x8d-IN5k": ("affine", R152, 32, 8, ONE, False),
    "R-50-GN": ("GN", R50, 1, 64, ONE, False),
    "R-101-GN": ("GN", R101, 1, 64, ONE, False),
}


def rename(net, **extras):
    return give_our_names(FileContent("pickle", net.blobs, extras), "X.pkl")


def body(norm, counts, groups, width):
    net = Net(shapes_only, norm)
    build.add_body(net, counts, groups, width)
    return net


@pytest.mark.parametrize(
    ("norm", "counts", "groups", "width", "std", "in_1x1"), PUBLISHED.values(), ids=PUBLISHED.keys()
)
def test_published_backbones_are_told_by_norm_and_shapes(norm, counts, groups, width, std, in_1x1):
    side_car = rename(body(norm, counts, groups, width)).side_car
    assert side_car.convention == Convention("BGR", MEAN, std, in_1x1)
    assert (side_car.naming, side_car.norm) == ("caffe2", norm)


@pytest.mark.parametrize(
    ("norm", "counts", "groups", "width"),
    [("BN", R50, 32, 4), ("BN", R152, 1, 64), ("GN", R101, 32, 8), ("BN", (2, 2, 2, 2), 1, 64)],
    ids=["X-50-32x4d", "R-152", "X-101-32x8d-GN", "R-26"],
)
def test_other_backbones_have_none_and_the_log_says_so(norm, counts, groups, width):
    renamed = rename(body(norm, counts, groups, width))
    assert renamed.side_car.convention is None
    assert any(note.startswith("no published Caffe2 file is") for note in renamed.notes)


def test_a_detector_is_told_by_its_own_config():
    # R-50 with the stride in the 3x3: no published backbone has that with affine norms.
    net = body("affine", R50, 1, 64)
    convention = rename(net, cfg=CFG).side_car.convention
    assert convention == Convention("BGR", DETECTRON_MEAN, ONE, stride_in_1x1=False)
    assert rename(net, cfg=CFG.encode()).side_car.convention == convention


def test_what_a_config_leaves_out_is_detectrons_default():
    convention = rename(body("affine", R50, 1, 64), cfg="MODEL: {}").side_car.convention
    assert convention == Convention("BGR", DETECTRON_MEAN, ONE, stride_in_1x1=True)


def test_a_config_of_another_network_is_not_believed():
    renamed = rename(body("affine", R101, 32, 8), cfg=CFG)
    assert renamed.side_car.convention is None
    assert any("NUM_GROUPS 1" in note and "32x8d" in note for note in renamed.notes)


def test_a_detector_without_a_readable_config_is_taken_for_its_backbone():
    convention = rename(body("affine", R50[:3], 1, 64), cfg="[").side_car.convention
    assert convention == Convention("BGR", MEAN, ONE, stride_in_1x1=True)


def test_basic_blocks_and_no_res2_have_none():
    net = Net(shapes_only, "BN")
    net.normed("res3_0_branch2a", 64, 64, 1)
    assert rename(net).side_car.convention is None


def test_notes_reach_the_log(caplog):
    caplog.set_level("INFO")
    content = FileContent("pickle", body("affine", R50, 1, 64).blobs, {"cfg": CFG})
    weights = weights_from_content(content, "model_final.pkl")
    assert weights.side_car.norm == "affine"
    said = [line for line in caplog.messages if line.startswith("model_final.pkl: ")]
    assert any("53 norms are scale and bias alone: for FrozenBN only" in line for line in said)
    assert any("RoIAlign shifted by half a pixel" in line for line in said)
    assert torch.equal(weights.state["res2.0.conv1.norm.running_mean"], torch.zeros(64))
