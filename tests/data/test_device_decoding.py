"""Decoding of a batch on a device, against the exact decoder."""

import numpy as np
import pytest
import torch

from resnext_det.data.decoding import UnreadableImage, build_decoder
from resnext_det.data.device_decoding import decode_on_device
from resnext_det.data.views import Box, View
from tests.data.pictures import encode, photograph

WINDOWS = (Box(4, 4, 32, 32), Box(-5, 20, 32, 32))


def batch() -> tuple[list[bytes], list[View]]:
    """An ordinary JPEG, and what goes another way: gray, turned, CMYK, progressive, PNG."""
    image = photograph(90, 120)
    images = [
        encode(image, quality=90),
        encode(image.convert("L"), quality=90),
        encode(image, orientation=6, quality=90),
        encode(image.convert("CMYK"), quality=90),
        encode(image, progressive=True, quality=90),
        encode(image, "PNG"),
    ]
    view = View(Box(3, 5, 80, 70), (40, 40), WINDOWS, (False, True))
    return images, [view] * len(images)


def exact(images: list[bytes], views: list[View], interpolation: str, fill) -> np.ndarray:
    decoder = build_decoder("exact", interpolation)
    pairs = zip(images, views, strict=True)
    return np.concatenate([decoder.open(data).render(view, fill) for data, view in pairs])


def check(device: str, interpolation: str, mean: float, largest: int) -> None:
    images, views = batch()
    fill = (9, 8, 7)
    found = decode_on_device(images, views, device, interpolation=interpolation, fill=fill)
    assert found.dtype == torch.uint8
    assert found.shape == (12, 3, 32, 32)
    assert found.device.type == device
    expected = exact(images, views, interpolation, fill)
    off = np.abs(found.permute(0, 2, 3, 1).cpu().numpy().astype(int) - expected)
    assert off.mean() < mean
    assert off.max() <= largest
    # The fill and all but the plain JPEGs are decoded on the host.
    assert off.reshape(6, 2, 32, 32, 3)[[2, 3, 5]].max() == 0


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_on_the_cpu_it_is_the_exact_decoder(interpolation):
    check("cpu", interpolation, mean=0.1, largest=4)


@pytest.mark.gpu
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_on_a_gpu_it_is_near_the_exact_decoder(interpolation):
    check("cuda", interpolation, mean=1.5, largest=24)


def test_a_broken_image_is_refused():
    images, views = batch()
    images[0] = images[0][:400]
    with pytest.raises(UnreadableImage):
        decode_on_device(images, views, "cpu")
    images[0] = b""
    with pytest.raises(UnreadableImage, match="the file is empty"):
        decode_on_device(images, views, "cpu")


def test_no_images_are_no_pictures():
    assert decode_on_device([], [], "cpu").shape[0] == 0
