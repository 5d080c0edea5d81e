"""Detectron2's batches to JSON and tensors and back, with masks and keypoints."""

import json

import numpy as np
import pytest
import torch

from resnext_det.training.non_finite.trees import decode, encode

pytestmark = pytest.mark.d2


def test_every_kind_comes_back() -> None:
    from detectron2.structures import (
        BitMasks,
        Boxes,
        Instances,
        Keypoints,
        PolygonMasks,
        RotatedBoxes,
    )

    from resnext_det.engines.d2.batch_form import BATCH_FORM

    instances = Instances((6, 8))
    instances.gt_boxes = Boxes(torch.tensor([[0.0, 1.0, 2.0, 3.0]]))
    instances.gt_rotated = RotatedBoxes(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]))
    instances.gt_classes = torch.tensor([1])
    instances.gt_masks = BitMasks(torch.ones(1, 6, 8, dtype=torch.bool))
    instances.gt_polygons = PolygonMasks([[np.array([0.0, 0.0, 2.0, 0.0, 2.0, 2.0])]])
    instances.gt_keypoints = Keypoints(torch.zeros(1, 17, 3))
    image = torch.zeros(3, 6, 8, dtype=torch.uint8)
    names = {"file_name": "a.jpg", "image_id": 3}
    batch = [{"image": image, "instances": instances, "iteration": 5, **names}]
    tensors: dict[str, torch.Tensor] = {}
    form = json.loads(json.dumps(encode(batch, BATCH_FORM.kinds, tensors)))
    (found,) = decode(form, BATCH_FORM.kinds, tensors)
    assert list(found) == list(batch[0])
    assert BATCH_FORM.images(batch) == [names]
    back = found["instances"]
    assert back.image_size == (6, 8)
    for name, field in instances.get_fields().items():
        assert type(back.get(name)) is type(field)
    assert torch.equal(back.gt_boxes.tensor, instances.gt_boxes.tensor)
    assert torch.equal(back.gt_masks.tensor, instances.gt_masks.tensor)
    assert np.array_equal(back.gt_polygons.polygons[0][0], [0, 0, 2, 0, 2, 2])


def test_no_sample_is_no_name() -> None:
    from resnext_det.engines.d2.batch_form import BATCH_FORM

    assert BATCH_FORM.images([{}]) == [{}]
