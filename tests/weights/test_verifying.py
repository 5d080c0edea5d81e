"""Digest, kept outputs and the source libraries, each passing and failing. Engine-neutral."""

import json
import sys
from dataclasses import replace

import pytest
import timm
import torch
import torchvision

from resnext_det.errors import UserError
from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.weights import opening
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.reference import reference_outputs
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import with_digest, write_beside
from resnext_det.weights.sources import Weights
from resnext_det.weights.verifying import verify_weights
from tests.weights.inspected_files import torchvision_state, trained, write_ours

pytestmark = pytest.mark.usefixtures("caches")


@pytest.fixture(scope="module")
def state():
    return torchvision_state()


def verified(path):
    """Returns name of the check -> (status, text), the verdict under ""."""
    found = verify_weights(str(path))
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    statuses = {row["name"]: (row["status"], row["text"]) for row in content["checks"]}
    return statuses | {"": content["verdict"]}


def test_our_file_is_verified_by_its_side_car(tmp_path, state):
    write_ours(tmp_path / "w.safetensors", state)
    found = verified(tmp_path / "w.safetensors")
    assert found[""] == "passed"
    assert found["tensors"][0] == found["outputs"][0] == "passed"
    assert found["outputs"][1].startswith("logits for the reference image differ by ")
    assert found["torchvision"] == ("not done", "the file has not torchvision's names")
    assert found["file"][0] == "not done"


def test_a_torchvision_file_is_verified_by_both_libraries(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    found = verified(tmp_path / "w.pth")
    assert found[""] == "passed"
    assert found["tensors"] == ("not done", "there is no side-car")
    assert found["outputs"][0] == "not done"
    for library in ("torchvision", "timm"):
        assert found[library][0] == "passed"
        assert "logits differ by" in found[library][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet50", "resnext50_32x4d", "resnext101_64x4d", "wide_resnet50_2"]
)
def test_bottlenecks_of_torchvision(tmp_path, name):
    torch.manual_seed(0)
    model = trained(torchvision.models.get_model(name, num_classes=10))
    torch.save(model.state_dict(), tmp_path / "w.pth")
    found = verified(tmp_path / "w.pth")
    assert (found["torchvision"][0], found["timm"][0]) == ("passed", "passed")


def test_timm_prepares_images_as_its_weights_say(tmp_path):
    """Of another mean and std, which only the weights' name tells."""
    name = "resnetv2_50x1_bit.goog_in21k"  # 0.5 throughout: the numbers of its config are taken
    mean = timm.get_pretrained_cfg(name).mean
    assert mean == (0.5, 0.5, 0.5)
    torch.manual_seed(0)
    model = trained(timm.create_model("resnet18", num_classes=5))
    torch.save(model.state_dict(), tmp_path / "w.pth")
    half = replace(torchvision_convention(), mean=(127.5,) * 3, std=(127.5,) * 3)
    write_beside(tmp_path / "w.pth", SideCar(origin=f"timm://{name}", convention=half))
    found = verified(tmp_path / "w.pth")
    assert found["timm"][0] == "passed"
    assert found["torchvision"][0] == "failed"  # it prepares with the usual numbers


def test_tampered_tensors_fail_both_checks(tmp_path, state):
    other = {k: v.clone() for k, v in state.items()}
    path, honest = tmp_path / "w.safetensors", tmp_path / "honest.safetensors"
    kept = write_ours(honest, state)
    other["layer1.0.conv1.weight"] *= 1.01
    write_ours(path, other, sha256=kept.sha256)
    found = verified(path)
    assert found[""] == "failed"
    assert found["tensors"][0] == "failed"
    assert "of other tensors" in found["tensors"][1]


def test_outputs_of_other_weights_fail(tmp_path, state):
    other = torchvision_state(seed=1)
    path = tmp_path / "w.safetensors"
    kept = write_ours(path, other)
    write_ours(path, state, outputs=kept.outputs)
    found = verified(path)
    assert (found["tensors"][0], found["outputs"][0], found[""]) == ("passed", "failed", "failed")


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"formula": "lenna"}, "not done", "'lenna', which is not known here"),
        ({"formula": 1}, "failed", "formula is no text"),
        ({"image_size": 10**9}, "failed", "image_size is no number from 1 to 1024"),
        ({"values": []}, "failed", "values are no numbers"),
        ({"values": ["a"]}, "failed", "values are no numbers"),
        ({"norm": -1.0}, "failed", "norm is no number from 0 on"),
        ({"count": 6}, "failed", "5 logits, but the side-car keeps 6 logits"),
        ({"what": "res5"}, "failed", "5 logits, but the side-car keeps 5 res5"),
        ({"image_size": 64}, "failed", "differ by"),
        ({"norm": 1e6, "tolerance": 1e9}, "failed", "at most 0.001"),
    ],
    ids=str,
)
def test_outputs_that_are_not_as_written_here(tmp_path, state, change, status, words):
    path = tmp_path / "w.safetensors"
    kept = write_ours(path, state)
    write_ours(path, state, outputs={**kept.outputs, **change})
    found = verified(path)["outputs"]
    assert found[0] == status
    assert words in found[1]


def test_a_detectors_backbone_is_verified(tmp_path, state):
    torch.manual_seed(0)
    backbone = trained(build_backbone("resnet18", norm="BN")).state_dict()
    detector = {f"backbone.bottom_up.{k}": v for k, v in backbone.items()}
    detector["roi_heads.box_predictor.cls_score.weight"] = torch.ones(6, 8)
    known = SideCar(convention=torchvision_convention())
    weights = Weights(detector, "x", known)
    side_car = replace(with_digest(known, detector), outputs=reference_outputs(weights))
    torch.save({"model": detector}, tmp_path / "model_final.pth")
    write_beside(tmp_path / "model_final.pth", side_car)
    found = verified(tmp_path / "model_final.pth")
    assert (found[""], found["outputs"][0]) == ("passed", "passed")
    assert found["outputs"][1].startswith("res5 for the reference image")


def test_nothing_to_compare_with(tmp_path):
    torch.save(build_classifier("resnet18", 2).state_dict(), tmp_path / "w.pth")
    found = verified(tmp_path / "w.pth")
    assert found.pop("") == "not done"
    assert {status for status, _ in found.values()} == {"not done"}


def test_a_backbone_in_torchvisions_names_is_compared_by_features(tmp_path, state):
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, tmp_path / "w.pth")
    found = verified(tmp_path / "w.pth")
    assert found["torchvision"][0] == found["timm"][0] == "passed"
    assert found["torchvision"][1].startswith("res5 differ by")


def test_timm_that_is_not_installed(tmp_path, state, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.setitem(sys.modules, name, None)
    torch.save(state, tmp_path / "w.pth")
    found = verified(tmp_path / "w.pth")
    assert found["timm"] == ("not done", "timm is not installed: pip install timm")
    assert found[""] == "passed"


def test_a_lost_tensor_is_not_run(tmp_path, state):
    torch.save({k: v for k, v in state.items() if k != "bn1.weight"}, tmp_path / "w.pth")
    found = verified(tmp_path / "w.pth")
    assert found["torchvision"][0] == "not done"
    assert "1 of the network's tensors are not in it" in found["torchvision"][1]


def test_a_published_file(tmp_path, state, monkeypatch):
    from resnext_det.weights.catalog import catalog

    entry = next(e for e in catalog() if e.spec == "torchvision://resnet18/IMAGENET1K_V1")
    monkeypatch.setattr(opening, "find_by_digest", lambda sha256: entry)
    torch.save(state, tmp_path / "w.pth")
    expected = "its sha256 is that published of torchvision://resnet18/IMAGENET1K_V1"
    assert verified(tmp_path / "w.pth")["file"] == ("passed", expected)


def test_files_that_no_network_of_ours_is(tmp_path):
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: no plain ResNet or ResNeXt: its names \(a\.wei"):
        verify_weights(str(tmp_path / "w.pth"))
    torch.save(timm.create_model("seresnext26t_32x4d").state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: no plain ResNet or ResNeXt: it also has "):
        verify_weights(str(tmp_path / "w.pth"))
