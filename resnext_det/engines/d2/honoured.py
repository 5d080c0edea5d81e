"""What this project's trainer and evaluators leave out of Detectron2. Detectron2."""

from collections.abc import Iterator, Mapping
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config import flatten
from resnext_det.config.features import STORED_PROPOSALS
from resnext_det.data.needs import NO_REGION_HEADS
from resnext_det.engines.d2.projects import uses_pointrend
from resnext_det.errors import UserError

OWN_ORDER = "the order of the samples depends on the seed and the iteration alone"
CLASSIFIERS = "only classifiers are trained so"
OF_THE_PORTABLE = "Detectron2's own heads compute it; set it False, or take --engine portable"
ITS_OWN_MAPPER = "only PointRend's mapper for semantic segmentation reads it"

# key -> (the only value honoured, why)
FIXED: Mapping[str, tuple[Any, str]] = {
    "DATALOADER.SAMPLER_TRAIN": ("TrainingSampler", OWN_ORDER),
    "INPUT.COLOR_AUG_SSD": (False, ITS_OWN_MAPPER),
    "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA": (1.0, ITS_OWN_MAPPER),
    "SOLVER.COMPILE": (False, OF_THE_PORTABLE),
    "SOLVER.CUTMIX_ALPHA": (0.0, CLASSIFIERS),
    "SOLVER.FAST_POOLING": (False, OF_THE_PORTABLE),
    "SOLVER.FAST_SUPPRESSION": (False, OF_THE_PORTABLE),
    "SOLVER.LABEL_SMOOTHING": (0.0, CLASSIFIERS),
    "SOLVER.MIXUP_ALPHA": (0.0, CLASSIFIERS),
    "SOLVER.REFERENCE_WORLD_SIZE": (0, "set IMS_PER_BATCH and BASE_LR for the processes there are"),
    "SOLVER.SAMPLED_ANCHORS": (False, OF_THE_PORTABLE),
    "TEST.PRECISE_BN.ENABLED": (False, "batch statistics are not measured anew"),
}


def check_honoured_by_trainer(cfg: CfgNode) -> None:
    """Refuses what Detectron2 can do and the trainer around it here does not.

    Raises:
        UserError: naming key and value, also of keys that do not go together.
    """
    values = dict(flatten(cfg))
    for key, (honoured, reason) in FIXED.items():
        if values[key] != honoured:
            raise UserError(
                f"{key} is {values[key]}, which the d2 engine does not honour: {reason}"
            )
    for problem in _conflicts(cfg):
        raise UserError(problem)


def _conflicts(cfg: CfgNode) -> Iterator[str]:
    """One line for each pair of keys with which Detectron2 breaks off, or ignores one."""
    model = cfg.MODEL
    architecture = model.META_ARCHITECTURE
    for name in ("MASK_ON", "KEYPOINT_ON"):
        if model[name] and architecture in NO_REGION_HEADS:
            yield f"MODEL.{name} is True, but {architecture} has no heads on regions; set it False"
    if model.KEYPOINT_ON and model.ROI_HEADS.NAME == "Res5ROIHeads":
        yield (
            "MODEL.KEYPOINT_ON is True, but MODEL.ROI_HEADS.NAME Res5ROIHeads has no keypoint "
            "head; take StandardROIHeads"
        )
    if architecture == "PanopticFPN" and not model.MASK_ON:
        yield "MODEL.MASK_ON is False, but PanopticFPN joins masks and stuff; set it True"
    if uses_pointrend(cfg) and model.MASK_ON and cfg.INPUT.MASK_FORMAT != "bitmask":
        yield (
            f"INPUT.MASK_FORMAT is {cfg.INPUT.MASK_FORMAT}, but PointRend draws its points from "
            "masks of pixels; set INPUT.MASK_FORMAT bitmask"
        )
    plain = architecture == "GeneralizedRCNN" and not (model.KEYPOINT_ON or model.LOAD_PROPOSALS)
    if cfg.TEST.AUG.ENABLED and not plain:
        yield (
            "TEST.AUG.ENABLED is True, which Detectron2 has for GeneralizedRCNN without "
            "MODEL.KEYPOINT_ON and MODEL.LOAD_PROPOSALS alone; set it False"
        )
    if not model.RESNETS.SHORTCUTS and "_resnet_" in model.BACKBONE.NAME:
        yield (
            f"MODEL.RESNETS.SHORTCUTS is False, but MODEL.BACKBONE.NAME {model.BACKBONE.NAME} is "
            "Detectron2's own, whose blocks have shortcuts; take build_resnext_fpn_backbone or "
            "the like"
        )
    if cfg.SOLVER.FOLD_NORMS and "_resnext_" not in model.BACKBONE.NAME:
        yield (
            f"SOLVER.FOLD_NORMS is True, but the norms of MODEL.BACKBONE.NAME "
            f"{model.BACKBONE.NAME} are Detectron2's own; take build_resnext_fpn_backbone or the "
            "like, or set it False"
        )
    yield from _proposal_conflicts(cfg)


def _proposal_conflicts(cfg: CfgNode) -> Iterator[str]:
    generator = cfg.MODEL.PROPOSAL_GENERATOR.NAME
    if (generator == STORED_PROPOSALS) != cfg.MODEL.LOAD_PROPOSALS:
        yield (
            f"MODEL.LOAD_PROPOSALS is {cfg.MODEL.LOAD_PROPOSALS}, but "
            f"MODEL.PROPOSAL_GENERATOR.NAME is {generator}; stored proposals take True and "
            f"{STORED_PROPOSALS}"
        )
    for name in ("PROPOSAL_FILES_TRAIN", "PROPOSAL_FILES_TEST"):
        if cfg.DATASETS[name] and not cfg.MODEL.LOAD_PROPOSALS:
            yield (
                f"DATASETS.{name} names files, but MODEL.LOAD_PROPOSALS is False; set it True and "
                f"MODEL.PROPOSAL_GENERATOR.NAME {STORED_PROPOSALS}"
            )
