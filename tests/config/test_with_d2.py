"""Against Detectron2 itself: the same keys, the same defaults, the same files."""

import pytest

from resnext_det.config import add_keys, apply_variant, config_root, flatten, get_cfg, load_config
from resnext_det.config.keys import own_keys
from resnext_det.config.pointrend import pointrend_keys

pytestmark = pytest.mark.d2

ROOT = config_root()
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))


def as_lists(value):
    return [as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def leaves(cfg) -> dict:
    return {key: as_lists(value) for key, value in flatten(cfg)}


def detectron2_cfg():
    from detectron2.config import get_cfg as get_detectron2_cfg

    return get_detectron2_cfg()


def test_every_key_and_default_is_detectron2s():
    ours = leaves(get_cfg())
    for key in own_keys():
        del ours[key]
    theirs = leaves(detectron2_cfg())
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        # The text tells 1 from 1.0 and from True, at every depth.
        assert repr(ours[key]) == repr(value), key


def add_pointrend_config(cfg):
    from detectron2.projects.point_rend import add_pointrend_config as add

    add(cfg)


def test_pointrend_keys_are_the_projects():
    cfg = detectron2_cfg()
    before = leaves(cfg)
    add_pointrend_config(cfg)
    theirs = {key: value for key, value in leaves(cfg).items() if key not in before}
    assert {k: repr(v) for k, v in theirs.items()} == {
        k: repr(v) for k, v in pointrend_keys().items()
    }


def test_pointrend_and_our_keys_can_be_added_in_either_order():
    ours_first, theirs_first = detectron2_cfg(), detectron2_cfg()
    add_keys(ours_first)
    add_pointrend_config(ours_first)
    add_pointrend_config(theirs_first)
    add_keys(theirs_first)
    assert leaves(ours_first) == leaves(theirs_first) == leaves(get_cfg())


def test_our_keys_are_none_of_detectron2s():
    assert not set(own_keys()) & set(leaves(detectron2_cfg()))


def test_add_keys_to_detectron2s_tree_gives_ours():
    cfg = detectron2_cfg()
    add_keys(cfg)
    assert leaves(cfg) == leaves(get_cfg())
    assert type(cfg.MODEL.CLASSIFIER) is type(cfg)


@pytest.mark.parametrize("name", FILES)
def test_every_file_loads_the_same_through_detectron2(name):
    cfg = detectron2_cfg()
    add_keys(cfg)
    cfg.merge_from_file(str(ROOT / name))
    apply_variant(cfg, None)
    assert leaves(cfg) == leaves(load_config(f"resnext_det://{name}").cfg)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("COCO-")])
def test_coco_files_need_one_key_that_detectron2_lacks(name):
    cfg = detectron2_cfg()
    cfg.SOLVER.REFERENCE_BATCH = 0  # what `add_config` would add, with all the others
    own = set(own_keys()) - {"SOLVER.REFERENCE_BATCH"}
    if "pointrend" in name.lower():
        add_pointrend_config(cfg)
        own -= set(pointrend_keys())
    cfg.merge_from_file(str(ROOT / name))
    ours = leaves(load_config(f"resnext_det://{name}").cfg)
    assert leaves(cfg) == {key: value for key, value in ours.items() if key not in own}


def test_a_dump_of_ours_loads_in_detectron2(tmp_path):
    from resnext_det.config import dump_config

    loaded = load_config("resnext_det://COCO-Detection/faster_rcnn_X_101_64x4d_FPN_1x.yaml")
    (tmp_path / "config.yaml").write_text(dump_config(loaded.cfg))
    cfg = detectron2_cfg()
    add_keys(cfg)
    cfg.merge_from_file(str(tmp_path / "config.yaml"))
    assert leaves(cfg) == leaves(loaded.cfg)


def test_a_dump_of_detectron2s_loads_in_ours(tmp_path):
    cfg = detectron2_cfg()
    (tmp_path / "config.yaml").write_text(cfg.dump())
    assert leaves(load_config(str(tmp_path / "config.yaml")).cfg) == leaves(get_cfg())
