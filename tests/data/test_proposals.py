"""Stored proposals: written, attached, read back, and what is refused. Engine-neutral."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.data.npz import mapped_array
from resnext_det.data.packed import PackedList
from resnext_det.data.proposals import attach_proposals, read_rows, write_proposals
from resnext_det.errors import UserError
from tests.data.annotated import NUM_IMAGES, write_annotated

Arrays = dict[str, np.ndarray]


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    return load_coco(write_annotated(tmp_path / "set"), training=True)


def boxes_of(image_id: int) -> np.ndarray:
    """As many boxes as the image's id, so the first has none."""
    return np.arange(4 * image_id, dtype=np.float32).reshape(-1, 4) + image_id


def write(path: Path, ids: list[int] | list[str] | None = None) -> str:
    ids = list(range(NUM_IMAGES)) if ids is None else ids
    boxes = [boxes_of(int(key)) for key in ids]
    write_proposals(path, ids, boxes, [b[:, 0].copy() for b in boxes])
    return str(path)


def test_they_come_back_best_first(tmp_path: Path, dataset: CocoDataset) -> None:
    file = write(tmp_path / "new" / "p.npz", [3, 0, 5, 4, 1, 2, 99])
    # As a worker gets them: the records packed, the rows read there.
    records = PackedList(attach_proposals(dataset, file).records)
    for number in range(NUM_IMAGES):
        record = records[number]
        assert record.proposals is not None
        boxes, logits = read_rows(record.proposals)
        expected = boxes_of(int(record.image_id))[::-1]
        np.testing.assert_array_equal(boxes, expected)
        np.testing.assert_array_equal(logits, expected[:, 0])
        assert (boxes.dtype, logits.dtype) == (np.float32, np.float32)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["p.npz"]


def test_text_ids_are_image_ids(tmp_path: Path, dataset: CocoDataset) -> None:
    file = write(tmp_path / "p.npz", [str(number) for number in range(NUM_IMAGES)])
    assert len(attach_proposals(dataset, file).records) == NUM_IMAGES


def test_a_file_without_proposals_is_refused(tmp_path: Path, dataset: CocoDataset) -> None:
    write_proposals(tmp_path / "p.npz", [], [], [])
    with pytest.raises(UserError, match="no proposals for 6 of the 6 images"):
        attach_proposals(dataset, str(tmp_path / "p.npz"))
    empty = [np.zeros((0, 4), np.float32)] * NUM_IMAGES
    write_proposals(tmp_path / "q.npz", range(NUM_IMAGES), empty, [e[:, 0] for e in empty])
    with pytest.raises(UserError, match=r"q\.npz: holds no proposal for any image of .*\.json; w"):
        attach_proposals(dataset, str(tmp_path / "q.npz"))


def test_an_image_may_be_without(tmp_path: Path, dataset: CocoDataset) -> None:
    record = attach_proposals(dataset, write(tmp_path / "p.npz")).records[0]
    assert record.proposals is not None
    assert read_rows(record.proposals)[0].shape == (0, 4)


@pytest.mark.parametrize(
    "box", [(0, 0, 200, 9), (0, 0, 9, 90), (-20, 0, 9, 9), (9, 0, 1, 9), (0, 9, 9, 1)]
)
def test_boxes_of_other_images_are_refused(
    tmp_path: Path, dataset: CocoDataset, box: tuple[float, ...]
) -> None:
    boxes = [np.array([(-1, -1, 97, 65)] * 3, np.float32) for _ in range(NUM_IMAGES)]
    file = tmp_path / "p.npz"
    write_proposals(file, range(NUM_IMAGES), boxes, [b[:, 0] for b in boxes])
    assert attach_proposals(dataset, str(file))
    boxes[4][1] = box
    write_proposals(file, range(NUM_IMAGES), boxes, [b[:, 0] for b in boxes])
    with pytest.raises(UserError) as error:
        attach_proposals(dataset, str(file))
    shown = ", ".join(map(str, box))
    assert f"p.npz: a proposal of image 4 is [{shown}], not a box x1, y1, x2, y2" in str(
        error.value
    )
    assert " in an image of 96x64; write it anew with an RPN run" in str(error.value)


def test_rows_stay_on_disk_unless_compressed(tmp_path: Path) -> None:
    file = Path(write(tmp_path / "p.npz"))
    assert isinstance(mapped_array(file, "boxes"), np.memmap)
    with np.load(file, allow_pickle=False) as arrays:
        content = dict(arrays)
    np.savez_compressed(file, **content)  # pyright: ignore[reportArgumentType]
    boxes = mapped_array(file, "boxes")
    assert not isinstance(boxes, np.memmap)
    np.testing.assert_array_equal(boxes, content["boxes"])


def test_pickled_proposals_are_refused(dataset: CocoDataset) -> None:
    with pytest.raises(UserError) as error:
        attach_proposals(dataset, "rpn/box_proposals.pkl")
    assert str(error.value) == (
        "rpn/box_proposals.pkl: pickled proposals run whatever code they hold, so they are not "
        "read; write it anew with an RPN run (MODEL.META_ARCHITECTURE ProposalNetwork)"
    )


def test_missing_and_torn_files_are_named(tmp_path: Path, dataset: CocoDataset) -> None:
    with pytest.raises(UserError, match=r"nothing\.npz: no such file of proposals; write it anew"):
        attach_proposals(dataset, str(tmp_path / "nothing.npz"))
    whole = Path(write(tmp_path / "p.npz")).read_bytes()
    torn = tmp_path / "torn.npz"
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        torn.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"torn\.npz: torn, or not a file of proposals"):
            attach_proposals(dataset, str(torn))
    with pytest.raises(UserError, match="torn, or not a file of proposals"):
        attach_proposals(dataset, str(tmp_path))


def test_images_without_proposals_are_counted(tmp_path: Path, dataset: CocoDataset) -> None:
    file = write(tmp_path / "p.npz", [0, 1, 3, 5])
    with pytest.raises(UserError, match=r"no proposals for 2 of the 6 images .* first is image 2"):
        attach_proposals(dataset, file)


def _shorter(arrays: Arrays) -> None:
    arrays["boxes"] = arrays["boxes"][:-1]


def _twice(arrays: Arrays) -> None:
    arrays["image_ids"][1] = 0


def _negative(arrays: Arrays) -> None:
    arrays["counts"][:2] = (-1, 2)


def _objects(arrays: Arrays) -> None:
    arrays["boxes"] = np.array([None] * len(arrays["boxes"]))


def _without_logits(arrays: Arrays) -> None:
    del arrays["objectness_logits"]


def _whole_numbers(arrays: Arrays) -> None:
    arrays["boxes"] = arrays["boxes"].astype(int)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_shorter, "15 rows are counted, 14 are there"),
        (_twice, "an image id stands there twice"),
        (_negative, "a count is negative"),
        (_objects, "pickled objects"),
        (_without_logits, "objectness_logits"),
        (_whole_numbers, r"boxes is int64 \(15, 4\)"),
    ],
)
def test_other_content_is_refused(
    tmp_path: Path, dataset: CocoDataset, spoil: Callable[[Arrays], None], reason: str
) -> None:
    file = Path(write(tmp_path / "p.npz"))
    with np.load(file, allow_pickle=False) as arrays:
        content = dict(arrays)
    spoil(content)
    np.savez(file, **content)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=f"not a file of proposals.*{reason}"):
        attach_proposals(dataset, str(file))


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, dataset: CocoDataset) -> None:
    boxes = [np.full((1, 4), np.nan, np.float32)] * NUM_IMAGES
    write_proposals(tmp_path / "p.npz", range(NUM_IMAGES), boxes, [b[:, 0] for b in boxes])
    with pytest.raises(UserError, match=r"p\.npz: rows 0 to 1 are not all finite"):
        attach_proposals(dataset, str(tmp_path / "p.npz"))


def test_a_file_written_anew_is_read_anew(tmp_path: Path, dataset: CocoDataset) -> None:
    path = tmp_path / "p.npz"
    attach_proposals(dataset, write(path))
    one = [np.ones((1, 4), np.float32)] * NUM_IMAGES
    write_proposals(path, range(NUM_IMAGES), one, [b[:, 0] for b in one])
    record = attach_proposals(dataset, str(path)).records[3]
    assert record.proposals == replace(record.proposals, start=3, stop=4)  # pyright: ignore
