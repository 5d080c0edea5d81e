"""Evaluation through our path is torchvision's own preset on the same files. Engine-neutral."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights
from torchvision.models.resnet import Bottleneck, ResNet

from resnext_det.classification import train_classifier
from resnext_det.classification.device_batch import build_device_batch
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_loader import build_classification_test_loader
from resnext_det.data.device_decoding import check_decoder
from resnext_det.data.image_folder import load_image_folder
from resnext_det.errors import UserError


def tiny_resnext():
    """torchvision's own ResNet class with grouped convolutions and one block in each stage."""
    torch.manual_seed(0)
    return ResNet(Bottleneck, [1, 1, 1, 1], num_classes=20, groups=8, width_per_group=4).eval()


def write_jpegs(root):
    """Smooth JPEG files of many sizes, broad, tall, gray, small and rotated by EXIF."""
    random = np.random.default_rng(0)
    sizes = [(300, 400), (500, 333), (256, 256), (90, 130), (257, 640), (600, 301)]
    for number, (height, width) in enumerate(sizes):
        (root / f"c{number % 2}").mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        image = image.convert("L") if number == 2 else image
        image.save(root / f"c{number % 2}" / f"{number}.jpg", quality=90)
    return load_image_folder(DatasetEntry("jpegs", None, root))


@torch.no_grad()
def logits_by_both_paths(cfg, dataset, places):
    """Returns (N, K) of our loader and device batch, and of the preset on the files."""
    model, preset = tiny_resnext(), ResNet50_Weights.IMAGENET1K_V1.transforms()
    to_inputs = build_device_batch(cfg, torch.device("cpu"))
    batches = build_classification_test_loader(cfg, dataset.subset(places))
    ours = torch.cat([model(to_inputs(batch)[0]) for batch in batches])
    theirs = []
    for place in places:
        with Image.open(dataset.images.name(place)) as image:
            theirs.append(model(preset(image.convert("RGB"))[None]))
    return ours, torch.cat(theirs)


GPU = ("INPUT.CLASSIFICATION.DECODER", "gpu")


@pytest.mark.parametrize("weights", ["", "none.pth"])
def test_a_gpu_decoder_needs_a_gpu(load, monkeypatch, weights):
    """Named before any data, which are not there, are read."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    message = r"DECODER is gpu, but MODEL.DEVICE is cuda, and torch finds no CUDA GPU\(s\); set it"
    with pytest.raises(UserError, match=message):
        train_classifier(load(*GPU, "MODEL.DEVICE", "cuda", "MODEL.WEIGHTS", weights), {})
    with pytest.raises(UserError, match=r"gpu, but MODEL.DEVICE is cpu, and .*; set it to fast"):
        check_decoder(load(*GPU, "MODEL.DEVICE", "cpu").cfg)


def test_a_gpu_decoder_leaves_the_workers_no_pixels_to_augment(load, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_decoder(load(*GPU, "MODEL.DEVICE", "cuda").cfg)
    policy = ("INPUT.CLASSIFICATION.AUTO_AUGMENT", "trivial_augment_wide")
    with pytest.raises(UserError, match=r"AUTO_AUGMENT trivial_augment_wide .* DECODER to fast"):
        check_decoder(load(*GPU, "MODEL.DEVICE", "cuda", *policy).cfg)


@pytest.fixture
def preset_cfg(load):
    """Base-Classification.yaml's own keys: 256, 224, bilinear, RGB; the exact decoder."""
    return load(
        "INPUT.CLASSIFICATION.RESIZE_TEST", 256, "INPUT.CLASSIFICATION.TEST_CROP", 224,
        "INPUT.CLASSIFICATION.DECODER", "exact",
    ).cfg  # fmt: skip


def test_evaluation_is_torchvisions_preset(preset_cfg, tmp_path):
    dataset = write_jpegs(tmp_path / "jpegs")
    ours, theirs = logits_by_both_paths(preset_cfg, dataset, range(6))
    assert (ours - theirs).abs().max() < 1e-4
    assert ours.std() > 1e-2  # the images do differ
    assert torch.equal(ours.argmax(1), theirs.argmax(1))


def test_evaluation_is_torchvisions_preset_on_real_images(preset_cfg, shared):
    dataset = load_image_folder(DatasetEntry("in20", None, shared("in20") / "val"))
    ours, theirs = logits_by_both_paths(preset_cfg, dataset, range(0, 1000, 40))
    assert (ours - theirs).abs().max() < 1e-4
    assert torch.equal(ours.argmax(1), theirs.argmax(1))


def test_a_ten_crop_batch_has_ten_pictures_of_each_image(preset_cfg, tmp_path):
    dataset = write_jpegs(tmp_path / "jpegs")
    preset_cfg.defrost()
    preset_cfg.SOLVER.IMS_PER_BATCH = 20
    to_inputs = build_device_batch(preset_cfg, torch.device("cpu"))
    for batch in build_classification_test_loader(preset_cfg, dataset, ten_crop=True):
        images, labels = to_inputs(batch)
        assert (len(batch), len(labels), batch.num_windows) == (2, 2, 10)
        by_image = images.unflatten(0, (2, 10))
        # What the mirror image's corners show is what the other side's show, mirrored.
        for mirrored, place in ((5, 1), (6, 0), (7, 3), (8, 2)):
            assert torch.equal(by_image[:, mirrored].flip(-1), by_image[:, place])
