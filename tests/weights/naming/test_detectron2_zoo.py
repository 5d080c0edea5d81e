"""Files in Detectron2's names: its zoo's .pkl, converted torchvision models, trainers' .pth."""

import pytest
import torch

from resnext_det.weights.content import FileContent
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.naming.registry import give_our_names
from tests.weights import caffe2_files as build
from tests.weights.caffe2_files import R50, R101, R152, Net, shapes_only

ZOO = "Detectron2 Model Zoo"
MEAN = (103.53, 116.28, 123.675)
ONE, STD = (1.0, 1.0, 1.0), (57.375, 57.12, 58.395)


def zoo_file(norm, counts, groups, width, prefix="backbone.bottom_up."):
    """A detector's backbone; the renaming is tested against Detectron2 elsewhere."""
    net = Net(shapes_only, norm)
    build.add_body(net, counts, groups, width)
    state = give_our_names(FileContent("pickle", net.blobs), "X.pkl").state
    return {f"{prefix}{key}": value for key, value in state.items()}


def rename(state, container="pickle", **extras):
    return give_our_names(FileContent(container, state, extras), "model_final.pkl")


# By the zoo's config of each.
CONFIGS = {
    "faster_rcnn_R_50_FPN_3x": ("BN", R50, 1, 64, ONE, True),
    "retinanet_R_101_FPN_3x": ("BN", R101, 1, 64, ONE, True),
    "rpn_R_50_C4_1x": ("BN", R50[:3], 1, 64, ONE, True),
    "mask_rcnn_X_101_32x8d_FPN_3x": ("BN", R101, 32, 8, STD, False),
    "cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv": ("BN", R152, 32, 8, ONE, False),
    "mask_rcnn_R_50_FPN_3x_gn": ("GN", R50, 1, 64, ONE, False),
    "panoptic_fpn_R_101_dconv_cascade_gn_3x": ("GN", R101, 1, 64, ONE, False),
}


@pytest.mark.parametrize(
    ("norm", "counts", "groups", "width", "std", "in_1x1"), CONFIGS.values(), ids=CONFIGS.keys()
)
def test_the_zoos_files_are_told_by_author_norm_and_shapes(
    norm, counts, groups, width, std, in_1x1
):
    renamed = rename(zoo_file(norm, counts, groups, width), __author__=ZOO)
    assert renamed.side_car.convention == Convention("BGR", MEAN, std, in_1x1)
    assert renamed.side_car.licence == "CC-BY-SA-3.0"
    assert renamed.side_car.norm == norm
    assert renamed.notes[0].startswith("by Detectron2 Model Zoo")


def test_a_backbone_of_detectrons_trained_on_in_detectron2_is_affine_still():
    state = zoo_file("affine", R152, 32, 8)
    ones = {k: torch.ones(1) for k in state if k.endswith("running_var")}  # Detectron2's
    made_up = {**state, **ones}
    assert rename(made_up, __author__=ZOO).side_car.norm == "affine"
    assert rename(made_up, __author__=ZOO).side_car.convention is not None
    assert rename(made_up).side_car.norm == "BN"  # it may be fresh
    assert rename(zoo_file("BN", R50, 1, 64), __author__=ZOO).side_car.norm == "BN"


def with_norm_in_fpn(state):
    return {**state, "backbone.fpn_lateral2.norm.running_var": torch.ones(1)}


def with_deep_stem(state):
    return {**state, "backbone.bottom_up.stem.conv2.weight": torch.ones(1)}


@pytest.mark.parametrize(
    "change", [with_norm_in_fpn, with_deep_stem], ids=["syncbn in the FPN", "deep stem"]
)
def test_the_zoos_other_files_have_none(change):
    renamed = rename(change(zoo_file("BN", R50, 1, 64)), __author__=ZOO)
    assert renamed.side_car.convention is None
    assert "which of its configs" in renamed.notes[0]


def test_shapes_that_the_zoo_has_not_have_none():
    renamed = rename(zoo_file("BN", R50, 32, 4), __author__=ZOO)
    assert renamed.side_car.convention is None
    assert "has no 32x4d" in renamed.notes[0]


@pytest.mark.parametrize("author", [None, "somebody", 7, ["torchvision"]])
def test_another_author_tells_nothing(author):
    side_car = rename(zoo_file("BN", R50, 1, 64), __author__=author).side_car
    assert (side_car.convention, side_car.licence) == (None, "")


def test_buffers_of_mean_and_std_are_believed_and_not_kept():
    state = zoo_file("BN", R50, 1, 64)
    buffers = {
        "pixel_mean": torch.tensor([123.675, 116.28, 103.53]).reshape(3, 1, 1),
        "pixel_std": torch.tensor([58.395, 57.12, 57.375]).reshape(3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": torch.ones(3, 4),
    }
    renamed = rename({**state, **buffers}, __author__=ZOO)
    assert renamed.side_car.convention == Convention(
        "RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), stride_in_1x1=True
    )
    assert renamed.state.keys() == state.keys()


def test_a_converted_torchvision_model_is_ours_with_its_classifier():
    # tools/convert-torchvision-to-d2.py: "stem." before all that is in no layer, fc too.
    torchvisions = {
        "stem.conv1.weight": torch.ones(64, 3, 7, 7),
        "stem.conv1.norm.weight": torch.ones(64),
        "stem.conv1.norm.num_batches_tracked": torch.tensor(1),
        "res2.0.conv2.weight": torch.ones(64, 64, 3, 3),
        "res2.0.shortcut.norm.running_var": torch.ones(256),
        "stem.fc.weight": torch.ones(1000, 2048),
        "stem.fc.bias": torch.ones(1000),
    }
    renamed = rename(torchvisions, __author__="torchvision", matching_heuristics=True)
    assert renamed.side_car.convention == torchvision_convention()
    wanted = {key.replace("stem.fc", "linear") for key in torchvisions}
    assert renamed.state.keys() == wanted


def test_a_trainers_checkpoint_gives_its_model_alone():
    state = zoo_file("BN", R50, 1, 64)
    renamed = rename(state, "torch", optimizer={"state": {}}, scheduler={}, iteration=89_999)
    assert renamed.state.keys() == state.keys()
    assert renamed.side_car.convention is None
