"""Feature maps by name: which the backbone gives, and who reads which. Engine-neutral."""

import math
from collections.abc import Iterator

from fvcore.common.config import CfgNode

from resnext_det.config.backbone import BASIC_DEPTHS
from resnext_det.config.tree import get_value

PLAIN_BACKBONES = ("build_resnext_backbone", "build_resnet_backbone")
FPN_BACKBONES = ("build_resnext_fpn_backbone", "build_resnet_fpn_backbone")
# RetinaNet's pyramid: p6 and p7 are convolutions, the first of them on res5.
P6P7_BACKBONES = ("build_retinanet_resnext_fpn_backbone", "build_retinanet_resnet_fpn_backbone")

# Detector -> the parts of it that read feature maps by name.
READERS = {
    "GeneralizedRCNN": ("RPN", "ROI_HEADS"),
    "PanopticFPN": ("RPN", "ROI_HEADS", "SEM_SEG_HEAD"),
    "ProposalNetwork": ("RPN",),
    "RetinaNet": ("RETINANET",),
    "SemanticSegmentor": ("SEM_SEG_HEAD",),
}
ANY_WIDTH = ("SEM_SEG_HEAD",)  # a convolution of its own for each map; the others share theirs
C4_HEADS = "Res5ROIHeads"
STORED_PROPOSALS = "PrecomputedProposals"  # in the RPN's place
TWO_BLOCK_DEPTHS = (26,)  # blocks in their res5; Res5ROIHeads has three


def feature_problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each feature map that is read and that a ResNet or ResNeXt does not give.

    Backbones of other names are not held to anything.
    """
    name = cfg.MODEL.BACKBONE.NAME
    if name in PLAIN_BACKBONES:
        given = [feature for feature in cfg.MODEL.RESNETS.OUT_FEATURES if feature != "linear"]
        yield from _reader_problems(cfg, given, f"{name} gives")
        yield from _width_problems(cfg)
    elif name in (*FPN_BACKBONES, *P6P7_BACKBONES):
        problem = _pyramid_problem(cfg)
        if problem is None:
            yield from _reader_problems(cfg, _levels(cfg), "the FPN has")
        else:
            yield problem
    yield from _c4_problems(cfg)


def feature_warnings(cfg: CfgNode) -> Iterator[str]:
    """One line for a res5 in the heads that is not the backbone's."""
    depth = cfg.MODEL.RESNETS.DEPTH
    c4 = "ROI_HEADS" in readers(cfg) and cfg.MODEL.ROI_HEADS.NAME == C4_HEADS
    if c4 and depth in (*BASIC_DEPTHS, *TWO_BLOCK_DEPTHS):
        yield (
            f"MODEL.ROI_HEADS.NAME {C4_HEADS} has a res5 of three bottleneck blocks, unlike depth "
            f"{depth}: weights for that depth fill it in part"
        )


def readers(cfg: CfgNode) -> tuple[str, ...]:
    """The parts of the detector that read feature maps; stored proposals need no RPN."""
    parts = READERS.get(cfg.MODEL.META_ARCHITECTURE, ())
    stored = cfg.MODEL.PROPOSAL_GENERATOR.NAME == STORED_PROPOSALS
    return tuple(part for part in parts if not (stored and part == "RPN"))


def stride_of(cfg: CfgNode, stage: str) -> int:
    """Pixels of the image per cell of a stage's map ("stem", "res2" … "res5")."""
    net = cfg.MODEL.RESNETS
    number = 2 if stage == "stem" else int(stage.removeprefix("res"))
    stride = (1 if net.STEM == "cifar" else 4) << (number - 2)
    return stride // net.RES5_DILATION if number == 5 else stride


def _reader_problems(cfg: CfgNode, given: list[str], who: str) -> Iterator[str]:
    for part in readers(cfg):
        wanted = list(cfg.MODEL[part].IN_FEATURES)
        if not wanted or not set(wanted) <= set(given):
            yield f"MODEL.{part}.IN_FEATURES is {wanted}; {who} {', '.join(given)}"


def _width_problems(cfg: CfgNode) -> Iterator[str]:
    """Stages differ in channels, which the heads on regions and anchors cannot take."""
    for part in readers(cfg):
        wanted = list(cfg.MODEL[part].IN_FEATURES)
        if len(wanted) > 1 and part not in ANY_WIDTH:
            yield (
                f"MODEL.{part}.IN_FEATURES is {wanted}, maps of unequal channels; without an FPN "
                "it takes one of them"
            )


def _pyramid_problem(cfg: CfgNode) -> str | None:
    """What keeps the FPN from being built on the stages, or its top from being made."""
    model = cfg.MODEL
    stages, taken = list(model.RESNETS.OUT_FEATURES), list(model.FPN.IN_FEATURES)
    if not taken or not set(taken) <= set(stages) or {"stem", "linear"} & set(taken):
        return (
            f"MODEL.FPN.IN_FEATURES is {taken}; it takes some of "
            f"MODEL.RESNETS.OUT_FEATURES {stages}, without the stem"
        )
    strides = [stride_of(cfg, stage) for stage in taken]
    if strides != [strides[0] << i for i in range(len(strides))]:
        return (
            f"MODEL.FPN.IN_FEATURES is {taken}, of strides {strides}; each has to be twice the "
            "one before"
        )
    if strides[-1] != 32:
        return (
            f"MODEL.FPN.IN_FEATURES is {taken}; it has to end in a stage of stride 32, on which "
            f"p6 stands, not {strides[-1]}"
        )
    return None


def _levels(cfg: CfgNode) -> list[str]:
    """The names of the pyramid's maps: the number is log2 of the stride."""
    strides = [stride_of(cfg, stage) for stage in cfg.MODEL.FPN.IN_FEATURES]
    extra = ["p6", "p7"] if cfg.MODEL.BACKBONE.NAME in P6P7_BACKBONES else ["p6"]
    return [f"p{int(math.log2(stride))}" for stride in strides] + extra


def _c4_problems(cfg: CfgNode) -> Iterator[str]:
    """`Res5ROIHeads` is res5 itself, of plain blocks, on res4."""
    model = cfg.MODEL
    if "ROI_HEADS" not in readers(cfg) or model.ROI_HEADS.NAME != C4_HEADS:
        return
    wanted = list(model.ROI_HEADS.IN_FEATURES)
    if model.BACKBONE.NAME in (*FPN_BACKBONES, *P6P7_BACKBONES):
        yield (
            f"MODEL.ROI_HEADS.NAME is {C4_HEADS}, which reads res4; with "
            f"{model.BACKBONE.NAME} take StandardROIHeads"
        )
    elif model.BACKBONE.NAME in PLAIN_BACKBONES and wanted != ["res4"]:
        yield (
            f"MODEL.ROI_HEADS.IN_FEATURES is {wanted}; {C4_HEADS} is res5 and reads ['res4'] "
            "(StandardROIHeads reads any)"
        )
    if not model.RESNETS.SHORTCUTS:
        yield (
            f"MODEL.RESNETS.SHORTCUTS is False, but res5 is in {C4_HEADS}, whose blocks have "
            "shortcuts; take a detector whose backbone has res5 (FPN, DC5)"
        )
    if get_value(cfg, "MODEL.RESNETS.DEFORM_ON_PER_STAGE")[-1]:
        yield (
            f"MODEL.RESNETS.DEFORM_ON_PER_STAGE ends in True, but res5 is in {C4_HEADS}, which "
            "has no deformable convolutions; let it end in False"
        )
