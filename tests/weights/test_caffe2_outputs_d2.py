"""Outputs of Caffe2 files, read here and read by Detectron2's own checkpointer. Detectron2.

The two never share a tensor: one file on the disk, two readers, two networks.
"""

import pickle
from importlib import resources

import pytest
import torch

from resnext_det.modeling.norms import FrozenBatchNorm2d
from resnext_det.modeling.resnet import ResNet
from resnext_det.weights.content import FileContent
from resnext_det.weights.load import load_weights
from resnext_det.weights.sources import weights_from_content
from tests.weights import caffe2_files as build
from tests.weights.caffe2_files import R50, R101, Net, random_values

pytestmark = pytest.mark.d2

CLASSES = 5  # and the background
STAGES = ["res2", "res3", "res4", "res5"]


def write(path, blobs):
    """As Detectron's save_object: a pickle of arrays in protocol 2."""
    arrays = {name: value.numpy() for name, value in blobs.items()}
    path.write_bytes(pickle.dumps(arrays, protocol=2))
    return path


def read(blobs):
    return weights_from_content(FileContent("pickle", blobs), "X.pkl")


def detectron2_config(name="COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml", **resnets):
    from detectron2.config import get_cfg

    import resnext_det.engines.d2.backbone  # noqa: F401  (registers the builders)
    from resnext_det.engines.d2.config import add_config

    cfg = get_cfg()
    add_config(cfg)
    cfg.merge_from_file(str(resources.files("detectron2") / "model_zoo/configs" / name))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.RESNETS.update(resnets)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = CLASSES - 1
    return cfg


def images(size=64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, 3, size, size, generator=generator)


BACKBONES = {
    "MSRA R-50 for Detectron2": ("BN", {"STRIDE_IN_1X1": True}),
    "MSRA R-50 of Detectron": ("affine", {"STRIDE_IN_1X1": True}),
    "R-50-GN": ("GN", {"STRIDE_IN_1X1": False, "NORM": "GN"}),
}


@pytest.mark.parametrize(("norm", "keys"), BACKBONES.values(), ids=BACKBONES.keys())
def test_a_backbone_answers_as_detectron2s(norm, keys, tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.backbone import build_resnet_backbone

    net = Net(random_values(0), norm)
    build.add_body(net)
    net.fc("pred", 10, 2048)
    cfg = detectron2_config(OUT_FEATURES=STAGES, **keys)
    theirs = build_resnet_backbone(cfg, ShapeSpec(channels=3)).eval()
    DetectionCheckpointer(theirs).load(str(write(tmp_path / "R-50.pkl", net.blobs)))

    ours = ResNet(
        depth=50,
        stride_in_1x1=keys["STRIDE_IN_1X1"],
        norm=keys.get("NORM", "FrozenBN"),
        out_features=STAGES,
    ).eval()
    report = load_weights(ours, read(net.blobs), min_share=1.0)
    assert report.backbone_share == 1.0
    assert report.unexpected == ("linear.weight", "linear.bias")
    check_features(ours(images()), theirs(images()))


@torch.no_grad()
def check_features(ours, theirs, tolerance=1e-4):
    assert ours.keys() == theirs.keys()
    for name in ours:
        scale = theirs[name].abs().max()
        assert 1e-2 < scale < 1e3, (name, scale)
        assert (ours[name] - theirs[name]).abs().max() <= tolerance * max(1.0, float(scale)), name


def x101_with_dead_channels():
    """Detectron2's X-101-32x8d.pkl, with channels that never fire, as vision issue 2599 found."""
    net = Net(random_values(0), "BN")
    build.add_body(net, R101, groups=32, width=8)
    net.fc("pred", 1000, 2048)
    for name, value in net.blobs.items():
        if name.endswith("_bn_running_var"):
            for place, variance in enumerate((0.0, 1e-40, 1e-9)):
                value[place::16] = variance
        elif name.endswith("_bn_running_mean") or (name.endswith("_w") and "_branch" in name):
            for place in range(3):
                value[place::16] = 0.0
    return net


@pytest.mark.slow
def test_x_101_32x8d_maps_completely_and_keeps_its_epsilon(tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.modeling import build_backbone

    net = x101_with_dead_channels()
    keys = {"DEPTH": 101, "NUM_GROUPS": 32, "WIDTH_PER_GROUP": 8, "STRIDE_IN_1X1": False}
    cfg = detectron2_config(**keys)
    path = write(tmp_path / "X-101-32x8d.pkl", net.blobs)
    theirs = build_backbone(cfg).eval()
    DetectionCheckpointer(theirs).load(str(path))
    path.unlink()

    cfg.MODEL.BACKBONE.NAME = "build_resnext_fpn_backbone"
    for name in ("build_resnext_fpn_backbone", "build_resnet_fpn_backbone"):
        cfg.MODEL.BACKBONE.NAME = name
        ours = build_backbone(cfg).eval()
        report = load_weights(ours, read(net.blobs), min_share=1.0)
        # 104 convolutions (the shortcuts of four stages among them), each with four of its norm.
        assert len(report.loaded) == 104 * 5
        assert report.unexpected == ("linear.weight", "linear.bias")
        assert all(key.startswith("fpn_") for key in report.missing)
        copy_fpn(theirs, ours)
        with torch.no_grad():
            check_features(ours(images()), theirs(images()))

    without_epsilon(ours)
    with torch.no_grad():
        assert ours(images())["p5"].isnan().any()


@torch.no_grad()
def copy_fpn(source, target):
    """Each builder starts it from its own random numbers."""
    given = dict(source.named_parameters())
    for name, parameter in target.named_parameters():
        if name.startswith("fpn_"):
            parameter.copy_(given[name])


def without_epsilon(model):
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d) or "FrozenBatchNorm" in type(module).__name__:
            module.eps = 0.0


def faster_fpn():
    net = Net(random_values(0), "affine")
    build.add_body(net)
    build.add_fpn(net)
    build.add_rpn(net, 256, 3, "_fpn2")
    build.add_mlp_head(net)
    build.add_box_outputs(net, 1024, CLASSES)
    return net


def mask_c4():
    net = Net(random_values(0), "affine")
    build.add_body(net)
    build.add_rpn(net, 1024, 15)
    build.add_box_outputs(net, 2048, CLASSES)
    build.add_mask_outputs(net, 2048, 256, CLASSES)
    return net


DETECTORS = {
    "faster_fpn": (faster_fpn, "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml"),
    "mask_c4": (mask_c4, "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("make", "name"), DETECTORS.values(), ids=DETECTORS.keys())
def test_a_whole_detector_answers_as_detectron2s(make, name, tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.modeling import build_model

    net = make()
    cfg = detectron2_config(name)
    theirs = build_model(cfg).eval()
    DetectionCheckpointer(theirs).load(str(write(tmp_path / "model_final.pkl", net.blobs)))

    cfg.MODEL.BACKBONE.NAME = cfg.MODEL.BACKBONE.NAME.replace("resnet", "resnext")
    ours = build_model(cfg).eval()
    report = load_weights(ours, read(net.blobs), min_share=1.0)
    assert report.missing == report.mismatched == report.unexpected == ()
    check_features(answers(ours), answers(theirs))
    detected = ours([{"image": images()[0] + 110}])[0]["instances"]
    assert len(detected) > 0
    assert detected.has("pred_masks") == cfg.MODEL.MASK_ON


@torch.no_grad()
def answers(model):
    """What each part of a detector says, before anything is ranked or thrown away."""
    from detectron2.structures import Boxes

    features = model.backbone(images())
    proposals, heads = model.proposal_generator, model.roi_heads
    logits, deltas = proposals.rpn_head([features[name] for name in proposals.in_features])
    boxes = [Boxes(torch.tensor([[4.0, 6.0, 50.0, 40.0], [0.0, 0.0, 64.0, 64.0]]))]
    if hasattr(heads, "res5"):
        regions = heads._shared_roi_transform([features[f] for f in heads.in_features], boxes)
        found = {"scores": regions.mean(dim=[2, 3]), "masks": heads.mask_head.layers(regions)}
    else:
        inputs = [features[name] for name in heads.box_in_features]
        found = {"scores": heads.box_head(heads.box_pooler(inputs, boxes))}
    found["scores"], found["boxes"] = heads.box_predictor(found["scores"])
    return {**features, "logits": logits[0], "deltas": deltas[0], **found}


def test_a_file_without_a_stage_leaves_it_missing():
    net = Net(random_values(0), "BN")
    build.add_body(net, R50[:3], slim=1)
    ours = ResNet(depth=50, out_features=STAGES)
    report = load_weights(ours, read(net.blobs), min_share=0.0)
    assert len(report.missing) == 10 * 5
    assert all(key.startswith("res5.") for key in report.missing)
