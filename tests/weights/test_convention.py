"""The weights' pixel convention drives the config, or is contradicted. Engine-neutral."""

import pytest

from resnext_det.config import get_cfg
from resnext_det.errors import UserError
from resnext_det.weights.convention import (
    Convention,
    check_convention,
    convention_from_config,
    stride_of_lazy_model,
    torchvision_convention,
)
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.sources import Weights


def weights(convention):
    return Weights({}, "x.pth", SideCar(convention=convention))


def test_a_key_that_was_not_given_takes_the_weights_value():
    cfg = get_cfg()  # Detectron2's defaults: BGR, std 1, stride in the 1x1
    assert check_convention(cfg, frozenset(), weights(torchvision_convention())) == {
        "INPUT.FORMAT": "RGB",
        "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
        "MODEL.PIXEL_STD": [58.395, 57.12, 57.375],
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
    }


@pytest.mark.parametrize(
    ("key", "ours", "theirs"),
    [
        ("INPUT.FORMAT", "BGR", "RGB"),
        ("MODEL.PIXEL_MEAN", r"\[103.53, 116.28, 123.675\]", r"\[123.675, 116.28, 103.53\]"),
        ("MODEL.PIXEL_STD", r"\[1.0, 1.0, 1.0\]", r"\[58.395, 57.12, 57.375\]"),
        ("MODEL.RESNETS.STRIDE_IN_1X1", "True", "False"),
    ],
)
def test_a_key_that_was_given_is_refused_with_both_values(key, ours, theirs):
    with pytest.raises(UserError, match=f"{key} is {ours}, but x.pth was trained with {theirs}"):
        check_convention(get_cfg(), frozenset({key}), weights(torchvision_convention()))


def test_agreement_changes_nothing_even_where_given():
    cfg = get_cfg()
    same = Convention("BGR", (103.53, 116.28, 123.67501), (1.0, 1.0, 1.0), stride_in_1x1=True)
    given = frozenset({"INPUT.FORMAT", "MODEL.PIXEL_MEAN"})
    assert check_convention(cfg, given, weights(same)) == {}
    assert convention_from_config(cfg.dump()).as_keys()["MODEL.PIXEL_STD"] == [1.0, 1.0, 1.0]


def test_an_unknown_convention_keeps_the_config_with_a_warning(caplog):
    assert check_convention(get_cfg(), frozenset(), weights(None)) == {}
    assert "x.pth does not say how its images were normalised" in caplog.text


@pytest.mark.parametrize("text", ["", "MODEL: {}", "[1, 2]", "a: b: c", "INPUT: {FORMAT: RGB}"])
def test_text_without_a_convention(text):
    assert convention_from_config(text) is None


@pytest.mark.parametrize(
    ("model", "stride"),
    [
        ({"backbone": {"bottom_up": {"variant": "resnext50_32x4d"}}}, False),
        ({"backbone": {"bottom_up": {"depth": 50, "stride_in_1x1": True}}}, True),
        ({"backbone": {"bottom_up": {"stages": {"depth": 50, "stride_in_1x1": True}}}}, True),
        ({"backbone": {"stages": {"depth": 50}}}, False),  # of a C4 detector
        ({"backbone": {"net": {"depth": 12}}}, None),  # a transformer
        ({"backbone": None}, None),
        (None, None),
        (3, None),
    ],
    ids=str,
)
def test_the_stride_of_a_model_in_python_syntax(model, stride):
    assert stride_of_lazy_model(model) is stride


def test_a_config_in_python_syntax_says_its_stride_itself():
    cfg = get_cfg()
    assert convention_from_config(cfg.dump()).stride_in_1x1
    cfg.LAZY_CONFIG = "model: {backbone: {bottom_up: {variant: resnext50_32x4d}}}"
    assert not convention_from_config(cfg.dump()).stride_in_1x1
