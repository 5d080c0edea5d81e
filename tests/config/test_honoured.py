"""An engine refuses the settings that it would ignore."""

import pytest
from fvcore.common.config import CfgNode

from resnext_det.config import changed_keys, check_honoured, get_cfg
from resnext_det.errors import UserError


def test_the_defaults_ask_for_nothing():
    assert changed_keys(get_cfg()) == {}
    check_honoured(get_cfg(), (), "portable")


def test_an_honoured_key_may_change():
    cfg = get_cfg()
    cfg.SEED = 3
    assert changed_keys(cfg) == {"SEED": (3, -1)}
    check_honoured(cfg, {"SEED"}, "portable")


def test_another_key_is_named_with_value_and_default():
    cfg = get_cfg()
    cfg.SEED = 3
    cfg.MODEL.MASK_ON = True
    with pytest.raises(UserError) as error:
        check_honoured(cfg, {"SEED"}, "portable")
    assert str(error.value) == (
        "the portable engine does not honour MODEL.MASK_ON = True (default False); "
        "remove it or choose another engine"
    )


def test_many_are_counted():
    cfg = get_cfg()
    for name in cfg.MODEL.ROI_MASK_HEAD:
        cfg.MODEL.ROI_MASK_HEAD[name] = "changed"
    count = len(cfg.MODEL.ROI_MASK_HEAD)
    with pytest.raises(UserError, match=f" and {count - 5} more; remove"):
        check_honoured(cfg, (), "portable")


def test_tuples_equal_lists():
    cfg = get_cfg()
    cfg.SOLVER.STEPS = (30000,)  # as in Detectron2's tree
    cfg.MODEL.ANCHOR_GENERATOR.SIZES = ((32, 64, 128, 256, 512),)
    check_honoured(cfg, (), "portable")


def test_a_key_nobody_declared_is_not_honoured():
    cfg = get_cfg()
    cfg.MODEL.MINE = CfgNode({"WIDTH": 3})
    with pytest.raises(UserError, match=r"MODEL.MINE.WIDTH = 3 \(default None\)"):
        check_honoured(cfg, (), "portable")
