"""The exact decoder against torchvision's PIL transforms, and every mode and format."""

import io
import random
import resource
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from resnext_det.data.decoding import UnreadableImage, build_decoder
from resnext_det.data.opened_image import MAX_PIXELS
from resnext_det.data.views import Box, View
from tests.data.pictures import encode, photograph

INTERPOLATIONS = ["bilinear", "bicubic"]


def whole(height: int, width: int) -> View:
    """The image as it is."""
    box = Box(0, 0, height, width)
    return View(box, (height, width), (box,), (False,))


def decoded(data: bytes) -> np.ndarray:
    opened = build_decoder("exact", "bilinear").open(data)
    return opened.render(whole(opened.height, opened.width))[0]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("size", [(120, 90), (61, 200), (32, 32)])
def test_random_resized_crop_is_torchvisions(size, flipped, interpolation):
    image = photograph(*size)
    data = encode(image, quality=90)
    torch.manual_seed(size[0])
    crop = v2.RandomResizedCrop(48, interpolation=InterpolationMode(interpolation))
    opened = build_decoder("exact", interpolation).open(data)
    assert (opened.height, opened.width) == size
    for _ in range(8):
        drawn = crop.make_params([image])
        part = Box(drawn["top"], drawn["left"], drawn["height"], drawn["width"])
        view = View(part, (48, 48), (Box(0, 0, 48, 48),), (flipped,))
        expected = crop.transform(Image.open(io.BytesIO(data)).convert("RGB"), drawn)
        if flipped:
            expected = functional.horizontal_flip(expected)
        np.testing.assert_array_equal(opened.render(view)[0], np.asarray(expected))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", [(120, 90), (61, 200), (20, 33)])
@pytest.mark.parametrize("edges", [(64, 56), (56, 64)])
def test_resize_and_centre_crop_are_torchvisions(size, edges, interpolation):
    data = encode(photograph(*size))
    short, crop = edges
    resize = v2.Resize(short, interpolation=InterpolationMode(interpolation))
    resized = resize(Image.open(io.BytesIO(data)).convert("RGB"))
    expected = v2.CenterCrop(crop)(resized)
    height, width = resized.height, resized.width
    window = Box(*(_centre(length, crop) for length in (height, width)), crop, crop)
    view = View(Box(0, 0, *size), (height, width), (window,), (False,))
    pictures = build_decoder("exact", interpolation).open(data).render(view)
    np.testing.assert_array_equal(pictures[0], np.asarray(expected))


def _centre(length: int, crop: int) -> int:
    """torchvision's offsets: it pads short images first, the smaller half before."""
    return round((length - crop) / 2.0) if length >= crop else -((crop - length) // 2)


def test_windows_show_the_fill_where_they_hang_over():
    data = encode(photograph(20, 30), "PNG")
    part = decoded(data)
    windows = (Box(-3, -2, 8, 8), Box(15, 26, 8, 8), Box(40, 40, 8, 8), Box(2, 2, 8, 8))
    view = View(Box(0, 0, 20, 30), (20, 30), windows, (False, True, False, False))
    pictures = build_decoder("exact", "bilinear").open(data).render(view, (1, 2, 3))
    canvas = np.empty((80, 80, 3), np.uint8)
    canvas[:] = (1, 2, 3)
    canvas[10:30, 10:40] = part
    for picture, window, flipped in zip(pictures, windows, view.flipped, strict=True):
        expected = canvas[window.top + 10 :, window.left + 10 :][:8, :8]
        np.testing.assert_array_equal(picture, expected[:, ::-1] if flipped else expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_stand_upright(suffix, orientation):
    how = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    upright = photograph(16, 40)
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # Pillow's transpose that tilts it
    tilted = upright if undo is None else upright.transpose(Image.Transpose(undo))
    data = encode(tilted, suffix, orientation, **how)
    opened = build_decoder("exact", "bilinear").open(data)
    assert (opened.height, opened.width) == (16, 40)
    difference = decoded(data).astype(int) - np.asarray(upright)
    assert np.abs(difference).max() <= (6 if suffix == "JPEG" else 0)


def test_png_rotated_behind_its_pixels_stands_upright():
    data = encode(photograph(16, 40), "PNG", 6)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    opened = build_decoder("exact", "bilinear").open(moved)
    assert (opened.height, opened.width) == (40, 16)
    np.testing.assert_array_equal(decoded(moved), decoded(data))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_shows_the_picture(mode):
    gray = photograph(24, 24).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    elif mode == "P":
        image = gray.convert("P")
    elif mode == "PA":
        image = gray.convert("P").convert("PA")
    else:
        image = gray.convert("RGB").convert(mode)
    found = decoded(encode(image, "TIFF" if mode in ("CMYK", "YCbCr", "PA") else "PNG"))
    assert found.shape == (24, 24, 3)
    expected = gray.convert("1") if mode == "1" else gray
    difference = found.astype(int) - np.asarray(expected.convert("RGB"))
    assert np.abs(difference).max() <= 2


def test_16_bits_are_scaled_to_the_nearest_of_8():
    levels = np.array([[0, 128, 129, 32768, 65406, 65535]], np.uint16)
    found = decoded(encode(Image.fromarray(levels), "PNG"))
    np.testing.assert_array_equal(found[0, :, 0], np.rint(levels[0] * (255 / 65535)))


@pytest.mark.parametrize(("kind", "name"), [(np.float32, "floating"), (np.int32, "32-bit")])
def test_numbers_of_unknown_range_are_refused(kind, name):
    image = Image.fromarray(np.array([[0, 100000]], kind))
    with pytest.raises(UnreadableImage, match=name):
        decoded(encode(image, "TIFF"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>not found</html>", "not an image in a format that can be read"),
        (b"\xff\xd8\xff", "not an image in a format that can be read"),
    ],
)
def test_what_is_no_image_is_refused(data, reason):
    for name in ("exact", "fast"):
        with pytest.raises(UnreadableImage) as caught:
            build_decoder(name, "bilinear").open(data)
        assert str(caught.value) == reason


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_cut_off_images_are_refused(suffix):
    data = encode(photograph(64, 64), suffix)
    with pytest.raises(UnreadableImage) as caught:
        decoded(data[: len(data) // 2])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["exact", "fast"])
@pytest.mark.parametrize("size", [(65535, 65535), (10_000, 10_000)])
@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_claims_of_many_pixels_are_refused_by_the_header(suffix, size, name):
    data = claim(encode(photograph(8, 8), suffix), suffix, *size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImage, match="its header claims"):
            build_decoder(name, "bilinear").open(data)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 50 * 1024  # KiB


def claim(data: bytes, suffix: str, height: int, width: int) -> bytes:
    """The same file with another size in its header."""
    if suffix == "PNG":
        chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + data[24:29]
        return data[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[place + 4 :]


@pytest.mark.parametrize("name", ["exact", "fast"])
def test_views_of_many_pixels_are_refused(name):
    opened = build_decoder(name, "bilinear").open(encode(photograph(1, 2000)))
    side = 2 * int(MAX_PIXELS**0.5)
    view = View(Box(0, 0, 1, 2000), (side, side), (Box(0, 0, 8, 8),), (False,))
    with pytest.raises(UnreadableImage, match="would be resized"):
        opened.render(view)


def test_pillows_own_limits_change_nothing(monkeypatch):
    data = encode(photograph(16, 16))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UnreadableImage, match="its header claims"):
        decoded(claim(data, "JPEG", 65535, 65535))


def test_broken_exif_does_no_harm():
    data = bytearray(encode(photograph(16, 16), orientation=6))
    place = data.index(b"Exif")
    for i in range(place + 10, place + 20):
        data[i] = random.Random(i).randrange(256)
    assert decoded(bytes(data)).shape == (16, 16, 3)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no decoder 'quick'"):
        build_decoder("quick", "bilinear")
    with pytest.raises(ValueError, match="no interpolation 'nearest'"):
        build_decoder("exact", "nearest")
