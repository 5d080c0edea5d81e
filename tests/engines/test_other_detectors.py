"""Detectors that only Detectron2 has are refused by the portable engine, in one line."""

import pytest

from resnext_det.engines.base import resolve_engine
from resnext_det.engines.detection import train_detector
from resnext_det.errors import UserError
from tests.engines.conftest import Bench

# detector -> (the settings that make it, the one that the line names)
REFUSED = {
    "C4": (
        (
            *("MODEL.BACKBONE.NAME", "build_resnext_backbone"),
            *("MODEL.RESNETS.OUT_FEATURES", "['res4']", "MODEL.RPN.IN_FEATURES", "['res4']"),
            *("MODEL.ROI_HEADS.IN_FEATURES", "['res4']", "MODEL.ROI_HEADS.NAME", "Res5ROIHeads"),
            *("MODEL.ANCHOR_GENERATOR.SIZES", "[[16, 32, 64]]", "MODEL.FPN.IN_FEATURES", "[]"),
        ),
        "MODEL.BACKBONE.NAME is 'build_resnext_backbone'",
    ),
    "RetinaNet": (
        (
            *("MODEL.META_ARCHITECTURE", "RetinaNet"),
            *("MODEL.RETINANET.IN_FEATURES", "['p2', 'p3', 'p4', 'p5', 'p6']"),
        ),
        "MODEL.META_ARCHITECTURE is 'RetinaNet'",
    ),
    "Cascade": (("MODEL.ROI_HEADS.NAME", "CascadeROIHeads"), "MODEL.ROI_HEADS.NAME is 'Cascade"),
    "Mask": (("MODEL.MASK_ON", True), "MODEL.MASK_ON is True"),
    "Cascade Mask": (
        ("MODEL.MASK_ON", True, "MODEL.ROI_HEADS.NAME", "CascadeROIHeads"),
        "MODEL.MASK_ON is True",
    ),
    "Keypoint": (("MODEL.KEYPOINT_ON", True), "MODEL.KEYPOINT_ON is True"),
    "Panoptic": (
        ("MODEL.META_ARCHITECTURE", "PanopticFPN", "MODEL.MASK_ON", True),
        "MODEL.META_ARCHITECTURE is 'PanopticFPN'",
    ),
    "SemanticSegmentor": (
        ("MODEL.META_ARCHITECTURE", "SemanticSegmentor"),
        "MODEL.META_ARCHITECTURE is 'SemanticSegmentor'",
    ),
    "PointRend": (
        ("MODEL.MASK_ON", True, "MODEL.ROI_MASK_HEAD.POINT_HEAD_ON", True),
        "MODEL.MASK_ON is True",
    ),
    "PointRend's points": (("MODEL.POINT_HEAD.NUM_FC", 2), "MODEL.POINT_HEAD.NUM_FC = 2"),
    "RPN": (
        ("MODEL.META_ARCHITECTURE", "ProposalNetwork"),
        "MODEL.META_ARCHITECTURE is 'ProposalNetwork'",
    ),
    "stored proposals": (("MODEL.LOAD_PROPOSALS", True), "MODEL.LOAD_PROPOSALS is True"),
    "files of proposals": (
        ("DATASETS.PROPOSAL_FILES_TRAIN", "['p.npz']"),
        "DATASETS.PROPOSAL_FILES_TRAIN = ['p.npz']",
    ),
    "augmentation": (("TEST.AUG.ENABLED", True), "TEST.AUG.ENABLED = True"),
}


@pytest.mark.parametrize("detector", REFUSED)
def test_the_line_names_the_key_and_the_engine(detector: str, bench: Bench) -> None:
    overrides, named = REFUSED[detector]
    with pytest.raises(UserError) as error:
        train_detector(resolve_engine("portable"), bench.job("run", *overrides))
    message = str(error.value)
    assert named in message
    assert message.endswith("use --engine d2")
    assert "\n" not in message
    assert not (bench.folder / "run").exists()
