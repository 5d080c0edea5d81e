"""Histograms against counts by hand, and overlaps against torchvision."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.geometry import Geometry, geometry_of
from resnext_det.data.checking.image_facts import ImageFacts
from resnext_det.data.checking.open_sets import set_of_content
from resnext_det.data.checking.set_facts import SetFacts, set_facts
from resnext_det.data.checking.subjects import CheckedSet

GEOMETRY = Geometry(800, 1333, (32.0, 64.0, 128.0, 256.0, 512.0), (0.5, 1.0, 2.0))


def checked_set(boxes, size=(480, 640), **more) -> CheckedSet:
    content = {
        "images": [
            {"id": 1, "file_name": "a", "height": size[0], "width": size[1]},
            {"id": 2, "file_name": "b", "height": 100, "width": 100},
        ],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 5, "bbox": box, **more}
            for n, box in enumerate(boxes)
        ],
        "categories": [{"id": 5, "name": "x"}],
    }
    checked = set_of_content(DatasetEntry("set", Path("a.json"), Path("images")), content)
    checked.facts = [ImageFacts(height=size[0], width=size[1]), ImageFacts(error="broken")]
    return checked


def facts(boxes, geometry=None, **more) -> SetFacts:
    return set_facts(checked_set(boxes, **more), geometry)


def counted(histogram: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in histogram.items() if count}


def test_sizes_are_cocos():
    found = facts([[0, 0, 32, 31.9], [0, 0, 32, 32], [0, 0, 96, 95], [0, 0, 96, 96]])
    assert found.sizes == {"small": 1, "medium": 2, "large": 1}
    # The area of the annotation, a mask's, goes before that of the box.
    assert facts([[0, 0, 96, 96]], area=900.0).sizes == {"small": 1, "medium": 0, "large": 0}
    assert facts([[0, 0, 96, 96]], area="many").sizes["large"] == 1


def test_sides_are_those_after_the_resize():
    assert counted(facts([[0, 0, 30, 30]]).sides) == {"16 to 32": 1}
    # 640x480 becomes 1067x800: 30 px are 50.
    assert counted(facts([[0, 0, 30, 30]], GEOMETRY).sides) == {"32 to 64": 1}


def test_shapes_are_height_over_width():
    boxes = [[0, 0, 10, 10], [0, 0, 20, 10], [0, 0, 10, 20], [0, 0, 100, 10], [0, 0, 10, 100]]
    assert counted(facts(boxes).ratios) == {
        "below 1:5": 1,
        "1:2 to 3:4": 1,
        "3:4 to 4:3": 1,
        "2:1 to 3:1": 1,
        "5:1 and more": 1,
    }


def test_objects_per_image():
    found = facts([[0, 0, 9, 9]] * 6)
    assert counted(found.per_image) == {"0": 1, "6 to 10": 1}
    assert (found.most_in_an_image, found.images_without) == (6, 1)
    crowds = facts([[0, 0, 9, 9]] * 3, iscrowd=1)
    assert (crowds.num_objects, crowds.num_crowds, crowds.images_without) == (0, 3, 2)
    assert crowds.classes["x"].crowds == 3


def test_overlaps_with_anchors_are_torchvisions():
    draw = np.random.default_rng(0)
    sides = draw.uniform(5, 700, (50, 2))
    anchors = [
        (size / ratio**0.5, size * ratio**0.5)
        for size in GEOMETRY.sizes
        for ratio in GEOMETRY.ratios
    ]

    def centred(lengths) -> torch.Tensor:
        half = torch.tensor(np.array(lengths)) / 2
        return torch.cat([-half, half], dim=1)

    expected = box_iou(centred(sides), centred(anchors)).max(dim=1).values
    np.testing.assert_allclose(GEOMETRY.best_overlaps(sides), expected.numpy(), rtol=1e-12)


def test_a_config_gives_the_geometry():
    from resnext_det.config import load_config

    config = "resnext_det://COCO-Detection/faster_rcnn_X_50_32x4d_FPN_1x.yaml"
    assert geometry_of(load_config(config, []).cfg) == GEOMETRY


@pytest.mark.parametrize("geometry", [None, GEOMETRY], ids=["plain", "config"])
def test_a_set_without_boxes(geometry):
    found = facts([], geometry)
    assert sum(found.sizes.values()) == found.num_objects == found.most_in_an_image == 0
    assert found.as_json()["classes"] == {"x": {"objects": 0, "images": 0, "crowds": 0}}


def test_two_classes_of_one_name_are_counted_apart():
    checked = checked_set([[0, 0, 9, 9]])
    checked.class_names = ["x", "x"]
    assert [*set_facts(checked, None).classes] == ["x", "x (1)"]
