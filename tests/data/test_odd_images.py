"""Every odd and broken kind of file has one answer of every reader. Engine-neutral."""

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.PngImagePlugin import MAX_TEXT_CHUNK

from resnext_det.data import plain_files
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import FolderImages
from resnext_det.data.coco import load_coco
from resnext_det.data.decoding import build_decoder
from resnext_det.data.image_files import read_header, read_image
from resnext_det.data.image_folder import images_in
from resnext_det.data.opened_image import Pixels, UnreadableImage
from resnext_det.data.packed import PackedList
from resnext_det.data.views import Box, View
from resnext_det.errors import UserError
from tests.data.avif import needs_avif
from tests.data.odd_images import (
    HEIGHT,
    WIDTH,
    broken_files,
    no_files,
    readable_files,
    turned_file,
)

READABLE, BROKEN = readable_files(), broken_files()
READERS = ("detector", "exact", "fast")


def read(path: Path, reader: str) -> Pixels:
    """Reads a whole image, (H, W, 3), as a detector or a classifier does."""
    if reader == "detector":
        return read_image(str(path), "RGB")
    data = FolderImages(PackedList([(str(path), 0)])).read(0).data
    opened = build_decoder(reader, "bilinear").open(data)
    whole = Box(0, 0, opened.height, opened.width)
    return opened.render(View(whole, (opened.height, opened.width), (whole,), (False,)))[0]


@pytest.fixture(autouse=True)
def _all_is_quiet_and_pillow_as_it_was() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    assert not [warning for warning in said if "PIL" in warning.filename]
    assert Image.MAX_IMAGE_PIXELS == 1024 * 1024 * 1024 // 4 // 3
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    assert MAX_TEXT_CHUNK == 1 << 20


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", READABLE)
def test_an_odd_file_is_read(name: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(READABLE[name])
    pixels = read(path, reader)
    assert (pixels.shape, pixels.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
    header = read_header(str(path))
    assert (header.height, header.width, header.is_turned) == (HEIGHT, WIDTH, False)
    if name != "16_bit.png":  # a detector's are Detectron2's: white from 255 on
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            first = np.asarray(image.convert("RGB"))  # of several pictures
        assert np.abs(pixels.astype(int) - first).max() <= 2


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_in_a_line(name: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content, words = BROKEN[name]
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=words) as error:
        read(path, reader)
    assert "\n" not in str(error.value)
    assert name not in str(error.value)


@pytest.mark.parametrize("name", [name for name in BROKEN if "cut_in_half" not in name])
def test_a_broken_header_is_told_before_a_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content, words = BROKEN[name]
    path.write_bytes(content)
    if name == "cut_at_end.jpg":
        assert read_header(str(path)).width == WIDTH
        return
    with pytest.raises(UnreadableImage, match=words):
        read_header(str(path))


def test_what_claims_too_many_pixels_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(image: Image.Image) -> None:
        raise AssertionError(f"{image} is decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    for name in ("huge.png", "huge.jpg", "large.png", "large.jpg"):
        (tmp_path / name).write_bytes(BROKEN[name][0])
        for reader in READERS:
            with pytest.raises(UnreadableImage, match="pixels"):
                read(tmp_path / name, reader)


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_not_waited_on(reader: str, tmp_path: Path) -> None:
    for name, words in no_files(tmp_path).items():
        with pytest.raises(UnreadableImage, match=words):
            read(tmp_path / name, reader)
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    for name in ("dangling.jpg", "missing.jpg"):
        with pytest.raises(UserError, match=rf"{name}: no such image"):
            read(tmp_path / name, reader)


@pytest.mark.parametrize("reader", READERS)
def test_a_disk_that_fails_is_not_the_images_fault(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(READABLE["progressive.jpg"])

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(plain_files, "_check", fail)
    with pytest.raises(UserError, match=r"a\.jpg: cannot be read \(Input/output error\)"):
        read(tmp_path / "a.jpg", reader)


def test_no_files_in_an_image_folder_are_listed_without_harm(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(READABLE["animated.png"])
    reasons = no_files(tmp_path)
    assert {Path(path).name for path in images_in(tmp_path)} == {"a.png", *reasons}
    content = {
        "images": [
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for number, name in enumerate(["a.png", *reasons])
            if name != "folder.jpg"
        ],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 9, 9]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    path = tmp_path / "set.json"
    path.write_text(json.dumps(content))
    dataset = load_coco(DatasetEntry("set", path, tmp_path), training=True)
    assert {Path(image.name).name for image in dataset.broken} == set(reasons) - {"folder.jpg"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "how"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        pytest.param("AVIF", {"quality": 95, "subsampling": "4:4:4"}, marks=needs_avif),
    ],
    ids=["jpeg", "png", "webp", "tiff", "tiff_lzw", "avif"],
)
def test_every_reader_puts_an_image_upright(
    suffix: str, how: dict[str, object], orientation: int, tmp_path: Path
) -> None:
    """Against turns of the stored pixels by hand: TIFF 6.0, tag 274."""
    path = tmp_path / "a.img"
    path.write_bytes(turned_file(suffix, orientation, **how))
    stored = np.asarray(Image.open(tmp_path / _stored(tmp_path)).convert("RGB")).astype(int)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: stored[::-1].transpose(1, 0, 2),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: stored[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    header = read_header(str(path))
    assert (header.height, header.width) == upright.shape[:2]
    assert header.is_turned == (orientation > 1)
    for reader in READERS:
        pixels = read(path, reader).astype(int)
        assert pixels.shape == upright.shape
        # JPEG blurs where the colours meet.
        assert np.abs(pixels - upright).mean() < 3


def _stored(folder: Path) -> str:
    (folder / "stored.png").write_bytes(turned_file("PNG", 1))
    return "stored.png"


def test_real_odd_images_have_one_answer(shared: Callable[[str], Path]) -> None:
    folder = shared("malformed")
    for item in json.loads((folder / "index.json").read_text()):
        answers = {reader: _answer(folder / item["file"], reader) for reader in READERS}
        assert len(set(answers.values())) == 1, (item["file"], answers)
        assert (answers["exact"] is None) == (item["pillow"] != "ok")


def _answer(path: Path, reader: str) -> tuple[int, ...] | None:
    try:
        return read(path, reader).shape
    except UnreadableImage:
        return None
