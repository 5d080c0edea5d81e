"""What the d2 engine refuses, and which other box detectors it trains. Detectron2."""

import json

import pytest

from resnext_det.engines.base import resolve_engine
from resnext_det.engines.detection import train_detector
from resnext_det.errors import UserError
from tests.engines.conftest import Bench

pytestmark = pytest.mark.d2

REFUSED = {
    "DATALOADER.SAMPLER_TRAIN": "RepeatFactorTrainingSampler",
    "INPUT.COLOR_AUG_SSD": True,
    "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA": 0.5,
    "SOLVER.COMPILE": True,
    "SOLVER.CUTMIX_ALPHA": 1.0,
    "SOLVER.FAST_POOLING": True,
    "SOLVER.FAST_SUPPRESSION": True,
    "SOLVER.LABEL_SMOOTHING": 0.1,
    "SOLVER.MIXUP_ALPHA": 0.2,
    "SOLVER.REFERENCE_WORLD_SIZE": 8,
    "SOLVER.SAMPLED_ANCHORS": True,
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
STORED = ("MODEL.LOAD_PROPOSALS", True, "MODEL.PROPOSAL_GENERATOR.NAME", "PrecomputedProposals")
CONFLICTS = {
    "masks without regions": (
        (*OTHER_DETECTORS["RetinaNet"], "MODEL.MASK_ON", True),
        "MODEL.MASK_ON is True, but RetinaNet has no heads on regions; set it False",
    ),
    "keypoints without regions": (
        ("MODEL.META_ARCHITECTURE", "ProposalNetwork", "MODEL.KEYPOINT_ON", True),
        "MODEL.KEYPOINT_ON is True, but ProposalNetwork has no heads on regions; set it False",
    ),
    "keypoints on C4": (
        (*OTHER_DETECTORS["C4"], "MODEL.KEYPOINT_ON", True),
        (
            "MODEL.KEYPOINT_ON is True, but MODEL.ROI_HEADS.NAME Res5ROIHeads has no keypoint "
            "head; take StandardROIHeads"
        ),
    ),
    "panoptic without masks": (
        ("MODEL.META_ARCHITECTURE", "PanopticFPN"),
        "MODEL.MASK_ON is False, but PanopticFPN joins masks and stuff; set it True",
    ),
    "PointRend on polygons": (
        ("MODEL.MASK_ON", True, "MODEL.ROI_MASK_HEAD.NAME", "PointRendMaskHead"),
        (
            "INPUT.MASK_FORMAT is polygon, but PointRend draws its points from masks of pixels; "
            "set INPUT.MASK_FORMAT bitmask"
        ),
    ),
    "Detectron2's backbone without shortcuts": (
        (
            *("MODEL.RESNETS.SHORTCUTS", False),
            *("MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone"),
        ),
        (
            "MODEL.RESNETS.SHORTCUTS is False, but MODEL.BACKBONE.NAME build_resnet_fpn_backbone "
            "is Detectron2's own, whose blocks have shortcuts; take build_resnext_fpn_backbone or "
            "the like"
        ),
    ),
    "Detectron2's backbone with folded norms": (
        ("SOLVER.FOLD_NORMS", True, "MODEL.BACKBONE.NAME", "build_resnet_fpn_backbone"),
        (
            "SOLVER.FOLD_NORMS is True, but the norms of MODEL.BACKBONE.NAME "
            "build_resnet_fpn_backbone are Detectron2's own; take build_resnext_fpn_backbone or "
            "the like, or set it False"
        ),
    ),
    "stored proposals and an RPN": (
        ("MODEL.LOAD_PROPOSALS", True),
        (
            "MODEL.LOAD_PROPOSALS is True, but MODEL.PROPOSAL_GENERATOR.NAME is RPN; stored "
            "proposals take True and PrecomputedProposals"
        ),
    ),
    "no stored proposals and no RPN": (
        STORED[2:],
        (
            "MODEL.LOAD_PROPOSALS is False, but MODEL.PROPOSAL_GENERATOR.NAME is "
            "PrecomputedProposals; stored proposals take True and PrecomputedProposals"
        ),
    ),
    "files that nobody reads": (
        ("DATASETS.PROPOSAL_FILES_TEST", "['p.npz']"),
        (
            "DATASETS.PROPOSAL_FILES_TEST names files, but MODEL.LOAD_PROPOSALS is False; set it "
            "True and MODEL.PROPOSAL_GENERATOR.NAME PrecomputedProposals"
        ),
    ),
    "augmented keypoints": (
        ("MODEL.KEYPOINT_ON", True, "TEST.AUG.ENABLED", True),
        (
            "TEST.AUG.ENABLED is True, which Detectron2 has for GeneralizedRCNN without "
            "MODEL.KEYPOINT_ON and MODEL.LOAD_PROPOSALS alone; set it False"
        ),
    ),
    "augmented RetinaNet": (
        (*OTHER_DETECTORS["RetinaNet"], "TEST.AUG.ENABLED", True),
        (
            "TEST.AUG.ENABLED is True, which Detectron2 has for GeneralizedRCNN without "
            "MODEL.KEYPOINT_ON and MODEL.LOAD_PROPOSALS alone; set it False"
        ),
    ),
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_the_trainer_leaves_out_is_refused(key: str, bench: Bench) -> None:
    job = bench.job("run", key, REFUSED[key])
    with pytest.raises(UserError, match=f"{key} is {REFUSED[key]}, which the d2 engine does not"):
        train_detector(resolve_engine("d2"), job)


@pytest.mark.parametrize("case", CONFLICTS)
def test_keys_that_do_not_go_together_are_refused(case: str, bench: Bench) -> None:
    overrides, message = CONFLICTS[case]
    with pytest.raises(UserError) as error:
        train_detector(resolve_engine("d2"), bench.job("run", *overrides))
    assert str(error.value) == message
    assert not (bench.folder / "run").exists()


def test_pointrend_without_opencv_says_how_to_get_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resnext_det.engines.d2 import projects

    def without_opencv(name: str) -> None:
        raise ModuleNotFoundError(f"{name} needs cv2", name="cv2")

    # Importing the project in earnest would register its heads a second time.
    monkeypatch.setattr(projects.importlib, "import_module", without_opencv)
    head = ("MODEL.ROI_MASK_HEAD.NAME", "PointRendMaskHead", "INPUT.MASK_FORMAT", "bitmask")
    with pytest.raises(UserError) as error:
        train_detector(resolve_engine("d2"), bench.job("run", "MODEL.MASK_ON", True, *head))
    assert str(error.value) == (
        "PointRend (MODEL.ROI_MASK_HEAD.NAME PointRendMaskHead) needs the package cv2, which is "
        "not installed: pip install opencv-python-headless"
    )


@pytest.mark.parametrize("detector", OTHER_DETECTORS)
def test_other_box_detectors_train_and_score(detector: str, bench: Bench) -> None:
    train_detector(resolve_engine("d2"), bench.job("run", *OTHER_DETECTORS[detector]))
    result = json.loads((bench.folder / "run" / "result.json").read_text())
    assert result["metrics"]["AP"] >= 0.0
