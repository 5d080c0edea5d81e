"""Odd and broken image files through Detectron2's mapper, as through ours. Detectron2."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnext_det.data.coco import CocoRecord
from resnext_det.data.image_files import read_image
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.errors import UserError
from tests.data.odd_images import (
    HEIGHT,
    WIDTH,
    broken_files,
    no_files,
    readable_files,
    turned_file,
)

pytestmark = pytest.mark.d2

READABLE, BROKEN = readable_files(), broken_files()


@pytest.fixture
def mapper() -> Any:
    from detectron2.data import DatasetMapper

    from resnext_det.engines.d2.loader import SeededMapper

    return SeededMapper(DatasetMapper(is_train=False, augmentations=[], image_format="RGB"))


def record_of(path: Path, height: int = HEIGHT, width: int = WIDTH) -> CocoRecord:
    none = np.zeros(0, np.int64)
    boxes = np.zeros((0, 4), np.float32)
    return CocoRecord(1, str(path), height, width, boxes, none, none.astype(np.bool_))


@pytest.mark.parametrize("name", READABLE)
def test_an_odd_file_is_read_as_ours(name: str, mapper: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(READABLE[name])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        image = mapper(record_of(path), None)["image"]
    assert not [warning for warning in said if "PIL" in warning.filename]
    ours = torch.from_numpy(read_image(str(path), "RGB").transpose(2, 0, 1).copy())
    assert torch.equal(image, ours)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told_as_ours(name: str, mapper: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BROKEN[name][0])
    with pytest.raises(UnreadableImage, match=BROKEN[name][1]):
        mapper(record_of(path), None)


def test_what_is_no_file_is_not_waited_on(mapper: Any, tmp_path: Path) -> None:
    for name, words in no_files(tmp_path).items():
        with pytest.raises(UnreadableImage, match=words):
            mapper(record_of(tmp_path / name), None)
    with pytest.raises(UserError, match=r"a\.jpg: no such image"):
        mapper(record_of(tmp_path / "a.jpg"), None)


@pytest.mark.parametrize("suffix", ["TIFF", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_once(
    suffix: str, orientation: int, mapper: Any, tmp_path: Path
) -> None:
    """Pillow turns TIFFs, and Detectron2 would turn them once more."""
    path = tmp_path / "a.img"
    path.write_bytes(turned_file(suffix, orientation))
    size = (WIDTH, HEIGHT) if orientation > 4 else (HEIGHT, WIDTH)
    image = mapper(record_of(path, *size), None)["image"]
    ours = read_image(str(path), "RGB")
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), ours)


def test_a_fault_of_an_augmentation_is_not_the_images(mapper: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(READABLE["animated.png"])

    def fail(_: object) -> None:
        raise IndexError("of somebody's own")

    mapper.mapper = fail
    with pytest.raises(IndexError, match="of somebody's own"):
        mapper(record_of(tmp_path / "a.png"), None)


def test_another_size_is_refused(mapper: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(READABLE["animated.png"])
    with pytest.raises(UserError, match=r"a\.png: the image is 60x40, but .* says 40x60"):
        mapper(record_of(tmp_path / "a.png", WIDTH, HEIGHT), None)
