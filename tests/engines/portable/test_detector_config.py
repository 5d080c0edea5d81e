"""The config keys of the portable engine: those it honours, and values it refuses."""

import re

import pytest
import torch

from resnext_det.config import check_honoured, flatten, get_cfg
from resnext_det.engines.portable.from_config import SUPPORTED, detector_from_config
from resnext_det.engines.portable.honoured import HONOURED
from resnext_det.errors import UserError
from tests.golden.formula import NETS, TINY_NETS, as_list

REFUSED = {
    "MODEL.META_ARCHITECTURE": "RetinaNet",
    "MODEL.BACKBONE.NAME": "build_resnet_backbone",
    "MODEL.MASK_ON": True,
    "MODEL.KEYPOINT_ON": True,
    "MODEL.LOAD_PROPOSALS": True,
    "MODEL.FPN.FUSE_TYPE": "max",
    "MODEL.PROPOSAL_GENERATOR.NAME": "RRPN",
    "MODEL.ANCHOR_GENERATOR.NAME": "RotatedAnchorGenerator",
    "MODEL.RPN.HEAD_NAME": "MyHead",
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": "l2",
    "MODEL.ROI_HEADS.NAME": "CascadeROIHeads",
    "MODEL.ROI_BOX_HEAD.NAME": "MyHead",
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": "l2",
}


def config(settings):
    cfg = get_cfg()
    cfg.merge_from_list(as_list(TINY_NETS["tiny_resnet"] | settings))
    return cfg


def test_every_honoured_key_exists():
    assert HONOURED - {key for key, _ in flatten(get_cfg())} == set()


@pytest.mark.parametrize("net", NETS)
def test_the_compared_settings_are_honoured(net):
    cfg = get_cfg()
    cfg.merge_from_list(as_list(NETS[net]))
    check_honoured(cfg, HONOURED, "portable")


def test_detectron2s_base_file_is_accepted():
    # Its keys of the mask head mean nothing while MASK_ON is False, on either engine.
    mask_head = {"NAME": "MaskRCNNConvUpsampleHead", "NUM_CONV": 4, "POOLER_RESOLUTION": 14}
    settings = {f"MODEL.ROI_MASK_HEAD.{key}": value for key, value in mask_head.items()}
    check_honoured(config(settings), HONOURED, "portable")


def test_a_key_that_is_not_honoured_is_refused():
    with pytest.raises(UserError, match=r"VIS_PERIOD"):
        check_honoured(config({"VIS_PERIOD": 20}), HONOURED, "portable")


def test_every_partly_supported_key_is_tested():
    assert set(REFUSED) == set(SUPPORTED)


@pytest.mark.parametrize("key", REFUSED)
def test_unsupported_values_are_refused(key):
    value = REFUSED[key]
    message = re.escape(f"{key} is {value!r}") + r".*it supports .*use --engine d2"
    with pytest.raises(UserError, match=message):
        detector_from_config(config({key: value}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"MODEL.FPN.IN_FEATURES": ["res2", "res4"]}, r"MODEL\.FPN\.IN_FEATURES.*double"),
        ({"MODEL.FPN.IN_FEATURES": ["res7"]}, r"MODEL\.FPN\.IN_FEATURES.*res7"),
        ({"MODEL.RPN.IN_FEATURES": ["p9"]}, r"MODEL\.RPN\.IN_FEATURES.*p9"),
        ({"MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p4"]}, r"MODEL\.ROI_HEADS\.IN_FEATURES.*power"),
        ({"MODEL.ROI_HEADS.IN_FEATURES": []}, r"MODEL\.ROI_HEADS\.IN_FEATURES"),
        ({"MODEL.ANCHOR_GENERATOR.SIZES": [[8], [16]]}, r"MODEL\.ANCHOR_GENERATOR: 2 lists"),
        (
            {"MODEL.ANCHOR_GENERATOR.SIZES": [[8], [8], [8], [8], [8, 9]]},
            r"MODEL\.ANCHOR_GENERATOR: every level needs the same number",
        ),
        ({"MODEL.ANCHOR_GENERATOR.OFFSET": 1.0}, r"MODEL\.ANCHOR_GENERATOR: .*offset"),
        ({"MODEL.RPN.IOU_THRESHOLDS": [0.7, 0.3]}, r"MODEL\.RPN: IoU thresholds"),
        ({"MODEL.ROI_HEADS.IOU_LABELS": [0, 2]}, r"MODEL\.ROI_HEADS: IoU labels"),
        (
            {"MODEL.ROI_BOX_HEAD.NUM_FC": 0},
            r"MODEL\.ROI_BOX_HEAD: NUM_CONV and NUM_FC are both 0",
        ),
        ({"MODEL.FPN.NORM": "GN"}, r"GN cannot divide 16 channels"),
    ],
)
def test_values_that_do_not_fit_together(settings, message):
    with pytest.raises(UserError, match=message) as error:
        detector_from_config(config(settings))
    assert "\n" not in str(error.value)


def test_builds_on_the_meta_device():
    with torch.device("meta"):
        model = detector_from_config(config({}))
    assert all(value.is_meta for value in model.state_dict().values())


def test_rpn_loss_weights_multiply():
    settings = {"MODEL.RPN.LOSS_WEIGHT": 3.0, "MODEL.RPN.BBOX_REG_LOSS_WEIGHT": 5.0}
    model = detector_from_config(config(settings))
    assert model.proposal_generator.loss_weights == (3.0, 15.0)


def test_freeze_at_reaches_the_backbone():
    frozen = detector_from_config(config({"MODEL.BACKBONE.FREEZE_AT": 2}))
    stages = {
        name.split(".")[2]
        for name, p in frozen.named_parameters()
        if name.startswith("backbone.bottom_up") and not p.requires_grad
    }
    assert stages == {"stem", "res2"}
    free = detector_from_config(config({"MODEL.BACKBONE.FREEZE_AT": 0}))
    assert all(p.requires_grad for p in free.parameters())
