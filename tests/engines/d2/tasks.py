"""Tiny detectors of every task, on the set that holds them all. Detectron2."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resnext_det.data.catalog import DatasetEntry
from resnext_det.engines.base import resolve_engine
from resnext_det.engines.detection import DetectionJob, evaluate_detector, train_detector
from tests.data.annotated import write_annotated
from tests.engines.conftest import Bench

SETS = ("DATASETS.TRAIN", "['annotated']", "DATASETS.TEST", "['annotated']")
PLAIN = ("MODEL.BACKBONE.NAME", "build_resnext_backbone")
MASK = ("MODEL.MASK_ON", True, "MODEL.ROI_MASK_HEAD.NUM_CONV", 1, "MODEL.ROI_MASK_HEAD.CONV_DIM", 8)
KEYPOINT = (
    *("MODEL.KEYPOINT_ON", True, "MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS", "[8, 8]"),
    *("TEST.KEYPOINT_OKS_SIGMAS", "[0.1, 0.1, 0.1, 0.1, 0.1]"),
)
CASCADE = (
    *("MODEL.ROI_HEADS.NAME", "CascadeROIHeads"),
    *("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", True),
)
C4 = (
    *PLAIN,
    *("MODEL.RESNETS.OUT_FEATURES", "['res4']", "MODEL.RPN.IN_FEATURES", "['res4']"),
    *("MODEL.ROI_HEADS.NAME", "Res5ROIHeads", "MODEL.ROI_HEADS.IN_FEATURES", "['res4']"),
    *("MODEL.ANCHOR_GENERATOR.SIZES", "[[16, 32, 64]]", "MODEL.RESNETS.DEPTH", 50),
)
SEMANTIC = ("MODEL.SEM_SEG_HEAD.CONVS_DIM", 32)
PANOPTIC = (
    *("MODEL.META_ARCHITECTURE", "PanopticFPN", *MASK, *SEMANTIC),
    *("MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT", 16),
)
POINTREND = (
    *("MODEL.MASK_ON", True, "INPUT.MASK_FORMAT", "bitmask"),
    *("MODEL.ROI_MASK_HEAD.NAME", "PointRendMaskHead", "MODEL.ROI_MASK_HEAD.POOLER_TYPE", '""'),
    *("MODEL.ROI_MASK_HEAD.POINT_HEAD_ON", True, "MODEL.ROI_MASK_HEAD.FC_DIM", 16),
    *("MODEL.ROI_MASK_HEAD.CONV_DIM", 8, "MODEL.POINT_HEAD.FC_DIM", 16),
    *("MODEL.POINT_HEAD.SUBDIVISION_STEPS", 2, "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES", True),
)
RPN = ("MODEL.META_ARCHITECTURE", "ProposalNetwork")
STORED = ("MODEL.LOAD_PROPOSALS", True, "MODEL.PROPOSAL_GENERATOR.NAME", "PrecomputedProposals")

DETECTORS: dict[str, tuple[object, ...]] = {
    "Faster R-CNN FPN": (),
    "Mask R-CNN FPN": MASK,
    "Mask R-CNN C4": (*C4, *MASK),
    "Cascade Mask R-CNN": (*CASCADE, *MASK),
    "Keypoint R-CNN": KEYPOINT,
    "Mask and Keypoint R-CNN": (*MASK, *KEYPOINT),
    "PointRend": POINTREND,
    "Panoptic FPN": PANOPTIC,
    "SemanticSegmentor": ("MODEL.META_ARCHITECTURE", "SemanticSegmentor", *SEMANTIC),
    "RPN": RPN,
}


@dataclass(frozen=True)
class TaskBench:
    """Trains and evaluates detectors on one set.

    Attributes:
        bench: where, and the config.
        entry: the set.
    """

    bench: Bench
    entry: DatasetEntry

    def job(self, name: str, *overrides: object, resume: bool = False) -> DetectionJob:
        """Returns a job that writes into `folder(name)`."""
        job = self.bench.job(name, *SETS, *overrides, resume=resume)
        return replace(job, datasets={self.entry.name: self.entry})

    def train(self, name: str, *overrides: object, resume: bool = False) -> dict[str, Any]:
        """Trains and returns the metrics of result.json."""
        train_detector(resolve_engine("d2"), self.job(name, *overrides, resume=resume))
        return json.loads((self.folder(name) / "result.json").read_text())["metrics"]

    def evaluate(self, name: str, *overrides: object) -> dict[str, Any]:
        """Evaluates and returns the metrics of inference/result.json."""
        evaluate_detector(resolve_engine("d2"), self.job(name, *overrides))
        result = self.folder(name) / "inference" / "result.json"
        return json.loads(result.read_text())["metrics"]

    def folder(self, name: str) -> Path:
        """Returns the folder of a run."""
        return self.bench.folder / name


def make_task_bench(bench: Bench, folder: Path) -> TaskBench:
    """Writes the set into a new folder."""
    return TaskBench(bench, write_annotated(folder))
