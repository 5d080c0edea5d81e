"""What is filled, what is reported, and what is refused. Engine-neutral."""

import pytest
import torch
from torch import nn

from resnext_det.errors import UserError
from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.weights.load import load_weights, require_head
from resnext_det.weights.matching import match_names
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.sources import Weights


class Detector(nn.Module):
    """Stands for one: the backbone under a detector's prefix, and a head."""

    def __init__(self, variant="resnet26", num_classes=3):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.bottom_up = build_backbone(variant)
        self.backbone.fpn_lateral2 = nn.Conv2d(256, 8, 1)
        self.cls_score = nn.Linear(8, num_classes + 1)


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return build_classifier("resnet26", 5)


def weights_of(model, source="x.pth"):
    return Weights(model.state_dict(), source)


def test_a_classifier_fills_a_detectors_backbone(classifier, caplog):
    detector = Detector()
    with caplog.at_level("INFO"):
        report = load_weights(detector, weights_of(classifier), min_share=0.9)
    state = detector.state_dict()
    for key, value in classifier.state_dict().items():
        if not key.startswith("linear.") and not key.endswith("num_batches_tracked"):
            assert torch.equal(state[f"backbone.bottom_up.{key}"], value)
    assert report.backbone_share == 1.0
    assert set(report.unexpected) == {"linear.weight", "linear.bias"}
    assert len(report.missing) == 4
    assert not report.mismatched
    filled = sum(state[name].numel() for name in report.loaded)
    assert report.share_params == filled / sum(v.numel() for v in state.values())
    assert report.share_tensors == len(report.loaded) / len(state)
    assert len(caplog.records) == 1
    assert "x.pth" in caplog.text
    assert "4 missing (backbone.fpn_lateral2.weight" in caplog.text


def test_an_untrained_head_cannot_be_evaluated(classifier):
    report = load_weights(Detector(), weights_of(classifier), min_share=0.9)
    with pytest.raises(UserError, match=r"x.pth: cannot be evaluated, 4 tensors"):
        require_head(report)


def test_a_head_for_other_classes_starts_anew():
    source, target = Detector(num_classes=3), Detector(num_classes=7)
    before = target.cls_score.weight.clone()
    report = load_weights(target, weights_of(source), min_share=0.9)
    assert report.mismatched == ("cls_score.weight", "cls_score.bias")
    assert torch.equal(target.cls_score.weight, before)
    assert torch.equal(target.backbone.fpn_lateral2.weight, source.backbone.fpn_lateral2.weight)
    with pytest.raises(UserError, match=r"cls_score.weight"):
        require_head(report)


def test_numbers_that_are_not_finite_are_refused():
    weights = weights_of(Detector())
    weights.state["cls_score.bias"][1] = float("nan")
    with pytest.raises(UserError, match=r"x.pth: 1 tensors hold NaN or infinity \(cls_score.bias"):
        load_weights(Detector(), weights, min_share=0.9)


def test_whole_detectors_pass():
    require_head(load_weights(Detector(), weights_of(Detector()), min_share=1.0))


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ("resnext101_64x4d", "resnext101_32x8d",
         r"^x.pth is 64x4d \(depth 101\), the config says 32x8d \(depth 101\)"),
        ("resnet50", "resnet26", r"1x64d \(depth 50\), the config says 1x64d \(depth 26\)"),
        ("resnet18", "resnet26", r"1x64d \(depth 18\), the config says"),
    ],
)  # fmt: skip
def test_another_architecture_is_named(theirs, ours, message):
    with torch.device("meta"):
        source, target = build_classifier(theirs), build_backbone(ours)
    with pytest.raises(UserError, match=message) as error:
        load_weights(target, weights_of(source), min_share=0.9)
    assert "\n" not in str(error.value)


def test_64x4d_fits_most_of_32x8d_so_the_share_alone_would_not_tell():
    with torch.device("meta"):
        source, target = build_classifier("resnext101_64x4d"), build_backbone("resnext101_32x8d")
    theirs, ours = source.state_dict(), target.state_dict()
    fitting = sum(v.numel() for k, v in ours.items() if theirs[k].shape == v.shape)
    assert fitting / sum(v.numel() for v in ours.values()) == pytest.approx(0.877, abs=1e-3)


def test_too_small_a_share_is_an_error_that_zero_switches_off(classifier):
    state = {k: v for k, v in classifier.state_dict().items() if not k.startswith("res5")}
    with pytest.raises(UserError, match=r"fills \d\d.\d% of the backbone.*WEIGHTS_MIN_SHARE \(90%"):
        load_weights(Detector(), Weights(state, "x.pth"), min_share=0.9)
    report = load_weights(Detector(), Weights(state, "x.pth"), min_share=0.0)
    assert 0.2 < report.backbone_share < 0.9


def test_an_empty_file_fills_nothing():
    with pytest.raises(UserError, match=r"fills 0.0%"):
        load_weights(Detector(), Weights({}, "x.pth"), min_share=0.9)
    assert load_weights(Detector(), Weights({}, "x.pth"), min_share=0.0).loaded == ()


def test_the_longest_ending_wins_and_one_name_fills_one_place():
    one = torch.zeros(1)
    file = {"conv1.weight": one, "res2.conv1.weight": one}
    model = {"a.res2.conv1.weight": one, "a.stem.conv1.weight": one, "a.xconv1.weight": one}
    assert match_names(model, file, "x.pth") == {
        "a.res2.conv1.weight": "res2.conv1.weight",
        "a.stem.conv1.weight": "conv1.weight",
    }
    with pytest.raises(UserError, match="fits both"):
        match_names({"a.w": one, "b.w": one}, {"w": one}, "x.pth")


def test_the_report_counts_tensors_and_parameters_of_each_kind(classifier, caplog):
    weights = Weights(classifier.state_dict(), "x.pth", SideCar(licence="bsd-3-clause"))
    detector = Detector()
    with caplog.at_level("INFO"):
        report = load_weights(detector, weights, min_share=0.9)
    theirs = {k: v.numel() for k, v in classifier.state_dict().items() if "tracked" not in k}
    body = {k: n for k, n in theirs.items() if not k.startswith("linear")}
    head = 256 * 8 + 8 + 8 * 4 + 4  # fpn_lateral2 and cls_score
    assert report.as_dict() == {
        "loaded": {"tensors": len(body), "parameters": sum(body.values())},
        "missing": {"tensors": 4, "parameters": head},
        "unexpected": {"tensors": 2, "parameters": 2048 * 5 + 5},
        "mismatched": {"tensors": 0, "parameters": 0},
        "share": {
            "tensors": round(len(body) / (len(body) + 4), 6),
            "parameters": round(sum(body.values()) / (sum(body.values()) + head), 6),
            "backbone": 1.0,
        },
    }
    (line,) = caplog.messages
    assert line.startswith(f"x.pth: {len(body)} tensors of {sum(body.values()):,} parameters load")
    assert f"fpn_lateral2.bias, cls_score.weight …) of {head:,} parameters; 2 unexpected" in line
    assert line.endswith("; 0 mismatched; licence: BSD-3-Clause")
    assert "licence: not known" in str(load_weights(detector, weights_of(detector), min_share=1.0))


def test_mismatched_ones_are_counted_as_the_models():
    target = Detector(num_classes=7)
    report = load_weights(target, weights_of(Detector(num_classes=3)), min_share=0.9)
    assert report.as_dict()["mismatched"] == {"tensors": 2, "parameters": 8 * 8 + 8}


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "in-a-detector"])
def test_a_frozen_norm_keeps_statistics_that_the_file_lacks(classifier, whole):
    model = Detector() if whole else build_classifier("resnet26", 5, norm="FrozenBN")
    for name, value in model.state_dict().items():
        if ".running_" in name:
            value.fill_(3.0)
    weights = weights_of(classifier)
    for leaf in ("running_mean", "running_var"):
        del weights.state[f"res2.0.conv1.norm.{leaf}"]
    report = load_weights(model, weights, min_share=0.9)
    prefix = "backbone.bottom_up." if whole else ""
    norm = f"{prefix}res2.0.conv1.norm"
    assert {f"{norm}.running_mean", f"{norm}.running_var"} <= {*report.missing}
    state = model.state_dict()
    for leaf in ("running_mean", "running_var"):
        assert torch.equal(state[f"{norm}.{leaf}"], torch.full_like(state[f"{norm}.{leaf}"], 3.0))
        assert not torch.equal(state[f"{prefix}res2.0.conv2.norm.{leaf}"], torch.tensor(3.0))


def test_whole_numbers_are_no_weights(classifier):
    state = {k: v.to(torch.int8) if "conv2.weight" in k else v for k, v in weights_of(
        classifier).state.items()}  # fmt: skip
    model = build_classifier("resnet26", 5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UserError, match=r"x.pth: 8 tensors are of whole numbers .* torch.int8"):
        load_weights(model, Weights(state, "x.pth"), min_share=0.9)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_variances_below_0_are_refused_but_not_those_of_another_epsilon(classifier):
    weights = weights_of(classifier)
    name = "res3.0.conv1.norm.running_var"
    weights.state[name] = torch.full_like(weights.state[name], 1e-9 - 1e-5)  # eps 0 was folded
    model = build_classifier("resnet26", 5)
    load_weights(model, weights, min_share=0.9)
    weights.state[name] = torch.full_like(weights.state[name], -1.0)
    with pytest.raises(UserError, match=rf"x.pth: 1 norms have a variance below 0 \({name}\)"):
        load_weights(model, weights, min_share=0.9)


def test_a_detectors_file_for_a_classifier_says_how_to_take_its_backbone(classifier):
    weights = weights_of(Detector())
    with pytest.raises(UserError, match=r"have 'backbone.bottom_up.' before .* --part backbone`"):
        load_weights(build_classifier("resnet26", 5), weights, min_share=0.9)
