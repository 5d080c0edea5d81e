"""A checkpoint finds in an image, whatever form that has, what the evaluation finds in it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnext_det import Detector
from resnext_det.data.image_files import read_image
from resnext_det.errors import UserError
from resnext_det.evaluation.results_json import detections_to_coco
from resnext_det.structures import Detections
from tests.inference.conftest import Trained

CATEGORY_IDS = (3, 8)


@pytest.fixture(scope="module")
def detector(trained: Trained) -> Detector:
    return load(trained)


def load(trained: Trained, **options: Any) -> Detector:
    usual = {"engine": trained.engine, "device": "cpu", "acceleration": "exact"}
    options = usual | options
    return Detector.from_checkpoint(trained.checkpoint, **options)


def same(one: Detections, other: Detections) -> bool:
    return (
        torch.equal(one.boxes, other.boxes)
        and torch.equal(one.scores, other.scores)
        and torch.equal(one.classes, other.classes)
    )


def test_equals_the_evaluation_to_the_bit(trained: Trained, detector: Detector) -> None:
    found = detector(trained.images)
    records = [
        record
        for image_id, detections in enumerate(found)
        for record in detections_to_coco(detections, image_id, CATEGORY_IDS)
    ]
    assert len(records) > 10
    assert records == trained.evaluated()


@pytest.mark.parametrize("pixel_format", ["RGB", "BGR"])
def test_equals_the_evaluation_in_either_order_of_pixels(
    trained: Trained, pixel_format: str, tmp_path: Path
) -> None:
    other = trained.with_config(tmp_path / "other.pth", "INPUT.FORMAT", pixel_format)
    records = detections_to_coco(load(other)(trained.images[0]), 0, CATEGORY_IDS)
    evaluated = other.evaluated("INPUT.FORMAT", pixel_format)
    assert records == [record for record in evaluated if record["image_id"] == 0]


def test_the_forms_of_an_image_are_one(trained: Trained, detector: Detector) -> None:
    path = trained.images[0]
    pixels = read_image(str(path), "RGB")
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    expected = detector(path)
    assert len(expected) > 0
    assert expected.class_names == ("red", "green")
    for image in (str(path), Image.open(path), pixels, tensor):
        assert same(detector(image), expected)
    turned = np.ascontiguousarray(pixels[:, :, ::-1])
    assert same(detector(turned, color="bgr"), expected)
    assert same(detector(turned.transpose(2, 0, 1)[None].transpose(0, 2, 3, 1), color="bgr")[0],
                expected)  # fmt: skip


def test_a_stated_orientation_is_applied(trained: Trained, tmp_path: Path) -> None:
    upright = Image.fromarray(read_image(str(trained.images[0]), "RGB"))
    exif = Image.Exif()
    exif[274] = 6  # stored lying on its side: to be turned by 90 degrees clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    detector = load(trained)
    expected = detector(trained.images[0])
    assert same(detector(tmp_path / "turned.png"), expected)
    assert same(detector(Image.open(tmp_path / "turned.png")), expected)


def test_batches_keep_the_order_and_are_not_padded(trained: Trained, detector: Detector) -> None:
    images: list[Any] = [np.asarray(Image.open(path)) for path in trained.images]
    images.insert(1, images[0][:48, :80])
    single = detector(images)
    batched = detector(images, batch_size=4)
    for one, other in zip(single, batched, strict=True):
        assert len(one) == len(other)
        assert torch.allclose(one.boxes, other.boxes, atol=1e-3)
        assert torch.allclose(one.scores, other.scores, atol=1e-5)


def test_no_images_give_no_results(detector: Detector) -> None:
    assert detector([]) == []


def test_the_threshold_leaves_out_and_lets_in(trained: Trained, tmp_path: Path) -> None:
    key, path = "MODEL.ROI_HEADS.SCORE_THRESH_TEST", trained.images[0]
    usual = load(trained)(path)
    thresh = float(usual.scores.median())
    higher = load(trained, score_thresh=thresh)(path)
    assert 0 < len(higher) < len(usual)
    assert torch.equal(higher.scores, usual.scores[usual.scores >= thresh])
    strict = trained.with_config(tmp_path / "strict.pth", key, thresh)
    assert len(load(strict)(path)) < len(usual)
    lenient = load(strict, score_thresh=0.05)(path)
    assert torch.equal(lenient.boxes, usual.boxes)


def test_it_is_found_at_the_top_of_the_package(portable: Trained) -> None:
    assert Detector.__module__ == "resnext_det.inference.detector"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("absent.png", r"absent\.png: no such image"),
        (np.zeros((4, 4, 3)), r"array of shape \(4, 4, 3\) and dtype float64: give uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"array of shape \(4, 4, 4\).*give \(H, W, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"has 4x0 pixels"),
        (torch.zeros(3, 4, 4), r"tensor of shape \(3, 4, 4\) and dtype float32: give \(3, H, W\)"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), r"tensor of shape \(4, 4, 3\)"),
        (7, "an image is a path, a PIL image, a NumPy array or a tensor, not int"),
    ],
    ids=["absent", "floats", "channels", "empty", "float tensor", "order", "number"],
)
def test_what_is_no_image_is_refused(portable: Trained, image: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(portable)(image)


def test_a_broken_image_is_named(portable: Trained, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(portable.images[0].read_bytes()[:500])
    with pytest.raises(UserError, match=r"torn\.png: cannot be read as an image"):
        load(portable)(tmp_path / "torn.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, r"device 'tpu', on which torch cannot compute here; it can be cpu"),
        ({"score_thresh": 1.5}, r"score threshold 1\.5: give a number between 0 and 1"),
    ],
    ids=["device", "threshold"],
)
def test_options_that_cannot_be_are_refused(
    portable: Trained, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(portable, **options)


def test_a_batch_has_an_image(portable: Trained) -> None:
    with pytest.raises(UserError, match="batch_size 0: give 1 or more"):
        load(portable)(portable.images, batch_size=0)
    with pytest.raises(UserError, match="color 'hsv': give rgb or bgr"):
        load(portable)(portable.images[0], color="hsv")  # pyright: ignore[reportArgumentType]
