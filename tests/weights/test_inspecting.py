"""What can be said of weights files of several kinds. Engine-neutral."""

import json
from dataclasses import replace

import pytest
import torch
import torchvision

from resnext_det.errors import UserError
from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.inspecting import as_json, inspect_weights
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import write_beside
from tests.weights.inspected_files import CLASSES, torchvision_state, trained, write_ours

pytestmark = pytest.mark.usefixtures("caches")


@pytest.fixture(scope="module")
def state():
    return torchvision_state()


def inspected(path):
    found = as_json(inspect_weights(str(path)))
    json.dumps(found, allow_nan=False)
    return found


def test_a_torchvision_file(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    found = inspected(tmp_path / "w.pth")
    assert (found["container"], found["naming"]) == ("torch", "torchvision")
    assert found["architecture"]["variant"] == "resnet18"
    assert (found["head"]["kind"], found["head"]["num_classes"]) == ("classifier", 5)
    assert found["tensors"] == len(state)
    assert found["params"] == sum(
        p.numel() for p in torchvision.models.resnet18(num_classes=5).parameters()
    )
    assert (found["share_known"], found["unknown"], found["missing"]) == (1.0, [], [])
    assert found["convention"]["INPUT.FORMAT"] == "RGB"
    assert found["convention_from"] == "its tensors' names"
    assert (found["side_car"], found["licence"], found["suspicions"]) == ("none", None, [])
    assert "MODEL.RESNETS.VARIANT resnet18" in found["hints"]


def test_our_file_with_its_side_car(tmp_path, state):
    path = tmp_path / "w.safetensors"
    side_car = write_ours(path, state)
    found = inspected(path)
    assert (found["container"], found["side_car"]) == ("safetensors", "valid")
    assert found["convention_from"] == "its side-car"
    assert (found["licence"], found["accuracy"]) == ("BSD-3-Clause", {"top1": 69.758})
    assert found["tensors_sha256"] == side_car.sha256
    assert tuple(found["class_names"]) == CLASSES
    assert found["origin"] == "torchvision://resnet18/IMAGENET1K_V1"


def test_a_side_car_of_other_tensors_says_nothing(tmp_path, state):
    path = tmp_path / "w.safetensors"
    write_ours(path, state, sha256="0" * 64)
    found = inspected(path)
    assert found["side_car"] == "of other tensors (sha256 000000000000…)"
    assert (found["licence"], found["convention"]) == (None, None)


def test_a_damaged_side_car_is_told_and_the_rest_still_is(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save(state, path)
    beside = write_beside(path, SideCar(licence="MIT"))
    assert inspected(path)["side_car"] == "without a digest"
    assert inspected(path)["licence"] == "MIT"
    beside.write_text("{")
    found = inspected(path)
    assert "damaged" in found["side_car"]
    assert found["naming"] == "torchvision"


def test_a_checkpoint_of_a_run_says_its_config_and_classes(tmp_path):
    config = (
        "INPUT: {FORMAT: BGR}\n"
        "MODEL: {PIXEL_MEAN: [1.0, 2.0, 3.0], PIXEL_STD: [4.0, 5.0, 6.0],"
        " RESNETS: {STRIDE_IN_1X1: true}}"
    )
    content = {
        "model": trained(build_classifier("resnet18", 2)).state_dict(),
        "config": config,
        "class_names": ["a", "b"],
    }
    torch.save(content, tmp_path / "model_final.pth")
    found = inspected(tmp_path / "model_final.pth")
    assert found["convention_from"] == "the config in it"
    assert found["convention"]["MODEL.RESNETS.STRIDE_IN_1X1"] is True
    assert found["class_names"] == ["a", "b"]
    assert {"config", "class_names"} <= set(found["beside_the_tensors"])


def test_a_file_that_no_model_fits(tmp_path):
    layers = torchvision.models.vgg.make_layers([8, "M", 16, 16])
    torch.save(layers.state_dict(), tmp_path / "vgg.pth")
    found = inspected(tmp_path / "vgg.pth")
    assert (found["naming"], found["architecture"], found["head"]) == (None, None, None)
    assert (found["share_known"], found["hints"]) == (None, [])
    assert found["dtypes"] == {"float32": 6}


def test_a_relative_that_is_no_plain_resnet(tmp_path):
    import timm

    torch.save(timm.create_model("seresnext26t_32x4d").state_dict(), tmp_path / "se.pth")
    found = inspected(tmp_path / "se.pth")
    assert (found["naming"], found["architecture"]) == ("torchvision", None)
    assert "squeeze and excitation" in found["special"]
    assert 0.5 < found["share_known"] < 1.0
    assert any(".se." in name for name in found["unknown"])
    assert found["refusal"]


def test_lost_and_foreign_tensors(tmp_path, state):
    lacking = {k: v for k, v in state.items() if k != "layer1.0.conv1.weight"}
    torch.save(lacking, tmp_path / "w.pth")
    found = inspected(tmp_path / "w.pth")
    assert found["missing"] == ["res2.0.conv1.weight"]
    ours = build_backbone("resnet18", norm="BN").state_dict() | {"teacher.x": torch.zeros(2)}
    torch.save(ours, tmp_path / "w.pth")
    found = inspected(tmp_path / "w.pth")
    assert found["unknown"] == ["teacher.x"]
    assert found["share_known"] == pytest.approx(1 - 1 / len(ours))
    assert found["head"]["kind"] == "none"


def test_deformable_networks(tmp_path):
    network = build_backbone("resnet26", deform_on_per_stage=(False, False, False, True))
    torch.save(network.state_dict(), tmp_path / "w.pth")
    found = inspected(tmp_path / "w.pth")
    assert found["special"] == ["deformable convolutions"]
    assert (found["architecture"]["depth"], found["hints"]) == (26, [])


def test_suspicious_numbers_are_told_by_our_names(tmp_path, state):
    tiny = {k: v.clone() for k, v in state.items()}
    tiny["layer1.0.bn1.running_var"][:3] = 0.0
    torch.save(tiny, tmp_path / "w.pth")
    (found,) = inspected(tmp_path / "w.pth")["suspicions"]
    assert (found["kind"], found["tensors"]) == (
        "tiny-variance",
        ["res2.0.conv1.norm.running_var"],
    )
    assert found["text"].startswith("3 running variances")


@pytest.mark.parametrize(
    ("build", "hints"),
    [
        (
            lambda: build_classifier("resnext50_32x4d", 10),
            [
                "MODEL.RESNETS.VARIANT resnext50_32x4d",
                "--config-file resnext_det://ImageNet-Classification/X_50_32x4d.yaml",
                "--config-file resnext_det://COCO-Detection/faster_rcnn_X_50_32x4d_FPN_1x.yaml",
            ],
        ),
        (
            lambda: build_backbone("resnet101", norm="BN"),
            [
                "MODEL.RESNETS.VARIANT resnet101",
                "--config-file resnext_det://COCO-Detection/faster_rcnn_R_101_FPN_1x.yaml",
            ],
        ),
        (
            lambda: build_classifier("resnext29_8x64d", 100),
            [
                "MODEL.RESNETS.VARIANT resnext29_8x64d",
                "--config-file resnext_det://CIFAR/X_29_8x64d_cifar100.yaml",
            ],
        ),
        (
            lambda: build_classifier("resnet50", 10, res2_out_channels=128),
            [
                (
                    "MODEL.RESNETS.DEPTH 50 MODEL.RESNETS.NUM_GROUPS 1 "
                    "MODEL.RESNETS.WIDTH_PER_GROUP 64 MODEL.RESNETS.RES2_OUT_CHANNELS 128 "
                    "MODEL.RESNETS.STEM_OUT_CHANNELS 64"
                )
            ],
        ),
    ],
    ids=["resnext50", "resnet101-backbone", "cifar", "no-variant"],
)
def test_hints(build, hints):
    from resnext_det.weights.architecture import infer_architecture
    from resnext_det.weights.heads import infer_head
    from resnext_det.weights.inspecting import _hints

    with torch.device("meta"):
        state = build().state_dict()
    assert list(_hints(infer_architecture(state), infer_head(state))) == hints


def test_a_file_that_the_catalogue_knows(tmp_path, state, monkeypatch):
    from resnext_det.weights import opening
    from resnext_det.weights.catalog import catalog

    entry = next(e for e in catalog() if e.spec == "torchvision://resnet18/IMAGENET1K_V1")
    torch.save(state, tmp_path / "w.pth")
    monkeypatch.setattr(opening, "find_by_digest", lambda sha256: entry)
    found = inspected(tmp_path / "w.pth")
    assert found["convention_from"] == "the catalogue"
    assert (found["origin"], found["licence"]) == (entry.spec, entry.licence or None)


def test_no_such_file_and_no_weights(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.pth: no such file"):
        inspect_weights(str(tmp_path / "nowhere.pth"))
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match=r"text\.pth: "):
        inspect_weights(str(tmp_path / "text.pth"))


def test_an_empty_file(tmp_path):
    torch.save({}, tmp_path / "w.pth")
    found = inspected(tmp_path / "w.pth")
    assert (found["tensors"], found["params"], found["naming"]) == (0, 0, None)


def test_the_convention_is_the_most_trusted_ones(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save(state, path)
    bgr = replace(torchvision_convention(), format="BGR")
    write_beside(path, SideCar(convention=bgr))
    assert inspected(path)["convention"]["INPUT.FORMAT"] == "BGR"
