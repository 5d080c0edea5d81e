"""Side-cars edited by hand, against the file that they stand beside. Engine-neutral."""

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.weights.contradictions import check_tensors
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.provenance import ENTRY
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import write_beside
from resnext_det.weights.sources import resolve_weights
from tests.weights.test_suiting import state_with

BGR = Convention("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), True)


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return build_classifier("resnet26", 5).state_dict()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"norm": "GN"}, "norm of its side-car is GN, but its tensors are of BN"),
        (
            {"architecture": "resnext50_32x4d"},
            "is resnext50_32x4d, but its tensors are of resnet26",
        ),
        ({"architecture": "resnet50"}, "is resnet50, but its tensors are of resnet26"),
        ({"class_names": ("a", "b")}, "is 2 names, but its tensors are of a head of 5 classes"),
    ],
    ids=["norm", "width", "depth", "classes"],
)
def test_what_the_tensors_cannot_be_is_refused(tmp_path, state, entries, said):
    path = tmp_path / "x.pth"
    torch.save(state, path)
    write_beside(path, SideCar(**entries))
    with pytest.raises(UserError) as error:
        resolve_weights(str(path))
    assert said in str(error.value)
    assert str(error.value).endswith("mend the side-car or remove it")


def test_equal_counts_of_other_blocks_are_another_network():
    basic = build_classifier("resnet34", 2).state_dict()  # 3-4-6-3 blocks, as ResNet-50
    check_tensors(SideCar(architecture="resnet34"), basic, "x.pth")
    with pytest.raises(UserError, match="is resnet50, but its tensors are of resnet34"):
        check_tensors(SideCar(architecture="resnet50"), basic, "x.pth")


def test_group_norm_is_not_taken_for_batch_norm():
    with pytest.raises(UserError, match="norm of its side-car is BN, but its tensors are of GN"):
        check_tensors(SideCar(norm="BN"), state_with("GN"), "x.pth")


@pytest.mark.parametrize("architecture", ["resnet26", "", "ResNet 1x64d (depth 26)", "mine"])
def test_what_agrees_or_is_free_text_passes(state, architecture):
    names = tuple("abcde")
    check_tensors(SideCar(architecture=architecture, norm="BN", class_names=names), state, "x")
    check_tensors(SideCar(architecture=architecture, norm="affine"), state, "x")
    check_tensors(SideCar(), state, "x")
    check_tensors(SideCar(norm="BN", class_names=names), {}, "x")


def test_a_backbone_without_its_last_stage_is_of_its_variant():
    state = build_backbone("resnet50", out_features=("res2", "res3", "res4")).state_dict()
    assert not any("res5" in key for key in state)
    check_tensors(SideCar(architecture="resnet50", class_names=("a",)), state, "x.pth")


def test_a_side_car_goes_before_the_checkpoints_own_words_and_it_is_said(tmp_path, state, caplog):
    path = tmp_path / "x.pth"
    config = """{INPUT: {FORMAT: RGB}, MODEL: {PIXEL_MEAN: [123.675, 116.28, 103.53],
        PIXEL_STD: [58.395, 57.12, 57.375], RESNETS: {STRIDE_IN_1X1: false}}}"""
    torch.save({"model": state, "config": config, ENTRY: {"licence": "CC-BY-NC-4.0"}}, path)
    assert resolve_weights(str(path)).convention == torchvision_convention()
    assert not caplog.records
    write_beside(path, SideCar(convention=BGR, licence="MIT"))
    weights = resolve_weights(str(path))
    assert (weights.convention, weights.side_car.licence) == (BGR, "MIT")
    first, second = caplog.messages
    assert f"convention of its side-car is {BGR}, that in the file itself RGB 0-255" in first
    assert "licence of its side-car is MIT, that in the file itself CC-BY-NC-4.0: the" in second


@pytest.mark.parametrize(
    "pixels",
    [
        "{FORMAT: L}|[1, 2, 3]|[1, 1, 1]",
        "{FORMAT: RGB}|[1, 2]|[1, 1, 1]",
        "{FORMAT: RGB}|[.nan, 2, 3]|[1, 1, 1]",
        "{FORMAT: RGB}|[1, 2, 3]|[0, 1, 1]",
    ],
    ids=["grey", "two", "nan", "zero"],
)
def test_a_config_in_a_checkpoint_with_a_convention_of_nobodys_says_none(tmp_path, state, pixels):
    order, mean, std = pixels.split("|")
    config = f"""{{INPUT: {order}, MODEL: {{PIXEL_MEAN: {mean}, PIXEL_STD: {std},
        RESNETS: {{STRIDE_IN_1X1: false}}}}}}"""
    path = tmp_path / "x.pth"
    torch.save({"model": state, "config": config}, path)
    assert resolve_weights(str(path)).convention is None
