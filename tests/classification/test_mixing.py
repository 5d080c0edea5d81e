"""MixUp and CutMix by their formulas, and the loss on their targets. Engine-neutral."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torchvision.transforms import v2

from resnext_det.classification.mixing import build_mix, check_classes_to_mix, check_mixing
from resnext_det.config import get_cfg
from resnext_det.errors import UserError

CLASSES = 5


def config(**solver):
    cfg = get_cfg()
    cfg.MODEL.CLASSIFIER.NUM_CLASSES = CLASSES
    cfg.SOLVER.update({"IMS_PER_BATCH": 6, **solver})
    return cfg


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(6, 3, 8, 10, generator=generator)
    return images, torch.tensor([0, 1, 2, 3, 4, 0])


def one_hot(labels):
    return np.eye(CLASSES)[labels.numpy()]


def share_of(targets, labels):
    """The weight of an image's own label where its neighbour has another."""
    return targets[torch.arange(len(labels)), labels][1:5]


def test_nothing_is_mixed_by_default():
    assert build_mix(config()) is None
    check_mixing(config(IMS_PER_BATCH=1))


def test_mixup_is_the_sum_of_two_neighbours(batch):
    images, labels = batch
    mix = build_mix(config(MIXUP_ALPHA=0.4))
    torch.manual_seed(1)
    mixed, targets = mix(images.clone(), labels)
    shares = share_of(targets, labels)
    assert shares.max() - shares.min() < 1e-7
    share = float(shares[0])
    assert 0 < share < 1
    before = np.roll(images.double().numpy(), 1, axis=0)
    expected = share * images.double().numpy() + (1 - share) * before
    np.testing.assert_allclose(mixed.numpy(), expected, atol=1e-6)
    expected = share * one_hot(labels) + (1 - share) * np.roll(one_hot(labels), 1, axis=0)
    np.testing.assert_allclose(targets.numpy(), expected, atol=1e-6)


def test_cutmix_pastes_one_rectangle_and_shares_by_its_area(batch):
    images, labels = batch
    mix = build_mix(config(CUTMIX_ALPHA=1.0))
    for seed in range(5):
        torch.manual_seed(seed)
        mixed, targets = mix(images.clone(), labels)
        pasted = (mixed != images).any(1).any(0)  # (H, W): of some image and channel
        rows, columns = pasted.any(1), pasted.any(0)
        assert torch.equal(pasted, rows[:, None] & columns[None, :])  # a rectangle
        for edge in (rows, columns):
            assert (edge.int().diff().abs().sum() + edge[0] + edge[-1]) in (0, 2)
        assert torch.equal(mixed[:, :, pasted], images.roll(1, 0)[:, :, pasted])
        share = 1 - float(pasted.float().mean())
        torch.testing.assert_close(share_of(targets, labels), torch.full((4,), share))
        expected = share * one_hot(labels) + (1 - share) * np.roll(one_hot(labels), 1, axis=0)
        np.testing.assert_allclose(targets.numpy(), expected, atol=1e-6)


def test_with_both_each_takes_half_of_the_batches(batch):
    images, labels = batch
    mix = build_mix(config(MIXUP_ALPHA=0.2, CUTMIX_ALPHA=1.0))
    mixups = 0
    for seed in range(200):
        torch.manual_seed(seed)
        mixed, _ = mix(images.clone(), labels)
        # MixUp leaves no pixel as it was; CutMix takes each from one of two images.
        from_one = (mixed == images) | (mixed == images.roll(1, 0))
        mixups += int(not from_one.all())
    assert 75 < mixups < 125  # 100, and 3.5 deviations of sqrt(200) / 2


def test_the_draws_follow_torchs_generator_alone(batch):
    images, labels = batch
    mix = build_mix(config(MIXUP_ALPHA=0.2, CUTMIX_ALPHA=1.0))
    results = []
    for _ in range(2):
        torch.manual_seed(9)
        results.append(mix(images.clone(), labels))
        np.random.default_rng().random()
    assert all(map(torch.equal, *results))


def test_mixup_draws_from_the_beta_distribution(batch):
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1))."""
    mix = build_mix(config(MIXUP_ALPHA=0.2))
    images, labels = batch[0][:, :, :1, :1], batch[1]
    torch.manual_seed(0)
    shares = np.array([float(share_of(mix(images, labels)[1], labels)[0]) for _ in range(1500)])
    assert shares.mean() == pytest.approx(0.5, abs=0.04)
    assert shares.var() == pytest.approx(1 / (4 * 1.4), abs=0.012)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_smoothed_soft_targets(smoothing, batch):
    """-sum_k q_k log p_k with q = (1 - e) target + e / K (arXiv 1512.00567, section 7)."""
    images, labels = batch
    torch.manual_seed(2)
    _, targets = v2.MixUp(alpha=0.4, num_classes=CLASSES)(images, labels)
    logits = torch.randn(6, CLASSES, dtype=torch.float64)
    exponents = np.exp(logits.numpy())
    log_p = np.log(exponents / exponents.sum(1, keepdims=True))
    for target in (targets.double(), labels):
        dense = one_hot(labels) if target is labels else target.numpy()
        smoothed = (1 - smoothing) * dense + smoothing / CLASSES
        expected = -(smoothed * log_p).sum(1).mean()
        ours = functional.cross_entropy(logits, target, label_smoothing=smoothing)
        assert ours.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("key", ["MIXUP_ALPHA", "CUTMIX_ALPHA"])
def test_one_image_at_a_time_cannot_be_mixed(key):
    message = (
        rf"SOLVER.{key} is 0.2, but SOLVER.IMS_PER_BATCH 6 leaves one image to each of 1 "
        r"process\(es\) times GRADIENT_ACCUMULATION 6, with none to mix it with"
    )
    with pytest.raises(UserError, match=message):
        check_mixing(config(**{key: 0.2, "GRADIENT_ACCUMULATION": 6}))
    check_mixing(config(**{key: 0.2, "GRADIENT_ACCUMULATION": 3}))


def test_one_class_cannot_be_mixed():
    cfg = config(MIXUP_ALPHA=0.2)
    cfg.MODEL.CLASSIFIER.NUM_CLASSES = 1
    with pytest.raises(UserError, match=r"MIXUP_ALPHA is 0.2, but there is one class only"):
        check_classes_to_mix(cfg)
