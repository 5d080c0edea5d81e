"""Weights set the config's keys, and are contradicted by what the user gave. Engine-neutral."""

import pytest
import torch

from resnext_det.config import get_cfg, get_value, load_config
from resnext_det.errors import UserError
from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.training.same_run import check_resumable
from resnext_det.weights.config_of_weights import apply_to_config
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.sources import Weights

X101 = {
    "MODEL.RESNETS.DEPTH": 101,
    "MODEL.RESNETS.NUM_GROUPS": 64,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    "MODEL.RESNETS.STEM": "imagenet",
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 256,
}


def weights_of(model, **known):
    return Weights(model.state_dict(), "x.pth", SideCar(**known))


def built(variant, **options):
    with torch.device("meta"):
        return build_backbone(variant, **options)


@pytest.fixture(scope="module")
def x101():
    return Weights(built("resnext101_64x4d").state_dict(), "x.pth", SideCar(norm="BN"))


def cfg_of(**keys):
    cfg = get_cfg()
    for key, value in keys.items():
        cfg.MODEL.RESNETS[key] = value
    return cfg


def test_the_architecture_is_the_files_and_each_key_is_said(x101, caplog):
    cfg = get_cfg()
    with caplog.at_level("INFO"):
        changed = apply_to_config(cfg, (), x101)
    assert {key: get_value(changed, key) for key in X101} == X101
    said = [m for m in caplog.messages if "is set to" in m]
    assert said == [
        "MODEL.RESNETS.DEPTH is set to 101, as the weights want",
        "MODEL.RESNETS.NUM_GROUPS is set to 64, as the weights want",
        "MODEL.RESNETS.WIDTH_PER_GROUP is set to 4, as the weights want",
    ]
    assert cfg.MODEL.RESNETS.DEPTH == 50


def test_pixels_and_stride_are_the_files_too():
    weights = weights_of(built("resnet50"), convention=torchvision_convention(), norm="BN")
    changed = apply_to_config(get_cfg(), (), weights)
    assert changed.INPUT.FORMAT == "RGB"
    assert changed.MODEL.RESNETS.STRIDE_IN_1X1 is False


def test_nothing_changes_without_weights():
    cfg = get_cfg()
    assert apply_to_config(cfg, (), None) is cfg


def test_a_variant_of_the_base_gives_way(x101):
    cfg = cfg_of(VARIANT="resnext101_32x8d", DEPTH=101, NUM_GROUPS=32, WIDTH_PER_GROUP=8)
    changed = apply_to_config(cfg, (), x101)
    assert changed.MODEL.RESNETS.VARIANT == "resnext101_64x4d"
    assert changed.MODEL.RESNETS.NUM_GROUPS == 64


def test_basic_blocks_and_their_width_are_set_together():
    changed = apply_to_config(get_cfg(), (), weights_of(built("resnet34"), norm="BN"))
    assert (changed.MODEL.RESNETS.DEPTH, changed.MODEL.RESNETS.RES2_OUT_CHANNELS) == (34, 64)


@pytest.mark.parametrize("given", ["VARIANT", "DEPTH", "NUM_GROUPS", "WIDTH_PER_GROUP"])
def test_what_the_user_gave_is_refused_with_both_architectures(x101, given):
    cfg = cfg_of(VARIANT="resnext50_32x8d", NUM_GROUPS=32, WIDTH_PER_GROUP=8)
    if given == "VARIANT":
        cfg.MODEL.RESNETS.VARIANT = "resnext101_32x8d"
        cfg.MODEL.RESNETS.DEPTH = 101
    else:
        cfg.MODEL.RESNETS.VARIANT = ""
    with pytest.raises(UserError) as error:
        apply_to_config(cfg, {f"MODEL.RESNETS.{given}"}, x101)
    depth = cfg.MODEL.RESNETS.DEPTH
    assert str(error.value) == (
        f"x.pth is 64x4d (depth 101), the config says 32x8d (depth {depth}): set "
        "MODEL.RESNETS.VARIANT resnext101_64x4d, or name other weights"
    )


def test_a_width_that_the_user_gave_is_refused_with_both_values():
    narrow = built("resnet50", stem_out_channels=32)
    with pytest.raises(UserError) as error:
        apply_to_config(get_cfg(), {"MODEL.RESNETS.STEM_OUT_CHANNELS"}, weights_of(narrow))
    assert str(error.value) == (
        "MODEL.RESNETS.STEM_OUT_CHANNELS is 64, but x.pth was trained with 32: leave "
        "MODEL.RESNETS.STEM_OUT_CHANNELS out or set it to 32"
    )


def test_agreement_and_a_share_of_0_change_nothing(x101):
    same = cfg_of(DEPTH=101, NUM_GROUPS=64, WIDTH_PER_GROUP=4)
    assert apply_to_config(same, {"MODEL.RESNETS.DEPTH"}, x101) == same
    whatever = get_cfg()
    whatever.MODEL.WEIGHTS_MIN_SHARE = 0.0
    assert apply_to_config(whatever, {"MODEL.RESNETS.DEPTH"}, x101) == whatever


def test_a_python_config_is_only_compared(x101):
    cfg = get_cfg()
    cfg.LAZY_CONFIG = "model: {}"
    assert apply_to_config(cfg, (), x101) == cfg
    weights = weights_of(built("resnet50"), convention=torchvision_convention())
    with pytest.raises(UserError, match=r"INPUT.FORMAT is BGR, but x.pth was trained with RGB"):
        apply_to_config(cfg, {"INPUT.FORMAT"}, weights)


def test_a_part_of_a_network_leaves_the_depth_open(x101):
    state = {k: v for k, v in x101.state.items() if "res4" not in k and "res5" not in k}
    weights = Weights(state, "x.pth", SideCar(norm="BN"))
    changed = apply_to_config(cfg_of(DEPTH=101), (), weights)
    assert (changed.MODEL.RESNETS.DEPTH, changed.MODEL.RESNETS.NUM_GROUPS) == (101, 64)
    assert apply_to_config(cfg_of(DEPTH=26), (), weights).MODEL.RESNETS.NUM_GROUPS == 1


def test_tensors_of_no_resnet_change_nothing():
    cfg = get_cfg()
    assert apply_to_config(cfg, (), Weights({}, "x.pth")) == cfg


def test_group_norm_is_set_unless_the_user_gave_another(caplog):
    weights = weights_of(build_backbone("resnet26", norm="GN"))
    with caplog.at_level("INFO"):
        changed = apply_to_config(get_cfg(), (), weights)
    assert changed.MODEL.RESNETS.NORM == "GN"
    assert "MODEL.RESNETS.NORM is set to GN, as the weights want" in caplog.text
    given = apply_to_config(get_cfg(), {"MODEL.RESNETS.NORM"}, weights)
    assert given.MODEL.RESNETS.NORM == "FrozenBN"  # refused where the model is there


def test_keys_that_do_not_go_with_others_are_refused():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.RES5_DILATION = 2
    with pytest.raises(UserError, match=r"the config with x.pth: MODEL.RESNETS.RES5_DILATION is 2"):
        apply_to_config(cfg, (), weights_of(build_classifier("resnet18"), norm="BN"))


def test_the_licence_comes_first(x101):
    cfg = get_cfg()
    cfg.MODEL.WEIGHTS_LICENCE_POLICY = "commercial"
    weights = Weights(x101.state, "x.t7", SideCar(licence="CC-BY-NC-4.0"))
    with pytest.raises(UserError, match=r"x.t7 is under CC-BY-NC-4.0, which forbids commercial"):
        apply_to_config(cfg, {"MODEL.RESNETS.DEPTH"}, weights)


def test_a_stride_that_no_variant_has_leaves_no_variant(tmp_path, caplog):
    path = tmp_path / "named.yaml"
    path.write_text("MODEL: {META_ARCHITECTURE: GeneralizedRCNN, RESNETS: {VARIANT: resnet50}}\n")
    msra = Convention("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), stride_in_1x1=True)
    loaded = load_config(str(path))
    with caplog.at_level("INFO"):
        changed = apply_to_config(
            loaded.cfg, loaded.user_given, weights_of(built("resnet50"), convention=msra, norm="BN")
        )
    assert (changed.MODEL.RESNETS.VARIANT, changed.MODEL.RESNETS.STRIDE_IN_1X1) == ("", True)
    assert "MODEL.RESNETS.STRIDE_IN_1X1 is set to True, as the weights want" in caplog.text
    written = tmp_path / "config.yaml"  # that of the run, which `predict` and the next run read
    written.write_text(changed.dump())
    assert load_config(str(written)).cfg.MODEL.RESNETS == changed.MODEL.RESNETS
    check_resumable(loaded.cfg, {"config": changed.dump()}, "x.pth", "portable")


def test_a_python_config_that_does_not_say_a_key_is_warned_of(caplog):
    cfg = get_cfg()
    cfg.LAZY_CONFIG = "model: {}"
    weights = weights_of(built("resnet50"), convention=torchvision_convention(), norm="BN")
    assert apply_to_config(cfg, {"MODEL.RESNETS.NORM"}, weights) == cfg
    assert "config does not say INPUT.FORMAT, and x.pth was trained with RGB: see" in caplog.text
