"""The backbone in Detectron2: its builders' names, shapes and refusals, and LazyConfig."""

import pickle
from importlib import resources
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError

pytestmark = pytest.mark.d2

RES = ["res2", "res3", "res4", "res5"]
# Our builder -> Detectron2's, the stages it takes, and its maps: name -> (channels, stride).
BUILDERS = {
    "build_resnext_backbone": (
        "build_resnet_backbone",
        ["res4", "res5"],
        {"res4": (1024, 16), "res5": (2048, 32)},
    ),
    "build_resnext_fpn_backbone": (
        "build_resnet_fpn_backbone",
        RES,
        {f"p{level}": (256, 2**level) for level in range(2, 7)},
    ),
    "build_retinanet_resnext_fpn_backbone": (
        "build_retinanet_resnet_fpn_backbone",
        RES[1:],
        {f"p{level}": (256, 2**level) for level in range(3, 8)},
    ),
}


def config(name="build_resnext_backbone", stages=("res4",), **resnets):
    """Detectron2's tree with our keys; resnets: keys of MODEL.RESNETS."""
    from detectron2.config import get_cfg

    from resnext_det.engines.d2 import add_config

    cfg = get_cfg()
    add_config(cfg)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.BACKBONE.NAME = name
    cfg.MODEL.RESNETS.OUT_FEATURES = list(stages)
    cfg.MODEL.FPN.IN_FEATURES = list(stages)
    for key, value in resnets.items():
        cfg.MODEL.RESNETS[key] = value
    return cfg


def build(cfg, channels=3):
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import build_backbone

    with torch.device("meta"):
        return build_backbone(cfg, ShapeSpec(channels=channels))


@pytest.mark.parametrize("name", BUILDERS)
def test_builders_give_detectron2s_maps_and_names(name):
    theirs_name, stages, maps = BUILDERS[name]
    ours = build(config(name, stages, NUM_GROUPS=32, WIDTH_PER_GROUP=4))
    theirs = build(config(theirs_name, stages, NUM_GROUPS=32, WIDTH_PER_GROUP=4))
    assert {k: (s.channels, s.stride) for k, s in ours.output_shape().items()} == maps
    assert ours.output_shape() == theirs.output_shape()
    shapes = [[(k, v.shape) for k, v in n.state_dict().items()] for n in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert (ours.size_divisibility, ours.padding_constraints) == (
        theirs.size_divisibility,
        theirs.padding_constraints,
    )
    images = torch.empty(2, 3, 128, 128, device="meta")
    outputs, expected = ours(images), theirs(images)
    assert {k: v.shape for k, v in outputs.items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_variant_reaches_every_builder(name):
    cfg = config(name, BUILDERS[name][1], VARIANT="resnext101_32x8d")
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.freeze()
    network = build(cfg)
    conv = getattr(network, "bottom_up", network).res4[22].conv2
    assert conv.weight.shape == (1024, 32, 3, 3)
    assert cfg.MODEL.RESNETS.DEPTH == 50  # the tree given is left alone


def test_c4_heads_have_to_know_the_variant():
    """They are Detectron2's, and build res5 from NUM_GROUPS and the like."""
    from detectron2.modeling import build_model

    from resnext_det.engines.d2 import apply_variant

    cfg = config(VARIANT="resnext50_32x4d")
    message = "VARIANT is resnext50_32x4d, but Res5ROIHeads would build res5 of .*apply_variant"
    with pytest.raises(UserError, match=message):
        build_model(cfg)
    apply_variant(cfg)
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        model = build_model(cfg)
    assert model.roi_heads.res5[0].conv2.weight.shape == (1024, 32, 3, 3)


def test_heads_that_the_detector_does_not_have_do_not_matter():
    cfg = config(VARIANT="resnext50_32x4d")
    cfg.MODEL.META_ARCHITECTURE = "ProposalNetwork"
    build(cfg)
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.ROI_HEADS.NAME = "GeneralizedRCNN", "SomebodysHeads"
    build(cfg)


def test_a_contradiction_of_the_variant():
    cfg = config(VARIANT="resnext50_32x4d", NUM_GROUPS=64)
    with pytest.raises(UserError, match="has NUM_GROUPS 32, but MODEL.RESNETS.NUM_GROUPS is set"):
        build(cfg)


def test_refusals():
    with pytest.raises(UserError, match="MODEL.PIXEL_MEAN has 1 channels; a ResNeXt takes images"):
        build(config(), channels=1)
    cfg = config("build_retinanet_resnext_fpn_backbone", ["res3", "res4"])
    with pytest.raises(UserError, match=r"OUT_FEATURES is \['res3', 'res4'\]; p6 is made from re"):
        build(cfg)


def test_resnext_by_variant_and_by_numbers():
    from detectron2.modeling import Backbone

    from resnext_det.engines.d2 import ResNeXt

    with torch.device("meta"):
        named = ResNeXt(variant="resnext50_32x4d", norm="BN", freeze_at=2, out_features=RES)
        numbers = ResNeXt(depth=50, num_groups=32, width_per_group=4, norm="BN", freeze_at=2)
    assert isinstance(named, Backbone)
    assert list(named.state_dict()) == list(numbers.state_dict())
    assert named.output_shape() == numbers.output_shape()
    trained = [[p.requires_grad for p in network.parameters()] for network in (named, numbers)]
    assert trained[0] == trained[1]
    assert {len(pickle.loads(pickle.dumps(n)).stages()) for n in (named, numbers)} == {4}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"variant": "resnext50_32x4"}, "the nearest is 'resnext50_32x4d'"),
        ({"variant": "resnext50_32x4d", "depth": 101}, "has depth 50, but depth is set to 101"),
        ({"norm": "BN"}, "ResNeXt needs variant, such as 'resnext50_32x4d', or depth"),
    ],
)
def test_refusals_of_the_class(kwargs, message):
    from resnext_det.engines.d2 import ResNeXt

    with pytest.raises(UserError, match=message):
        ResNeXt(**kwargs)


def lazy_fpn(**kwargs):
    """FPN in LazyConfig, on the narrowest ResNeXt-26; kwargs: those of ResNeXt."""
    from detectron2.config import LazyCall as L
    from detectron2.modeling import FPN
    from detectron2.modeling.backbone.fpn import LastLevelMaxPool

    from resnext_det.engines.d2 import ResNeXt

    narrow = {"num_groups": 4, "width_per_group": 4, "stem_out_channels": 8}
    bottom_up = L(ResNeXt)(depth=26, res2_out_channels=16, norm="BN", **narrow, **kwargs)
    return L(FPN)(
        bottom_up=bottom_up, in_features=RES, out_channels=8, top_block=L(LastLevelMaxPool)()
    )


@pytest.mark.parametrize("through_yaml", [False, True])
def test_lazy_config(through_yaml, tmp_path):
    from detectron2.config import LazyConfig, instantiate
    from omegaconf import OmegaConf

    from resnext_det.engines.d2 import ResNeXt

    cfg = OmegaConf.create(
        {"backbone": lazy_fpn(out_features=RES, deform_on_per_stage=[False] * 4)}
    )
    cfg = LazyConfig.apply_overrides(
        cfg,
        ["backbone.bottom_up.freeze_at=1", "backbone.bottom_up.deform_on_per_stage.3=True"],
    )
    if through_yaml:
        LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
        cfg = LazyConfig.load(str(tmp_path / "config.yaml"))
    fpn = instantiate(cfg.backbone)
    assert type(fpn.bottom_up) is ResNeXt
    assert not fpn.bottom_up.stem.conv1.weight.requires_grad
    outputs = fpn(torch.randn(1, 3, 64, 64))
    assert {k: v.shape[-1] for k, v in outputs.items()} == {
        f"p{i}": 2 ** (6 - i) for i in range(2, 7)
    }
    sum(value.mean() for value in outputs.values()).backward()
    assert fpn.bottom_up.res5[0].conv2_offset.weight.grad.abs().max() > 0


CONFIG_FILE = """
from detectron2.config import LazyCall as L
from resnext_det.engines.d2 import ResNeXt

bottom_up = L(ResNeXt)(variant="resnext26_32x4d", out_features=["res5"], norm="GN")
"""


def test_a_config_file_can_name_it(tmp_path: Path):
    from detectron2.config import LazyConfig, instantiate

    path = tmp_path / "config.py"
    path.write_text(CONFIG_FILE)
    cfg = LazyConfig.load(str(path))
    assert "ResNeXt(" in LazyConfig.to_py(cfg)
    cfg.bottom_up.variant = "resnet26"
    with torch.device("meta"):
        network = instantiate(cfg.bottom_up)
    assert network.res2[0].conv2.weight.shape == (64, 64, 3, 3)


def test_in_detectron2s_lazy_retinanet():
    """Its own model file, with LastLevelP6P7 on res5; one training step."""
    from detectron2.config import LazyCall as L
    from detectron2.config import LazyConfig, instantiate
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage

    from resnext_det.engines.d2 import ResNeXt

    folder = resources.files("detectron2") / "model_zoo/configs/common/models"
    cfg = LazyConfig.load(str(folder / "retinanet.py"))
    cfg.model.backbone.bottom_up = L(ResNeXt)(
        variant="resnext26_32x4d", out_features=["res3", "res4", "res5"], norm="BN", freeze_at=0
    )
    model = instantiate(cfg.model).train()
    boxes = Instances((64, 64), gt_boxes=Boxes(torch.tensor([[8.0, 8.0, 40.0, 48.0]])))
    boxes.gt_classes = torch.tensor([3])
    sample = {"image": torch.randint(0, 256, (3, 64, 64)), "instances": boxes}
    with EventStorage():
        losses = model([sample])
    sum(losses.values()).backward()
    for name, parameter in model.backbone.bottom_up.named_parameters():
        assert parameter.grad is not None, name
    assert list(model.backbone.output_shape()) == ["p3", "p4", "p5", "p6", "p7"]
