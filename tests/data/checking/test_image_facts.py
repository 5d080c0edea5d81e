"""What decoding an image tells, and what a hash takes for alike."""

import hashlib
import io
import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from resnext_det.data.checking.image_facts import look_at, perceptual_hash
from resnext_det.data.checking.image_pass import look_at_all
from resnext_det.data.checking.readers import FileReader
from resnext_det.data.packed import PackedList
from tests.data.pictures import encode, photograph


def reader(*paths) -> FileReader:
    return FileReader(PackedList([str(path) for path in paths]))


def hash_by_sums(picture: Image.Image) -> int:
    """The cosine transform as written in books, a sum for each frequency."""
    gray = picture.convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    levels = np.asarray(gray, np.float64)
    waves = [[math.cos(math.pi * (2 * n + 1) * k / 64) for n in range(32)] for k in range(8)]
    low = (np.array(waves) @ levels @ np.array(waves).T).ravel()
    # A transform to scale: the first row and column are worth a root of two less.
    scale = np.array([math.sqrt(0.5), *[1.0] * 7])
    low *= np.outer(scale, scale).ravel()
    median = np.sort(low)[31:33].mean()
    return int("".join("1" if value > median else "0" for value in low), 2)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_hash_is_the_low_frequencies_beside_their_median(seed):
    picture = photograph(48, 64, seed)
    found, thumbnail = perceptual_hash(picture)
    assert found == hash_by_sums(picture)
    assert len(thumbnail) == 256


def test_a_flat_picture_has_no_hash():
    assert perceptual_hash(Image.new("RGB", (40, 40), (9, 8, 7))) == (0, b"")


def test_small_changes_change_few_bits():
    picture = photograph(96, 128, 5)
    before = perceptual_hash(picture)[0]
    encoded = Image.open(io.BytesIO(encode(picture, "JPEG", quality=40)))
    for changed in (
        encoded,
        picture.resize((64, 48)),
        ImageEnhance.Brightness(picture).enhance(1.1),
    ):
        assert (before ^ perceptual_hash(changed.convert("RGB"))[0]).bit_count() <= 6
    assert (before ^ perceptual_hash(photograph(96, 128, 6))[0]).bit_count() > 10


def test_facts_of_a_turned_image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(photograph(20, 30), "JPEG", orientation=6))
    facts = look_at(reader(path), 0)
    assert (facts.height, facts.width, facts.orientation) == (30, 20, 6)
    assert facts.file_digest == hashlib.sha256(path.read_bytes()).digest()
    assert not facts.error


def test_pixels_are_known_in_another_format(tmp_path):
    picture = photograph(20, 30)
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "a.bmp")
    first, second = look_at_all(reader(tmp_path / "a.png", tmp_path / "a.bmp"), "decoding")
    assert first.pixel_digest == second.pixel_digest
    assert first.file_digest != second.file_digest
    # 20x30 and 30x20 pixels of one colour are not the same picture.
    Image.new("RGB", (20, 30)).save(tmp_path / "b.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "c.png")
    first, second = look_at_all(reader(tmp_path / "b.png", tmp_path / "c.png"), "decoding")
    assert first.pixel_digest != second.pixel_digest


def test_what_is_said_of_bad_files(tmp_path):
    whole = encode(photograph(60, 80), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    paths = [tmp_path / name for name in ("cut.jpg", "empty.jpg", "folder.jpg", "none.jpg")]
    cut, empty, folder, missing = look_at_all(reader(*paths), "decoding")
    assert "truncated" in cut.error
    assert "cannot be read" in empty.error
    assert folder.error == "cannot be read (Is a directory)" or "not a plain file" in folder.error
    assert (missing.error, missing.missing) == ("no such file", True)
    assert not any(str(tmp_path) in facts.error for facts in (cut, empty, folder))


def test_a_name_that_leaves_the_folder_is_not_opened():
    assert look_at(reader(""), 0).error == "its name leaves the image folder, so it is not opened"


def test_no_image_at_all():
    assert look_at_all(reader(), "decoding") == []
