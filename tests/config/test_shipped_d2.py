"""Every detection config builds Detectron2's model, and differs from its own by what is listed."""

import functools
import json
from pathlib import Path

import pytest
import torch

from resnext_det.config import flatten
from resnext_det.modeling.complexity import count_parameters
from tests.config.shipped import COCO, PAPER, ROOT, load, read_name

pytestmark = pytest.mark.d2

SHORT = [name for name in COCO if not name.endswith("_3x.yaml")]  # 3x: the same models
# Our networks' weights and their pixels, our backbone, and where its stride is.
OURS = {
    "INPUT.FORMAT",
    "MODEL.BACKBONE.NAME",
    "MODEL.PIXEL_MEAN",
    "MODEL.PIXEL_STD",
    "MODEL.RESNETS.STRIDE_IN_1X1",
    "MODEL.WEIGHTS",
}
OURS_TOO = {
    # Where the proposals are: of our own RPN. Detectron2's workers hold them all, so it has two.
    "fast_rcnn": {
        "DATALOADER.NUM_WORKERS",
        "DATASETS.PROPOSAL_FILES_TRAIN",
        "DATASETS.PROPOSAL_FILES_TEST",
    },
    # Detectron2 has Cascade R-CNN with masks only.
    "cascade_rcnn": {"MODEL.MASK_ON"},
}


def upstream_file(name: str) -> str | None:
    """The file of the same detector, network and schedule in Detectron2's own configs."""
    called = read_name(name)
    if called.net != "R_50" and (called.net not in ("R_101", "X_101_32x8d") or "_1x" in name):
        return None
    if "pointrend" in name:
        return None  # its package leaves the projects' configs out
    if "cascade" in name:
        stem = Path(name).stem.replace("cascade_rcnn", "cascade_mask_rcnn")
        return f"Misc/{stem}.yaml" if called.net == "R_50" else None
    return name


def upstream(name: str) -> dict:
    """The leaves of one of Detectron2's own files; its package carries them."""
    import detectron2
    from detectron2.config import get_cfg

    cfg = get_cfg()
    cfg.merge_from_file(str(Path(detectron2.__file__).parent / "model_zoo/configs" / name))
    return {key: as_lists(value) for key, value in flatten(cfg)}


def as_lists(value):
    return [as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


@functools.cache
def build_on_meta(name: str, *, backbone: str = "resnext") -> torch.nn.Module:
    from detectron2.modeling import build_model

    from resnext_det.engines.d2.config import to_detectron2_config
    from resnext_det.engines.d2.projects import register_projects

    register_projects(load(name))
    cfg = to_detectron2_config(load(name))
    cfg.defrost()
    cfg.MODEL.DEVICE = "meta"
    cfg.MODEL.BACKBONE.NAME = cfg.MODEL.BACKBONE.NAME.replace("resnext", backbone)
    with torch.device("meta"):
        return build_model(cfg)


@pytest.mark.parametrize("name", [name for name in COCO if upstream_file(name)])
def test_differs_from_detectron2s_own_by_what_is_listed(name):
    theirs = upstream(str(upstream_file(name)))
    ours = dict(flatten(load(name)))
    differing = {key for key, value in theirs.items() if as_lists(ours[key]) != value}
    allowed = OURS | OURS_TOO.get(Path(name).stem.split("_R_")[0], set())
    assert differing <= allowed
    assert {"MODEL.BACKBONE.NAME", "MODEL.PIXEL_STD"} <= differing  # they were compared


@pytest.mark.parametrize("name", COCO + PAPER)
def test_the_engine_honours_every_key(name):
    from resnext_det.engines.d2.engine import D2Engine

    D2Engine().check_config(load(name))


@pytest.mark.parametrize("name", SHORT + PAPER)
def test_builds_detectron2s_model_with_the_counted_backbone(name):
    model = build_on_meta(name)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    backbone = getattr(model.backbone, "bottom_up", model.backbone)
    counted = json.loads((ROOT / "complexity.json").read_text())["configs"][name]
    assert count_parameters(backbone) == counted["params"]


@pytest.mark.parametrize("name", SHORT + PAPER)
def test_tensors_are_named_as_with_detectron2s_own_backbone(name):
    ours, theirs = build_on_meta(name), build_on_meta(name, backbone="resnet")
    shapes = [{k: tuple(v.shape) for k, v in m.state_dict().items()} for m in (ours, theirs)]
    assert type(ours) is type(theirs)
    assert shapes[0] == shapes[1]
