"""Nested values to JSON and tensors and back, and what is refused. Engine-neutral."""

import json
import math

import numpy as np
import pytest
import torch

from resnext_det.structures import DetectionSample
from resnext_det.training.non_finite.trees import Kind, dataclass_kind, decode, encode, not_finite

SAMPLE = dataclass_kind(DetectionSample)


def round_trip(value, kinds=()):
    tensors = {}
    form = json.loads(json.dumps(encode(value, kinds, tensors), allow_nan=False))
    return decode(form, kinds, tensors), tensors


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -0.5, math.inf, "ü\n", [], (1, [2, ()]), {"a": {3: "b"}}, np.float32(0.5)],
    ids=["none", "bool", "int", "float", "inf", "text", "empty", "nested", "dict", "numpy"],
)
def test_plain_values(value):
    found, tensors = round_trip(value)
    assert found == value
    assert type(found) is (float if isinstance(value, np.float32) else type(value))
    assert tensors == {}


def test_not_a_number():
    assert math.isnan(round_trip([math.nan])[0][0])


def test_samples_with_tensors_and_arrays_by_place():
    boxes = torch.tensor([[0.0, math.nan, 2.0, math.inf]])
    sample = DetectionSample(
        torch.arange(12, dtype=torch.uint8).view(3, 2, 2), 4, 4, "id", "a.jpg", boxes
    )
    batch = [sample, {"polygons": [[np.array([1.0, 2.0])]]}]
    found, tensors = round_trip(batch, (SAMPLE,))
    assert sorted(tensors) == ["0.gt_boxes", "0.image", "1.polygons.0.0"]
    assert torch.equal(found[0].image, sample.image)
    assert (found[0].image_id, found[0].gt_classes) == ("id", None)
    assert np.array_equal(found[1]["polygons"][0][0], [1.0, 2.0])
    assert isinstance(found[1]["polygons"][0][0], np.ndarray)
    assert list(not_finite(tensors)) == [("0.gt_boxes", 2)]


def test_shared_memory_is_copied():
    whole = torch.zeros(4)
    tensors = {}
    encode([whole[:2], whole[2:]], (), tensors)
    assert tensors["0"].untyped_storage().nbytes() == 8


@pytest.mark.parametrize(
    ("value", "said"),
    [({"a": [object()]}, "a.0 is a object"), ({(1, 2): 0}, "the batch is a dict")],
    ids=["object", "key"],
)
def test_other_values_are_refused_by_place(value, said):
    with pytest.raises(TypeError) as error:
        encode(value, (), {})
    assert str(error.value) == said


@pytest.mark.parametrize(
    "form",
    [
        [],
        {},
        {"tensor": "missing"},
        {"kind": "os.system", "parts": {"dict": []}},
        {"kind": "DetectionSample", "parts": {"dict": [["image", 1]]}},
        {"kind": "DetectionSample", "parts": 3},
        {"float": "1"},
        {"list": 3},
        {"dict": [[None, 1]]},
        {"python": "print"},
        {"list": [], "tuple": []},
    ],
    ids=str,
)
def test_forms_that_are_none_are_refused(form):
    with pytest.raises((ValueError, TypeError, KeyError)):
        decode(form, (SAMPLE,), {})


def test_nesting_ends():
    form = None
    for _ in range(100):
        form = {"list": [form]}
    with pytest.raises(ValueError, match="nested too deep"):
        decode(form, (), {})


def test_a_kind_is_known_by_its_class_alone():
    class Sub(DetectionSample):
        pass

    with pytest.raises(TypeError, match="is a Sub"):
        encode([Sub(torch.zeros(1), 1, 1, 1, "")], (SAMPLE,), {})
    kind = Kind(Sub, lambda value: {}, lambda parts: 7)
    assert round_trip(Sub(torch.zeros(1), 1, 1, 1, ""), (kind,))[0] == 7
