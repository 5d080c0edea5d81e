"""Norm and stride of weights against those of the model. Engine-neutral."""

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.modeling import build_backbone
from resnext_det.weights.architecture import Architecture
from resnext_det.weights.convention import Convention
from resnext_det.weights.load import load_weights
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.sources import Weights
from resnext_det.weights.suiting import (
    check_architecture,
    norm_of_weights,
    norms_of_model,
    stride_is_in_1x1,
)


def state_with(kind):
    """A state dict of ResNet-26 with the given kind of norm, as a file would have it."""
    torch.manual_seed(0)
    state = build_backbone("resnet26", norm="GN" if kind == "GN" else "BN").state_dict()
    for key, value in state.items():
        if "norm.weight" in key:
            value.uniform_(0.5, 1.5)
        elif kind == "affine" and key.endswith("running_var"):
            value.fill_(1 - 1e-5)
        elif kind == "BN" and key.endswith("running_mean"):
            value.fill_(0.25)
    return {k: v for k, v in state.items() if kind or ".norm." not in k}


@pytest.mark.parametrize("kind", ["BN", "GN", "affine", ""])
def test_the_norm_shows_in_the_tensors(kind):
    assert norm_of_weights(Weights(state_with(kind), "x.pth")) == kind


def test_a_side_car_says_it_first():
    assert norm_of_weights(Weights(state_with("BN"), "x.pth", SideCar(norm="affine"))) == "affine"


@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
def test_a_network_as_it_is_built_is_not_folded(norm):
    state = build_backbone("resnet26", norm=norm).state_dict()
    assert norm_of_weights(Weights(state, "x.pth")) == "BN"


def test_half_precision_cannot_show_a_folded_norm():
    state = {key: value.half() for key, value in state_with("affine").items()}
    assert norm_of_weights(Weights(state, "x.pth")) == "BN"


def test_norms_of_a_model_with_frozen_stages():
    assert norms_of_model(build_backbone("resnet26", norm="BN", freeze_at=2)) == {"FrozenBN", "BN"}
    assert norms_of_model(build_backbone("resnet26", norm="")) == set()


SUITED = {("BN", "FrozenBN"), ("BN", "BN"), ("BN", "SyncBN"), ("GN", "GN"),
          ("affine", "FrozenBN"), ("", "")}  # fmt: skip
SAID = {
    "BN": "has norm BN",
    "GN": "has norm GN",
    "affine": "has norm affine (BatchNorm folded into scale and bias)",
    "": "has no norm",
}
MEND = {"BN": "FrozenBN, BN or SyncBN", "GN": "GN", "affine": "FrozenBN", "": "''"}


@pytest.mark.parametrize("ours", ["FrozenBN", "BN", "SyncBN", "GN", ""])
@pytest.mark.parametrize("theirs", ["BN", "GN", "affine", ""])
def test_norms_that_do_not_suit_are_refused_and_both_named(theirs, ours):
    model = build_backbone("resnet26", norm=ours)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    weights = Weights(state_with(theirs), "x.pth")
    if (theirs, ours) in SUITED:
        load_weights(model, weights, min_share=0.9)
        return
    with pytest.raises(UserError) as error:
        load_weights(model, weights, min_share=0.9)
    assert str(error.value) == (
        f"x.pth {SAID[theirs]} in its backbone, the model has {ours or 'none'}: set "
        f"MODEL.RESNETS.NORM {MEND[theirs]}, or name other weights"
    )
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    load_weights(model, weights, min_share=0.0)  # whatever fits


def weights_striding(in_1x1):
    convention = Convention("RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), in_1x1)
    return Weights(state_with("BN"), "x.pth", SideCar(convention=convention))


@pytest.mark.parametrize("in_1x1", [True, False])
def test_the_stride_is_compared_with_the_models(in_1x1):
    model = build_backbone("resnet26", stride_in_1x1=in_1x1)
    assert stride_is_in_1x1(model) is in_1x1
    load_weights(model, weights_striding(in_1x1), min_share=0.9)
    with pytest.raises(UserError) as error:
        load_weights(model, weights_striding(not in_1x1), min_share=0.9)
    one, other = ("first 1x1", "3x3") if not in_1x1 else ("3x3", "first 1x1")
    assert str(error.value) == (
        f"x.pth was trained with the stride in the {one} convolution of its blocks, the model has "
        f"it in the {other}: set MODEL.RESNETS.STRIDE_IN_1X1 {not in_1x1}"
    )


def test_basic_blocks_have_no_such_place():
    assert stride_is_in_1x1(build_backbone("resnet18")) is None


def test_names_alone_do_not_hide_a_folded_norm():
    weights = Weights(state_with("affine"), "x.pth", SideCar(norm="BN"))
    assert norm_of_weights(weights) == "affine"
    with pytest.raises(UserError, match="has norm affine .* set MODEL.RESNETS.NORM FrozenBN"):
        load_weights(build_backbone("resnet26", norm="BN"), weights, min_share=0.9)
    load_weights(build_backbone("resnet26", norm="FrozenBN"), weights, min_share=0.9)


@pytest.mark.parametrize(
    ("width", "mend"),
    [(4, "MODEL.RESNETS.VARIANT resnext50_32x4d"), (5, "MODEL.RESNETS to it")],
)
def test_another_network_is_refused_with_the_key_that_mends_it(width, mend):
    blocks = (("res2", 3), ("res3", 4), ("res4", 6), ("res5", 3))
    ours, theirs = Architecture(blocks, True, 1, 64), Architecture(blocks, True, 32, width)
    with pytest.raises(UserError, match=f"x.pth is 32x{width}d .*: set {mend}, or name other"):
        check_architecture(theirs, ours, "x.pth")
