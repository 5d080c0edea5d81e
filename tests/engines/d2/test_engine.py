"""What the trainer around Detectron2 refuses, and which other detectors it trains. Detectron2."""

import json

import pytest

from resnext_det.engines.base import resolve_engine
from resnext_det.engines.detection import train_detector
from resnext_det.errors import UserError
from tests.engines.conftest import Bench

pytestmark = pytest.mark.d2

REFUSED = {
    "MODEL.MASK_ON": True,
    "MODEL.KEYPOINT_ON": True,
    "MODEL.LOAD_PROPOSALS": True,
    "MODEL.META_ARCHITECTURE": "PanopticFPN",
    "DATALOADER.SAMPLER_TRAIN": "RepeatFactorTrainingSampler",
    "SOLVER.REFERENCE_WORLD_SIZE": 8,
    "TEST.AUG.ENABLED": True,
    "TEST.PRECISE_BN.ENABLED": True,
}
PLAIN = ("MODEL.BACKBONE.NAME", "build_resnext_backbone")
OTHER_DETECTORS = {
    "C4": (
        *PLAIN,
        *("MODEL.RESNETS.OUT_FEATURES", "['res4']", "MODEL.RPN.IN_FEATURES", "['res4']"),
        *("MODEL.ROI_HEADS.NAME", "Res5ROIHeads", "MODEL.ROI_HEADS.IN_FEATURES", "['res4']"),
        *("MODEL.ANCHOR_GENERATOR.SIZES", "[[16, 32, 64]]", "MODEL.RESNETS.DEPTH", 50),
    ),
    "DC5": (
        *PLAIN,
        *("MODEL.RESNETS.OUT_FEATURES", "['res5']", "MODEL.RPN.IN_FEATURES", "['res5']"),
        *("MODEL.RESNETS.RES5_DILATION", 2, "MODEL.ROI_HEADS.IN_FEATURES", "['res5']"),
        *("MODEL.ANCHOR_GENERATOR.SIZES", "[[16, 32, 64]]"),
    ),
    "RetinaNet": (
        *("MODEL.META_ARCHITECTURE", "RetinaNet"),
        *("MODEL.RETINANET.IN_FEATURES", "['p2', 'p3', 'p4', 'p5', 'p6']"),
    ),
    "Cascade": (
        *("MODEL.ROI_HEADS.NAME", "CascadeROIHeads"),
        *("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True),
    ),
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_the_trainer_leaves_out_is_refused(key: str, bench: Bench) -> None:
    job = bench.job("run", key, REFUSED[key])
    with pytest.raises(UserError, match=f"{key} is {REFUSED[key]}, which the d2 engine does not"):
        train_detector(resolve_engine("d2"), job)


@pytest.mark.parametrize("detector", OTHER_DETECTORS)
def test_other_box_detectors_train_and_score(detector: str, bench: Bench) -> None:
    train_detector(resolve_engine("d2"), bench.job("run", *OTHER_DETECTORS[detector]))
    result = json.loads((bench.folder / "run" / "result.json").read_text())
    assert result["metrics"]["AP"] >= 0.0
