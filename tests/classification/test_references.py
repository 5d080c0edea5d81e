"""The whole classification path against torchvision's and timm's own parts. Engine-neutral."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torchvision.models import ResNeXt50_32X4D_Weights, resnext50_32x4d
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from resnext_det.classification import train_classifier
from resnext_det.classification.device_batch import build_device_batch
from resnext_det.cli.verbs.train import main
from resnext_det.config import load_config
from resnext_det.data.classification_loader import build_classification_train_loader
from resnext_det.data.image_folder import load_image_folder
from resnext_det.evaluation.topk import TopKCounter
from resnext_det.weights.sources import weights_from_state

CLASSES = 7


def smooth_image(draw: np.random.Generator) -> Image.Image:
    """A picture of soft colours, of any size and form."""
    width, height = (int(side) for side in draw.integers(60, 400, 2))
    pixels = draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


@torch.no_grad()
def calibrate(model: nn.Module, images: torch.Tensor) -> None:
    """Gives BatchNorm the statistics of the images, under which drawn weights stay near 1."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(images)
    model.eval()


@pytest.fixture(scope="module")
def pictures():
    draw = np.random.default_rng(4)
    return [smooth_image(draw) for _ in range(8)]


@pytest.fixture(scope="module")
def drawn_resnext(pictures):
    """torchvision's ResNeXt-50 32x4d with drawn weights, in evaluation mode."""
    torch.manual_seed(0)
    model = resnext50_32x4d(weights=None, num_classes=CLASSES)
    preset = ResNeXt50_32X4D_Weights.IMAGENET1K_V1.transforms()
    images = torch.stack([preset(picture) for picture in pictures])
    calibrate(model, images)
    with torch.no_grad():
        model.fc.bias -= model(images).mean(0)  # or one class would win them all
    return model


@pytest.fixture
def logits(monkeypatch):
    """What an evaluation run computes: its batches' logits and labels."""
    found, update = [], TopKCounter.update

    def recorded(self, logits, labels):
        found.append((logits, labels))
        update(self, logits, labels)

    monkeypatch.setattr(TopKCounter, "update", recorded)
    return found


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_torchvisions_resnext_scores_as_in_torchvision(
    tmp_path, pictures, drawn_resnext, logits, interpolation
):
    """Its file, its preset (the published one is bilinear): by the command a user runs."""
    preset = ImageClassification(crop_size=224, interpolation=InterpolationMode(interpolation))
    with torch.no_grad():
        expected = torch.stack([drawn_resnext(preset(p)[None])[0] for p in pictures])  # (N, K)
    ranked = expected.argsort(dim=1, descending=True).tolist()
    labels = [ranked[-1][-1]]  # the last one's is wrong; the first one's is right
    for classes in ranked[:-1]:
        labels.insert(-1, next((c for c in classes if c not in labels), classes[0]))
    ranks = [classes.index(label) for classes, label in zip(ranked, labels, strict=True)]
    for number in range(CLASSES):
        (tmp_path / "val" / str(number)).mkdir(parents=True)
    for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        picture.save(tmp_path / "val" / str(label) / f"{place:02}.png")
    torch.save(drawn_resnext.state_dict(), tmp_path / "torchvision.pth")
    words = ["--config-file", "resnext_det://ImageNet-Classification/X_50_32x4d.yaml"]
    words += ["--eval-only", "--test-data", f"pictures={tmp_path / 'val'}"]
    keys = {"MODEL.WEIGHTS": tmp_path / "torchvision.pth", "OUTPUT_DIR": tmp_path / "run"}
    keys |= {"INPUT.CLASSIFICATION.INTERPOLATION": interpolation, "DATALOADER.NUM_WORKERS": 0}
    keys |= {"INPUT.CLASSIFICATION.DECODER": "exact", "SOLVER.IMS_PER_BATCH": 4}
    keys["MODEL.DEVICE"] = "cpu"
    assert main([*words, *(str(part) for pair in keys.items() for part in pair)]) == 0
    result = json.loads((tmp_path / "run/inference/result.json").read_text())
    assert result["metrics"]["top1"] == pytest.approx(100 * np.mean([r < 1 for r in ranks]))
    assert result["metrics"]["top5"] == pytest.approx(100 * np.mean([r < 5 for r in ranks]))
    order = sorted(range(len(pictures)), key=lambda place: (labels[place], place))
    found = torch.cat([part for part, _ in logits])
    assert torch.cat([part for _, part in logits]).tolist() == sorted(labels)
    torch.testing.assert_close(found, expected[order], rtol=0, atol=1e-4)
    assert expected.std() > 0.05
    assert 0 < result["metrics"]["top1"] < result["metrics"]["top5"] < 100


def small_torchvision_net() -> nn.Module:
    """torchvision's own class as a ResNeXt-26 8x8d."""
    return ResNet(Bottleneck, [2, 2, 2, 2], num_classes=3, groups=8, width_per_group=8)


def test_a_paper_run_is_a_plain_loop_of_torch(datasets, tmp_path):
    """Network, SGD and steps of torchvision and torch; the batches are the loader's."""
    torch.manual_seed(5)
    model = small_torchvision_net()
    torch.save(model.state_dict(), tmp_path / "start.pth")
    loaded = paper_run(tmp_path)
    train_classifier(loaded, datasets)
    cfg = loaded.cfg
    optimizer = torch.optim.SGD(
        model.parameters(), 0.1 * 8 / 256, 0.9, weight_decay=1e-4, nesterov=True, foreach=False
    )
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 6, 8], gamma=0.1)
    to_inputs = build_device_batch(cfg, torch.device("cpu"))
    dataset = load_image_folder(datasets["toy_train"], training=True)
    model.train()
    batches = list(build_classification_train_loader(cfg, dataset))
    assert len(batches) == 10
    for images, labels in map(to_inputs, batches):
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        schedule.step()
    expected = weights_from_state(model.state_dict(), "model").state
    start = weights_from_state(
        torch.load(tmp_path / "start.pth", weights_only=True), "start.pth"
    ).state
    found = torch.load(tmp_path / "run/model_final.pth", weights_only=True)["model"]
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6, msg=name)
        assert not torch.equal(start[name], value), name


def paper_run(tmp_path):
    """The paper's recipe in ten iterations, its three steps among them."""
    keys = {
        "MODEL.RESNETS.DEPTH": 26, "MODEL.RESNETS.NUM_GROUPS": 8,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 8, "MODEL.WEIGHTS": tmp_path / "start.pth",
        "DATASETS.TRAIN": ["toy_train"], "DATASETS.TEST": [], "SEED": 1,
        "OUTPUT_DIR": tmp_path / "run", "DATALOADER.NUM_WORKERS": 0,
        "MODEL.DEVICE": "cpu", "MODEL.CLASSIFIER.NUM_CLASSES": 3, "SOLVER.IMS_PER_BATCH": 8,
        "SOLVER.MAX_ITER": 10, "SOLVER.STEPS": [4, 6, 8], "INPUT.CLASSIFICATION.TRAIN_CROP": 32,
    }  # fmt: skip
    words = [str(part) for pair in keys.items() for part in pair]
    return load_config("resnext_det://Base-Classification-Paper.yaml", words)
