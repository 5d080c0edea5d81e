"""The tree of keys: defaults, our own keys, dotted access, nearest names."""

import pytest
import yaml
from fvcore.common.config import CfgNode

from resnext_det.config import add_keys, dump_config, flatten, get_cfg, nearest, task_of
from resnext_det.config.coerce import NULLABLE
from resnext_det.config.keys import own_keys
from resnext_det.config.tree import get_value, set_value
from resnext_det.errors import UserError


def test_each_call_gives_a_fresh_tree():
    changed = get_cfg()
    changed.MODEL.RESNETS.OUT_FEATURES.append("res5")
    changed.SOLVER.BASE_LR = 1.0
    assert get_cfg().MODEL.RESNETS.OUT_FEATURES == ["res4"]
    assert get_cfg().SOLVER.BASE_LR == 0.001


def test_dump_reads_back_equal():
    cfg = get_cfg()
    assert CfgNode(yaml.safe_load(dump_config(cfg))) == cfg


def test_every_key_of_our_own_is_there_with_its_default():
    leaves = dict(flatten(get_cfg()))
    assert {key: leaves[key] for key in own_keys()} == own_keys()


def test_only_nullable_keys_default_to_null():
    assert {key for key, value in flatten(get_cfg()) if value is None} <= NULLABLE


def test_add_keys_keeps_values_that_are_there():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.VARIANT = "resnext50_32x4d"
    add_keys(cfg)
    assert cfg.MODEL.RESNETS.VARIANT == "resnext50_32x4d"


def test_add_keys_fills_an_empty_tree():
    cfg = CfgNode()
    add_keys(cfg)
    assert dict(flatten(cfg)) == own_keys()
    assert isinstance(cfg.INPUT.CLASSIFICATION, CfgNode)


def test_flatten_of_nothing_is_nothing():
    assert dict(flatten({})) == {}
    assert dict(flatten({"MODEL": {}})) == {}


def test_get_and_set_by_dotted_key():
    cfg = get_cfg()
    set_value(cfg, "SOLVER.AMP.ENABLED", True)
    set_value(cfg, "SEED", 7)
    assert get_value(cfg, "SOLVER.AMP.ENABLED") is True
    assert get_value(cfg, "SEED") == 7
    with pytest.raises(KeyError, match=r"SOLVER\.AMP\.NONE"):
        get_value(cfg, "SOLVER.AMP.NONE")


def test_set_value_keeps_a_tuple_a_tuple():
    cfg = CfgNode({"SOLVER": {"STEPS": (30000,)}})  # as in Detectron2's tree
    set_value(cfg, "SOLVER.STEPS", [1, 2])
    assert cfg.SOLVER.STEPS == (1, 2)


def test_set_value_refuses_a_frozen_tree():
    cfg = get_cfg()
    cfg.freeze()
    with pytest.raises(AttributeError):
        set_value(cfg, "SEED", 7)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("SOLVER.BASELR", "SOLVER.BASE_LR"),
        ("solver.base_lr", "SOLVER.BASE_LR"),
        ("BASE_LR", "SOLVER.BASE_LR"),
        ("MODEL.BASE_LR", "SOLVER.BASE_LR"),
        ("MODEL.RESNET.DEPTH", "MODEL.RESNETS.DEPTH"),
        ("MODEL.RESNETT.NORM", "MODEL.RESNETS.NORM"),
        ("SOLVER.STEP", "SOLVER.STEPS"),
        ("QQQ", None),
    ],
)
def test_nearest_key(typed, meant):
    assert nearest(typed, dict(flatten(get_cfg()))) == meant


def test_nearest_of_nothing_is_none():
    assert nearest("SOLVER.BASE_LR", ()) is None
    assert nearest("", ("a", "b")) is None


def test_nothing_is_near_a_name_that_takes_ages_to_compare():
    assert nearest("SOLVER." * 100_000 + "BASE_LR", ("SOLVER.BASE_LR",)) is None


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("ImageClassifier", "classification"),
        ("GeneralizedRCNN", "detection"),
        ("RetinaNet", "detection"),
        ("SomebodysOwnDetector", "detection"),
    ],
)
def test_task_follows_from_the_architecture(architecture, task):
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = architecture
    assert task_of(cfg) == task


def test_a_misspelt_classifier_is_no_detector():
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "ImageClasifier"
    with pytest.raises(UserError, match="'ImageClasifier' is unknown; 'ImageClassifier' is meant"):
        task_of(cfg)
