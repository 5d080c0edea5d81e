"""Pictures of predictions: the truth on the left, what is found on the right."""

from typing import Any

import numpy as np
import torch
from torch import nn

from resnext_det.config import with_values
from resnext_det.data.coco import load_coco
from resnext_det.engines.base import DetectionRun, resolve_engine
from resnext_det.engines.pictures import prediction_pictures
from resnext_det.evaluation.drawing import FOUND_COLOR, NamedBox, draw_boxes
from resnext_det.structures import Detections
from tests.engines.conftest import Bench

ORANGE = tuple(int(FOUND_COLOR[i : i + 2], 16) for i in (1, 3, 5))


def pictures_of(bench: Bench, count: int, found: Detections, sets: tuple[str, ...] = ("a",)) -> Any:
    cfg = with_values(bench.job("run").loaded.cfg, {"TEST.PICTURES": count})
    dataset = load_coco(bench.entry, training=False)
    engine = resolve_engine("portable")
    engine.detect = lambda model, run, records: [found] * len(records)
    run = DetectionRun(cfg, None, dict.fromkeys(sets, dataset), None)
    return prediction_pictures(engine, nn.Identity(), run)


def found_boxes() -> Detections:
    boxes = torch.tensor([[24.0, 16.0, 72.0, 48.0], [2.0, 2.0, 20.0, 20.0]])
    return Detections(boxes, torch.tensor([0.9, 0.49]), torch.tensor([1, 0]))


def test_boxes_from_half_a_score_on_are_drawn_where_they_are(bench: Bench) -> None:
    picture = pictures_of(bench, 1, found_boxes())["predictions/0"]
    assert picture.shape == (256, 768, 3)  # 64 x 96 px, four times as large, twice
    right = picture[:, 384:]
    # Box 24, 16, 72, 48 at four times the size; its name stands above its upper left corner.
    assert all(tuple(right[y, x]) == ORANGE for y, x in ((192, 192), (128, 96), (128, 288)))
    rows, columns = np.nonzero((right == ORANGE).all(axis=2))
    assert rows.min() >= 64 - 30
    assert (columns.min(), columns.max()) == (24 * 4, 72 * 4)
    left = picture[:, :384]
    assert not (left == ORANGE).all(axis=2).any()


def test_nothing_found_is_the_image(bench: Bench) -> None:
    picture = pictures_of(bench, 1, Detections.empty())["predictions/0"]
    assert not (picture == ORANGE).all(axis=2).any()


def test_each_set_has_its_pictures_and_no_more_than_it_has_images(bench: Bench) -> None:
    names = set(pictures_of(bench, 100, Detections.empty(), ("a", "b")))
    assert names == {f"{name}/predictions/{place}" for name in "ab" for place in range(6)}


def test_a_name_stays_inside_the_picture() -> None:
    from PIL import Image

    image = Image.new("RGB", (100, 50))
    drawn = np.asarray(draw_boxes(image, [NamedBox((90.0, 0.0, 10.0, 10.0), "name")], FOUND_COLOR))
    assert drawn.shape == (192, 384, 3)
    rows, columns = np.nonzero((drawn == ORANGE).all(axis=2))
    assert columns.min() < 90 * 3.84 - 3  # the name's ground begins left of its box
    assert (rows.min(), columns.max()) == (0, 383)
