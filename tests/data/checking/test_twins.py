"""Pictures that are there twice: which of them are told, and as what."""

import numpy as np
import pytest

from resnext_det.data.checking import twins as twins_module
from resnext_det.data.checking.image_facts import ImageFacts
from resnext_det.data.checking.twins import Twin, find_twins


def facts(pixels: str, file: str = "", bits: int = 0, levels: bytes = b"") -> ImageFacts:
    return ImageFacts(
        pixel_digest=pixels.encode(),
        file_digest=(file or pixels).encode(),
        hash=bits,
        thumbnail=levels,
    )


def levels(seed: int, noise: float = 0.0) -> bytes:
    """256 gray levels; noise of the same size as they spread makes a correlation of 0.7."""
    draw = np.random.default_rng(seed)
    made = draw.normal(0, 1, 256) + noise * np.random.default_rng(99).normal(0, 1, 256)
    return (128 + 30 * made / made.std()).clip(0, 255).astype(np.uint8).tobytes()


def test_no_set_and_no_image():
    assert find_twins([]) == []
    assert find_twins([[], []]) == []


def test_each_repetition_is_told_once_beside_the_first_of_each_set():
    first = [facts("a"), facts("b"), facts("a"), facts("a")]
    second = [facts("c"), facts("a"), facts("a")]
    assert find_twins([first, second]) == [
        Twin((0, 0), (0, 2), "file"),
        Twin((0, 0), (0, 3), "file"),
        Twin((0, 0), (1, 1), "file"),
        Twin((0, 0), (1, 2), "file"),
        Twin((1, 1), (1, 2), "file"),
    ]


def test_the_same_file_goes_before_the_same_pixels():
    first = [facts("a", "one"), facts("a", "two")]
    assert find_twins([first, [facts("a", "two")]]) == [
        Twin((0, 0), (0, 1), "pixels"),
        Twin((0, 1), (1, 0), "file"),
    ]


def test_near_pictures_share_bits_and_gray_levels():
    bits = (1 << 64) - 1
    train = [
        facts("a", bits=bits, levels=levels(1)),
        facts("b", bits=bits ^ 0b111, levels=levels(1)),
    ]
    ten_off, eleven_off = bits ^ 0x3FF, bits ^ (0x7FF << 40)
    val = [
        facts("c", bits=ten_off, levels=levels(1, 0.3)),  # 10 and 7 bits off
        facts("d", bits=bits, levels=levels(2)),  # no bit off, but other levels
        facts("e", bits=eleven_off, levels=levels(1)),
    ]
    assert find_twins([train, val]) == [
        Twin((0, 0), (0, 1), "near", 3),
        Twin((0, 1), (1, 0), "near", 7),
    ]


def test_of_equally_near_pictures_the_first_is_told():
    train = [facts(name, bits=7, levels=levels(1)) for name in "ab"]
    found = find_twins([train, [facts("c", bits=6, levels=levels(1))]])
    assert found[-1] == Twin((0, 0), (1, 0), "near", 1)


def test_flat_and_broken_pictures_are_compared_by_digest_alone():
    broken = ImageFacts(error="cut off", pixel_digest=b"a")
    train = [facts("a"), facts("b"), broken]
    assert find_twins([train, [facts("a"), facts("c"), broken]]) == [Twin((0, 0), (1, 0), "file")]


def test_an_equal_picture_is_not_told_as_near_again():
    same = facts("a", bits=7, levels=levels(1))
    train = [same, facts("b", bits=7, levels=levels(1))]
    assert find_twins([train, [same]]) == [
        Twin((0, 0), (0, 1), "near", 0),
        Twin((0, 0), (1, 0), "file"),
    ]


@pytest.mark.parametrize("size", [1, 3, 256])
def test_parts_of_any_size_find_the_same(size, monkeypatch):
    pictures = [facts(str(n), bits=n % 5, levels=levels(n % 3)) for n in range(40)]
    whole = find_twins([pictures[:25], pictures[25:]])
    monkeypatch.setattr(twins_module, "_ROWS", size)
    monkeypatch.setattr(twins_module, "_CANDIDATES", size)
    assert find_twins([pictures[:25], pictures[25:]]) == whole
    assert len(whole) > 20
