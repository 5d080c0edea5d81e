"""Image files of every kind as a detector reads them. Engine-neutral."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.data.image_files import read_image
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.errors import UserError


def test_a_wrong_order_of_channels_is_named() -> None:
    with pytest.raises(UserError, match=r"INPUT\.FORMAT"):
        read_image("x.png", "YUV-BT.601")


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.new(mode, (5, 3)).save(path)
    assert read_image(str(path), "RGB").shape == (3, 5, 3)


def test_bgr_is_rgb_reversed(tmp_path: Path) -> None:
    path = str(tmp_path / "x.png")
    Image.new("RGB", (2, 2), (1, 2, 3)).save(path)
    assert read_image(path, "BGR")[0, 0].tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"GIF89a", "not an image in a format that can be read"),
        (b"not an image", "not an image in a format that can be read"),
    ],
    ids=["empty", "cut", "text"],
)
def test_broken_images_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        read_image(str(path), "RGB")


def test_cut_and_missing_images_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_image(str(path), "RGB")
    with pytest.raises(UserError, match=r"y\.jpg: no such image"):
        read_image(str(tmp_path / "y.jpg"), "RGB")


def test_odd_real_images(shared: Callable[[str], Path]) -> None:
    folder = shared("malformed")
    for item in json.loads((folder / "index.json").read_text()):
        path = str(folder / item["file"])
        if item["pillow"] != "ok":
            with pytest.raises(UnreadableImage) as error:
                read_image(path, "RGB")
            assert "\n" not in str(error.value)
            continue
        width, height = item["size"]
        if (item.get("exif_orientation") or 1) >= 5:
            width, height = height, width
        assert read_image(path, "RGB").shape == (height, width, 3)
