"""Feature maps that nobody gives, or that their reader cannot take, are refused in one line."""

import pytest

from resnext_det.config import get_cfg, validate_config
from resnext_det.config.features import (
    FPN_BACKBONES,
    P6P7_BACKBONES,
    PLAIN_BACKBONES,
    TWO_BLOCK_DEPTHS,
    stride_of,
)
from resnext_det.config.tree import set_value
from resnext_det.errors import UserError
from resnext_det.modeling import ResNet, layout

M, RES = "MODEL.", ["res2", "res3", "res4", "res5"]
STANDARD = {M + "ROI_HEADS.NAME": "StandardROIHeads"}
C4 = {M + "BACKBONE.NAME": "build_resnext_backbone"}  # Detectron2's defaults are its C4 model
DC5 = {
    **C4,
    **STANDARD,
    M + "RESNETS.OUT_FEATURES": ["res5"],
    M + "RESNETS.RES5_DILATION": 2,
    M + "RPN.IN_FEATURES": ["res5"],
    M + "ROI_HEADS.IN_FEATURES": ["res5"],
}
FPN = {
    **STANDARD,
    M + "BACKBONE.NAME": "build_resnext_fpn_backbone",
    M + "RESNETS.OUT_FEATURES": RES,
    M + "FPN.IN_FEATURES": RES,
    M + "RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    M + "ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
}
RETINANET = {
    M + "META_ARCHITECTURE": "RetinaNet",
    M + "BACKBONE.NAME": "build_retinanet_resnext_fpn_backbone",
    M + "RESNETS.OUT_FEATURES": RES[1:],
    M + "FPN.IN_FEATURES": RES[1:],
}
PANOPTIC = {**FPN, M + "META_ARCHITECTURE": "PanopticFPN"}
STORED = {M + "PROPOSAL_GENERATOR.NAME": "PrecomputedProposals"}
SOUND = {
    "C4": C4,
    "DC5": DC5,
    "FPN": FPN,
    "RetinaNet": RETINANET,
    "RetinaNet on p2 to p6": {
        **FPN,
        M + "META_ARCHITECTURE": "RetinaNet",
        M + "RETINANET.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    },
    "panoptic FPN": PANOPTIC,
    "semantic, one convolution a stage": {
        **C4,
        M + "META_ARCHITECTURE": "SemanticSegmentor",
        M + "RESNETS.OUT_FEATURES": RES,
        M + "SEM_SEG_HEAD.IN_FEATURES": RES,
    },
    "Fast R-CNN": {**C4, **STORED, M + "RPN.IN_FEATURES": ["p9"]},
    "proposals alone": {**C4, M + "META_ARCHITECTURE": "ProposalNetwork", **STANDARD},
    "deformable C4": {**C4, M + "RESNETS.DEFORM_ON_PER_STAGE": [False, True, True, False]},
}
REFUSED = [
    (
        {**C4, M + "RPN.IN_FEATURES": ["p2"]},
        "MODEL.RPN.IN_FEATURES is ['p2']; build_resnext_backbone gives res4",
    ),
    (
        {**C4, **STANDARD, M + "ROI_HEADS.IN_FEATURES": ["p2", "p3"]},
        "MODEL.ROI_HEADS.IN_FEATURES is ['p2', 'p3']; build_resnext_backbone gives res4",
    ),
    (
        {**DC5, M + "RESNETS.OUT_FEATURES": RES, M + "ROI_HEADS.IN_FEATURES": ["res4", "res5"]},
        "MODEL.ROI_HEADS.IN_FEATURES is ['res4', 'res5'], maps of unequal channels; without an FPN",
    ),
    (
        {**DC5, M + "ROI_HEADS.NAME": "Res5ROIHeads"},
        "MODEL.ROI_HEADS.IN_FEATURES is ['res5']; Res5ROIHeads is res5 and reads ['res4'] (Standa",
    ),
    (
        {**FPN, M + "ROI_HEADS.NAME": "Res5ROIHeads"},
        "MODEL.ROI_HEADS.NAME is Res5ROIHeads, which reads res4; with build_resnext_fpn_backbone",
    ),
    (
        {**C4, M + "RESNETS.DEFORM_ON_PER_STAGE": [False, True, True, True]},
        "MODEL.RESNETS.DEFORM_ON_PER_STAGE ends in True, but res5 is in Res5ROIHeads, which has no",
    ),
    (
        {**C4, M + "RESNETS.SHORTCUTS": False},
        "MODEL.RESNETS.SHORTCUTS is False, but res5 is in Res5ROIHeads, whose blocks have shortcut",
    ),
    (
        {**RETINANET, M + "RETINANET.IN_FEATURES": ["p2", "p3"]},
        "MODEL.RETINANET.IN_FEATURES is ['p2', 'p3']; the FPN has p3, p4, p5, p6, p7",
    ),
    (
        {**FPN, M + "META_ARCHITECTURE": "RetinaNet"},
        "MODEL.RETINANET.IN_FEATURES is ['p3', 'p4', 'p5', 'p6', 'p7']; the FPN has p2, p3, p4, p5",
    ),
    (
        {**RETINANET, M + "FPN.IN_FEATURES": ["res3", "res4"]},
        "MODEL.FPN.IN_FEATURES is ['res3', 'res4']; it has to end in a stage of stride 32, on whi",
    ),
    (
        {**RETINANET, M + "RESNETS.OUT_FEATURES": ["res3", "res4"]},
        "MODEL.FPN.IN_FEATURES is ['res3', 'res4', 'res5']; it takes some of MODEL.RESNETS.OUT_FE",
    ),
    (
        {**FPN, M + "FPN.IN_FEATURES": ["res2", "res5"]},
        "MODEL.FPN.IN_FEATURES is ['res2', 'res5'], of strides [4, 32]; each has to be twice the",
    ),
    (
        {**FPN, M + "FPN.IN_FEATURES": RES[::-1]},
        "MODEL.FPN.IN_FEATURES is ['res5', 'res4', 'res3', 'res2'], of strides [32, 16, 8, 4]; ea",
    ),
    (
        {**FPN, M + "RESNETS.RES5_DILATION": 2},
        "MODEL.FPN.IN_FEATURES is ['res2', 'res3', 'res4', 'res5'], of strides [4, 8, 16, 16]; ea",
    ),
    (
        {**FPN, M + "RESNETS.STEM": "cifar"},
        "MODEL.FPN.IN_FEATURES is ['res2', 'res3', 'res4', 'res5']; it has to end in a stage of s",
    ),
    (
        {**PANOPTIC, M + "SEM_SEG_HEAD.IN_FEATURES": ["res2"]},
        "MODEL.SEM_SEG_HEAD.IN_FEATURES is ['res2']; the FPN has p2, p3, p4, p5, p6",
    ),
]


def config(keys):
    cfg = get_cfg()
    for key, value in keys.items():
        set_value(cfg, key, value)
    return cfg


@pytest.mark.parametrize("name", SOUND)
def test_sound(name):
    assert validate_config(config(SOUND[name]), where="a.yaml") == ()


@pytest.mark.parametrize(("keys", "message"), REFUSED)
def test_refused(keys, message):
    with pytest.raises(UserError) as error:
        validate_config(config(keys), where="a.yaml")
    assert str(error.value).removeprefix("a.yaml: ").startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("depth", "is_unlike"), [(26, True), (34, True), (50, False)])
def test_a_res5_in_the_heads_that_is_not_the_backbones(depth, is_unlike):
    keys = {**C4, M + "RESNETS.DEPTH": depth}
    if depth == 34:
        keys[M + "RESNETS.RES2_OUT_CHANNELS"] = 64
    warnings = validate_config(config(keys), where="a.yaml")
    expected = (
        "a.yaml: MODEL.ROI_HEADS.NAME Res5ROIHeads has a res5 of three bottleneck blocks, unlike "
        f"depth {depth}: weights for that depth fill it in part"
    )
    assert warnings == ((expected,) if is_unlike else ())
    assert validate_config(config({**keys, **STANDARD}), where="a.yaml") == ()


def test_the_table_knows_what_the_model_knows():
    four = {depth: blocks for depth, blocks in layout.BLOCKS_PER_STAGE.items() if len(blocks) == 4}
    two = [depth for depth, blocks in four.items() if blocks[3] == 2]
    assert tuple(set(two) - set(layout.BASIC_DEPTHS)) == TWO_BLOCK_DEPTHS


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_strides_are_the_networks(stem, dilation):
    cfg = config({M + "RESNETS.STEM": stem, M + "RESNETS.RES5_DILATION": dilation})
    network = ResNet(
        depth=26,
        stem=stem,
        res5_dilation=dilation,
        out_features=["stem", *RES],
        width_per_group=1,
        stem_out_channels=1,
        res2_out_channels=1,
    )
    for stage, shape in network.output_shape().items():
        assert stride_of(cfg, stage) == shape.stride


@pytest.mark.d2
def test_the_names_are_registered():
    from detectron2.modeling import BACKBONE_REGISTRY

    import resnext_det.engines.d2  # noqa: F401

    for name in (*PLAIN_BACKBONES, *FPN_BACKBONES, *P6P7_BACKBONES):
        assert name in BACKBONE_REGISTRY
