"""`MODEL.RESNETS.VARIANT`: what it sets, and what contradicts it."""

import pytest

from resnext_det.config import apply_variant, get_cfg, load_config
from resnext_det.config.variant import variant_keys
from resnext_det.errors import UserError
from resnext_det.modeling.variants import list_variants

NET = "MODEL.RESNETS."


def tree(variant: str, **keys):
    cfg = get_cfg()
    cfg.MODEL.RESNETS.VARIANT = variant
    for name, value in keys.items():
        cfg.MODEL.RESNETS[name] = value
    return cfg


def test_it_sets_the_architecture():
    cfg = tree("resnext101_64x4d")
    apply_variant(cfg, frozenset())
    net = cfg.MODEL.RESNETS
    assert (net.DEPTH, net.NUM_GROUPS, net.WIDTH_PER_GROUP) == (101, 64, 4)
    assert net.STRIDE_IN_1X1 is False
    assert net.STEM == "imagenet"


def test_the_cifar_nets_get_their_stem_and_basic_blocks_their_width():
    cifar, basic = tree("resnext29_8x64d"), tree("resnet18")
    apply_variant(cifar, None)
    apply_variant(basic, None)
    assert (cifar.MODEL.RESNETS.DEPTH, cifar.MODEL.RESNETS.STEM) == (29, "cifar")
    assert basic.MODEL.RESNETS.RES2_OUT_CHANNELS == 64


def test_without_a_variant_nothing_changes():
    cfg = tree("", DEPTH=101, NUM_GROUPS=32)
    before = cfg.clone()
    apply_variant(cfg, None)
    assert cfg == before


@pytest.mark.parametrize("name", list_variants())
@pytest.mark.parametrize("given", [None, frozenset()])
def test_twice_is_as_once(name, given):
    cfg = tree(name)
    apply_variant(cfg, given)
    once = cfg.clone()
    apply_variant(cfg, given)
    assert cfg == once


@pytest.mark.parametrize("name", list_variants())
def test_every_variant_loads(name):
    cfg = load_config("resnext_det://Base-Classification.yaml", [f"{NET}VARIANT", name]).cfg
    assert {key: cfg.MODEL.RESNETS[key.removeprefix(NET)] for key in variant_keys(name)} == (
        variant_keys(name)
    )


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("DEPTH", 101, 50),
        ("NUM_GROUPS", 1, 32),  # the default, but somebody wrote it
        ("WIDTH_PER_GROUP", 8, 4),
        ("STRIDE_IN_1X1", True, False),
        ("STEM", "cifar", "imagenet"),
    ],
)
def test_a_given_key_that_contradicts_is_named(key, value, right):
    cfg = tree("resnext50_32x4d", **{key: value})
    with pytest.raises(UserError) as error:
        apply_variant(cfg, {NET + key})
    assert str(error.value) == (
        f"MODEL.RESNETS.VARIANT resnext50_32x4d has {key} {right}, but {NET}{key} is set to "
        f"{value}; remove one of the two"
    )


def test_a_key_that_agrees_is_fine():
    cfg = tree("resnext50_32x4d", NUM_GROUPS=32, STRIDE_IN_1X1=False)
    apply_variant(cfg, {NET + "NUM_GROUPS", NET + "STRIDE_IN_1X1"})
    assert cfg.MODEL.RESNETS.WIDTH_PER_GROUP == 4


def test_where_nobody_knows_what_was_given_a_default_is_no_contradiction():
    cfg = tree("resnext101_32x8d")  # DEPTH 50, STRIDE_IN_1X1 True: both at their defaults
    apply_variant(cfg, None)
    assert (cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.STRIDE_IN_1X1) == (101, False)


def test_where_nobody_knows_what_was_given_another_value_is():
    with pytest.raises(
        UserError, match=r"NUM_GROUPS 32, but MODEL.RESNETS.NUM_GROUPS is set to 64"
    ):
        apply_variant(tree("resnext101_32x8d", NUM_GROUPS=64), None)


def test_a_contradiction_in_the_base_or_on_the_command_line(tmp_path):
    (tmp_path / "base.yaml").write_text("MODEL: {RESNETS: {NUM_GROUPS: 64}}\n")
    path = tmp_path / "a.yaml"
    path.write_text("_BASE_: base.yaml\nMODEL: {RESNETS: {VARIANT: resnext50_32x4d}}\n")
    with pytest.raises(UserError, match="NUM_GROUPS is set to 64; remove one"):
        load_config(str(path))
    with pytest.raises(UserError, match=r"DEPTH 50, but MODEL.RESNETS.DEPTH is set to 101"):
        load_config(str(path), [f"{NET}NUM_GROUPS", "32", f"{NET}DEPTH", "101"])


def test_an_unknown_variant_names_the_nearest():
    with pytest.raises(UserError, match="resnext50_32x4"):
        apply_variant(tree("resnext50_32x4"), None)
