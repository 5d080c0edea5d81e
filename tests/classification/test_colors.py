"""Colours of a batch against the authors' Lua, written out image by image. Engine-neutral."""

import numpy as np
import pytest
import torch

from resnext_det.classification.colors import change_colors
from resnext_det.classification.device_batch import DeviceBatch
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.image_draws import ColorDraws

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
EIGVAL = np.array([0.2175, 0.0188, 0.0045])
EIGVEC = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


def lua_grayscale(img):
    gray = 0.299 * img[0] + 0.587 * img[1] + 0.114 * img[2]
    return np.stack([gray, gray, gray])


def lua_blend(img1, img2, alpha):
    return img1 * alpha + (1 - alpha) * img2


def lua_preprocess(img, order, factors, alpha):
    """ColorJitter, Lighting and ColorNormalize of datasets/transforms.lua, in float64.

    Args:
        img: (3, H, W) RGB, 0–1.
        order: a permutation of 0 brightness, 1 contrast, 2 saturation.
        factors: the alpha of each.
        alpha: (3,) of Lighting.
    """
    for which in order:
        if which == 0:
            other = np.zeros_like(img)
        elif which == 1:
            other = np.full_like(img, lua_grayscale(img)[0].mean())
        else:
            other = lua_grayscale(img)
        img = lua_blend(img, other, factors[which])
    rgb = (EIGVEC * alpha[None, :] * EIGVAL[None, :]).sum(1)
    img = img + rgb[:, None, None]
    return (img - MEAN[:, None, None]) / STD[:, None, None]


@pytest.fixture
def case():
    """Images of every order, and their draws: the strengths of the authors, and the extremes."""
    random = np.random.default_rng(0)
    orders = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] * 2)
    images = random.integers(0, 256, (12, 3, 20, 30), dtype=np.uint8)
    factors = random.uniform(0.6, 1.4, (12, 3))
    factors[:2], factors[2] = [[0.6] * 3, [1.4] * 3], [1.0, 1.0, 1.0]
    return images, orders, factors.astype(np.float32), random.normal(0, 0.1, (12, 3))


def draws_of(orders, factors, lighting):
    to_tensor = torch.from_numpy
    return ColorDraws(to_tensor(orders), to_tensor(factors), to_tensor(lighting).float())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("pixel_format", ["RGB", "BGR"])
def test_a_batch_is_the_lua_image_by_image(case, pixel_format, channels_last):
    images, orders, factors, lighting = case
    step = 1 if pixel_format == "RGB" else -1
    to_inputs = DeviceBatch(
        mean=(255 * MEAN)[::step].tolist(),
        std=(255 * STD)[::step].tolist(),
        pixel_format=pixel_format,
        device=torch.device("cpu"),
        channels_last=channels_last,
    )
    batch = ClassificationBatch(
        torch.from_numpy(images[:, ::step].copy()),
        torch.arange(12),
        torch.arange(12),
        draws_of(orders, factors, lighting),
    )
    found, labels = to_inputs(batch)
    assert labels.tolist() == list(range(12))
    assert found.is_contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )
    wanted = np.stack(
        [
            lua_preprocess(image / 255, order, factor.astype(float), alpha)
            for image, order, factor, alpha in zip(images, orders, factors, lighting, strict=True)
        ]
    )
    # Of values up to 7; in units of 0-1, before the division by std, it is 1e-6.
    difference = np.abs(found.numpy()[:, ::step] - wanted) * STD[:, None, None]
    assert difference.max() < 1e-6


def test_nothing_is_clipped():
    white = torch.full((1, 3, 4, 4), 255.0)
    draws = draws_of(np.array([[0, 1, 2]]), np.full((1, 3), 1.4, np.float32), np.zeros((1, 3)))
    torch.testing.assert_close(change_colors(white, draws, "RGB"), white * 1.4)


def test_neutral_draws_change_nothing_but_rounding():
    images = torch.rand(2, 3, 5, 5) * 255
    draws = draws_of(np.array([[2, 1, 0]] * 2), np.ones((2, 3), np.float32), np.zeros((2, 3)))
    assert torch.equal(change_colors(images, draws, "RGB"), images)


def test_without_draws_pixels_are_normalised_alone():
    images = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    to_inputs = DeviceBatch(mean=mean, std=std, pixel_format="RGB", device=torch.device("cpu"))
    none = torch.zeros(1, dtype=torch.int64)
    found, _ = to_inputs(ClassificationBatch(images, none, none))
    pixels = images.numpy().astype(np.float32).transpose(0, 2, 3, 1)
    wanted = (pixels - np.float32(mean)) / np.float32(std)
    assert np.array_equal(found.numpy().transpose(0, 2, 3, 1), wanted)


def test_no_images_give_no_inputs():
    to_inputs = DeviceBatch(
        mean=[0.0] * 3, std=[1.0] * 3, pixel_format="RGB", device=torch.device("cpu")
    )
    none = torch.zeros(0, dtype=torch.int64)
    empty = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    draws = ColorDraws(*[torch.zeros(0, 3)] * 3)._replace(order=torch.zeros(0, 3).long())
    images, labels = to_inputs(ClassificationBatch(empty, none, none, draws))
    assert (tuple(images.shape), len(labels)) == ((0, 3, 8, 8), 0)
