"""Smoothed and mixed targets against timm's and torchvision's own. Engine-neutral."""

import pytest
import torch
from torchvision.transforms import v2

from resnext_det.classification.losses import classification_losses
from resnext_det.classification.mixing import build_mix
from resnext_det.config import get_cfg

CLASSES = 6
WAYS = {
    "MIXUP_ALPHA": v2.MixUp(alpha=0.4, num_classes=CLASSES),
    "CUTMIX_ALPHA": v2.CutMix(alpha=0.4, num_classes=CLASSES),
}


def draw(count):
    """Images, labels and the logits that a model gives, whatever it sees."""
    generator = torch.Generator().manual_seed(8)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    logits = 3 * torch.randn(count, CLASSES, generator=generator)
    return images, torch.arange(count) % CLASSES, logits


def our_loss(smoothing, images, labels, logits, mix=None):
    """The loss that training minimises, of a batch that is on the device already."""
    compute = classification_losses(smoothing, lambda batch: batch, mix)
    return compute(lambda mixed: logits, (images, labels))["loss_cls"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_loss_is_timms(smoothing):
    loss = pytest.importorskip("timm.loss").LabelSmoothingCrossEntropy(smoothing)
    images, labels, logits = draw(9)
    ours = our_loss(smoothing, images, labels, logits)
    torch.testing.assert_close(ours, loss(logits, labels), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("key", WAYS)
def test_loss_of_mixed_images_is_timms(key, smoothing):
    """Of two images, each of which both mix with the other."""
    loss = pytest.importorskip("timm.loss").SoftTargetCrossEntropy()
    mixup_target = pytest.importorskip("timm.data.mixup").mixup_target
    images, labels, logits = draw(2)
    mix = mixing(**{key: 0.4})
    torch.manual_seed(3)
    _, targets = mix(images, labels)
    share = float(targets[0, labels[0]])
    assert 0 < share < 1
    torch.manual_seed(3)
    ours = our_loss(smoothing, images, labels, logits, mix)
    theirs = loss(logits, mixup_target(labels, CLASSES, share, smoothing))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("keys", [("MIXUP_ALPHA",), ("CUTMIX_ALPHA",), tuple(WAYS)])
def test_same_draws_mix_as_in_torchvision(keys):
    ways = [WAYS[key] for key in keys]
    reference = ways[0] if len(ways) == 1 else v2.RandomChoice(ways)
    images, labels, _ = draw(5)
    mix = mixing(**dict.fromkeys(keys, 0.4))
    for seed in range(4):
        torch.manual_seed(seed)
        ours = mix(images.clone(), labels)
        torch.manual_seed(seed)
        theirs = reference(images.clone(), labels)
        assert all(map(torch.equal, ours, theirs))


def mixing(**solver):
    """The mixing of a config."""
    cfg = get_cfg()
    cfg.MODEL.CLASSIFIER.NUM_CLASSES = CLASSES
    cfg.SOLVER.update(solver)
    return build_mix(cfg)
