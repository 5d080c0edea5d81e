"""Sizes from headers, and images that are refused before a run. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import join_datasets, load_coco
from resnext_det.data.image_files import read_header, read_image
from resnext_det.data.image_headers import TRAINING_IMAGES, spread
from resnext_det.data.set_aside import BrokenImage
from resnext_det.errors import UserError

Writer = Callable[..., tuple[Path, Path]]
ORIENTATION = 274


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_size_is_that_of_the_upright_pixels(suffix: str, orientation: int, tmp_path: Path) -> None:
    path = str(tmp_path / f"a.{suffix}")
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    header = read_header(path)
    assert (header.height, header.width) == read_image(path, "RGB").shape[:2]
    assert header.is_turned == (orientation > 1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
def test_size_does_not_depend_on_the_mode(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (30, 20)).save(tmp_path / "a.png")
    header = read_header(str(tmp_path / "a.png"))
    assert (header.height, header.width, header.is_turned) == (20, 30, False)


@pytest.mark.parametrize(("orientation", "size"), [(3, (20, 30)), (6, (30, 20))])
def test_png_turned_behind_its_pixels_is_found(
    orientation: int, size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    path.write_bytes(_with_exif_last(path.read_bytes()))
    assert read_image(str(path), "RGB").shape == (*size, 3)
    header = read_header(str(path))
    assert (header.height, header.width, header.is_turned) == (*size, True)


def test_headers_are_read_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in ("png", "jpg"):
        Image.new("RGB", (30, 20)).save(tmp_path / f"a.{suffix}")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", _refuse_to_decode)
    for suffix in ("png", "jpg"):
        assert read_header(str(tmp_path / f"a.{suffix}")).width == 30


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>not found</html>", "not an image in a format that can be read"),
    ],
    ids=["empty", "a page"],
)
def test_broken_images_are_told_when_loading(
    write_coco: Writer, training: bool, content: bytes, reason: str
) -> None:
    path, images = write_coco()
    (images / "c.png").write_bytes(content)
    dataset = load_coco(DatasetEntry("set", path, images), training=training)
    assert dataset.broken == (BrokenImage(str(images / "c.png"), reason),)
    assert join_datasets([dataset, dataset]).broken == dataset.broken * 2


@pytest.mark.parametrize("training", [True, False])
def test_a_set_of_broken_images_is_refused_when_loading(write_coco: Writer, training: bool) -> None:
    path, images = write_coco()
    for image in images.iterdir():
        image.write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.png: cannot .* any other of the 3 images looked at"):
        load_coco(DatasetEntry("set", path, images), training=training)


@pytest.mark.parametrize("training", [True, False])
def test_images_of_another_size_are_named_when_loading(
    write_coco: Writer, coco_content: dict[str, Any], training: bool
) -> None:
    coco_content["images"][2] |= {"height": 60, "width": 40}
    entry = DatasetEntry("set", *write_coco(coco_content))
    with pytest.raises(UserError, match=r"c\.png: the image is 60x40, but .* says 40x60"):
        load_coco(entry, training=training)


def test_turned_and_deep_images_are_told_in_a_line_each(
    write_coco: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    path, images = write_coco()
    for name, orientation in (("a.png", 3), ("c.png", 2)):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        Image.open(images / name).save(images / name, exif=exif)
    Image.new("I;16", (40, 60)).save(images / "b.png")
    with caplog.at_level("INFO"):
        load_coco(DatasetEntry("set", path, images), training=True)
    turned, deep = caplog.messages
    assert turned == (
        "set: 2 of the 3 images looked at are turned or mirrored, as their EXIF orientation says; "
        f"the first is {images / 'a.png'}"
    )
    assert deep == (
        "set: 1 of the 3 images looked at have more than 8 bits: what is brighter than 255 is "
        f"white; the first is {images / 'b.png'}"
    )


def test_the_size_before_the_orientation_is_told(write_coco: Writer) -> None:
    """The annotation file states what is stored, not what is shown."""
    path, images = write_coco()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.open(images / "a.png").save(images / "a.png", exif=exif)
    with pytest.raises(
        UserError, match=r"is 40x60, .* says 60x40 .*before its EXIF orientation is"
    ):
        load_coco(DatasetEntry("set", path, images), training=True)


@pytest.mark.parametrize("count", [0, 1, TRAINING_IMAGES, TRAINING_IMAGES + 1, 118_287])
def test_test_sets_are_read_whole_and_training_sets_in_part(count: int) -> None:
    items = range(count)
    assert len(spread(items, training=False)) == count
    part = spread(items, training=True)
    assert len(part) <= TRAINING_IMAGES
    assert len(part) >= min(count, TRAINING_IMAGES // 2)
    assert not count or part[0] == 0


def _refuse_to_decode(image: Any) -> None:
    raise AssertionError(f"{image} is decoded")


def _with_exif_last(png: bytes) -> bytes:
    """Moves the eXIf chunk of a PNG file behind its pixels, before IEND."""
    start = png.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(png[start : start + 4], "big")
    without = png[:start] + png[end:]
    return without[:-12] + png[start:end] + without[-12:]
