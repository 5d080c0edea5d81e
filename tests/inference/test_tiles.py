"""Tiles: where they lie, and that an object across their borders is found once."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import ndimage

from resnext_det.data.opened_image import Pixels
from resnext_det.errors import UserError
from resnext_det.inference.detector import Detector
from resnext_det.inference.tiles import Tiling, detect_in_tiles
from resnext_det.structures import Detections


def bright_parts(images: Sequence[Pixels]) -> list[Detections]:
    """Finds the connected bright parts of each image; class 0 red, 1 green; larger is surer."""
    return [_bright_parts(pixels) for pixels in images]


def _bright_parts(pixels: Pixels) -> Detections:
    boxes, scores, classes = [], [], []
    for label in (0, 1):
        parts, _ = ndimage.label(pixels[:, :, label] > 128)
        for rows, columns in ndimage.find_objects(parts):
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
            area = (columns.stop - columns.start) * (rows.stop - rows.start)
            scores.append(0.5 + min(area, 4000) / 10000)
            classes.append(label)
    order = sorted(range(len(boxes)), key=lambda place: -scores[place])
    return Detections(
        torch.tensor([boxes[i] for i in order], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([scores[i] for i in order], dtype=torch.float32),
        torch.tensor([classes[i] for i in order], dtype=torch.int64),
    )


def none_in_large(images: Sequence[Pixels]) -> list[Detections]:
    """As `bright_parts`, but blind for images larger than a tile of 100 pixels."""
    empty = np.zeros((1, 1, 3), np.uint8)
    return bright_parts([empty if max(p.shape[:2]) > 100 else p for p in images])


def canvas(height: int, width: int, *boxes: tuple[int, int, int, int]) -> Pixels:
    pixels = np.zeros((height, width, 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1, 0] = 255
    return pixels


@pytest.mark.parametrize(
    ("length", "starts"),
    [(50, [0]), (100, [0]), (101, [0, 1]), (180, [0, 80]), (181, [0, 80, 81]), (250, [0, 80, 150])],
)
def test_tiles_cover_a_side_and_end_with_it(length: int, starts: list[int]) -> None:
    assert Tiling(100, 0.2).starts(length) == starts


@pytest.mark.parametrize("find", [bright_parts, none_in_large], ids=["whole too", "tiles alone"])
@pytest.mark.parametrize(
    "box", [(75, 10, 95, 30), (78, 75, 90, 92), (0, 0, 12, 12), (238, 138, 250, 150)],
    ids=["border", "corner of four", "first pixel", "last pixel"],
)  # fmt: skip
def test_an_object_across_a_border_is_found_once(
    find: object, box: tuple[int, int, int, int]
) -> None:
    found = detect_in_tiles(find, canvas(150, 250, box), Tiling(100, 0.2), 0.5)  # pyright: ignore[reportArgumentType]
    assert found.boxes.tolist() == [[float(side) for side in box]]
    assert found.classes.tolist() == [0]


def test_an_object_larger_than_a_tile_is_found_in_the_whole() -> None:
    found = detect_in_tiles(bright_parts, canvas(300, 300, (20, 20, 280, 280)), Tiling(100), 0.5)
    assert found.boxes.tolist() == [[20.0, 20.0, 280.0, 280.0]]


def test_neighbours_and_other_classes_stay() -> None:
    pixels = canvas(100, 250, (70, 10, 90, 30), (92, 10, 110, 30), (30, 50, 60, 80))
    pixels[10:30, 70:90, 1] = 255
    found = detect_in_tiles(bright_parts, pixels, Tiling(100, 0.3), 0.5)
    boxes, labels = found.boxes.tolist(), found.classes.tolist()
    rows = {(*map(int, box), label) for box, label in zip(boxes, labels, strict=True)}
    assert len(found) == 4
    assert rows == {
        (70, 10, 90, 30, 0), (92, 10, 110, 30, 0), (30, 50, 60, 80, 0), (70, 10, 90, 30, 1)
    }  # fmt: skip
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_a_faint_whole_box_removes_no_sure_one() -> None:
    def find(images: Sequence[Pixels]) -> list[Detections]:
        answers = []
        for pixels in images:
            if pixels.shape[1] == 100:
                answers.append(Detections(torch.tensor([[80.0, 10, 100, 30]]),
                                          torch.tensor([0.9]), torch.tensor([0])))  # fmt: skip
            else:
                answers.append(Detections(torch.tensor([[0.0, 0, 180, 100]]),
                                          torch.tensor([0.1]), torch.tensor([0])))  # fmt: skip
        return answers

    found = detect_in_tiles(find, canvas(100, 180), Tiling(100, 0.2), 0.5)
    assert [160.0, 10.0, 180.0, 30.0] in found.boxes.tolist()  # at the image's own border
    assert [80.0, 10.0, 100.0, 30.0] in found.boxes.tolist()  # cut, and covered by a faint one


@pytest.mark.parametrize("size", [(64, 64), (100, 100), (100, 40)], ids=str)
def test_an_image_no_larger_than_a_tile_is_not_cut(size: tuple[int, int]) -> None:
    calls: list[int] = []

    def find(images: Sequence[Pixels]) -> list[Detections]:
        calls.append(len(images))
        return bright_parts(images)

    found = detect_in_tiles(find, canvas(*size, (4, 4, 9, 9)), Tiling(100), 0.5)
    assert (calls, len(found)) == ([1], 1)


def test_nothing_found_is_empty() -> None:
    found = detect_in_tiles(bright_parts, canvas(150, 250), Tiling(100), 0.5)
    assert found.boxes.shape == (0, 4)
    assert len(found.scores) == len(found.classes) == 0


def test_the_detector_takes_tiles_in_batches() -> None:
    sizes: list[int] = []

    def find(images: Sequence[Pixels]) -> list[Detections]:
        sizes.append(len(images))
        return bright_parts(images)

    detector = Detector(find, ("red", "green"), score_thresh=0.5, nms_thresh=0.5)
    image = canvas(100, 340, (75, 10, 95, 30))
    (found,) = detector([image, canvas(50, 50)], batch_size=2, tiling=Tiling(100, 0.2))[:1]
    assert found.boxes.tolist() == [[75.0, 10.0, 95.0, 30.0]]
    assert found.class_names == ("red", "green")
    assert sizes == [2, 2, 1, 1]  # four tiles by two, the whole image, and the small one


@pytest.mark.parametrize(
    ("size", "overlap", "message"),
    [(16, 0.2, "tiles of 16 pixels: give 32 or more"), (800, 1.0, r"overlap by 1\.0: give a ")],
    ids=["small", "endless"],
)
def test_tiles_that_cannot_be(size: int, overlap: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Tiling(size, overlap)


def test_too_many_tiles_are_refused() -> None:
    pixels = np.broadcast_to(np.uint8(0), (4096, 16384, 3))
    with pytest.raises(UserError, match=r"would be cut into [\d,]+ tiles of 32 pixels; at most"):
        detect_in_tiles(bright_parts, pixels, Tiling(32, 0.5), 0.5)
