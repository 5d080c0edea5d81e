"""Detectron2's batches as JSON and tensors. Detectron2."""

from collections.abc import Callable, Mapping
from typing import Any

from detectron2.structures import (
    BitMasks,
    Boxes,
    Instances,
    Keypoints,
    PolygonMasks,
    RotatedBoxes,
)

from resnext_det.training.non_finite.bundle import BatchForm
from resnext_det.training.non_finite.trees import Kind


def _held(cls: type, name: str) -> Kind:
    """The kind of a class that wraps one value."""
    build: Callable[[Mapping[str, Any]], Any] = lambda parts: cls(parts[name])  # noqa: E731
    return Kind(cls, lambda value: {name: getattr(value, name)}, build)


def _instances(parts: Mapping[str, Any]) -> Instances:
    height, width = parts["image_size"]
    found = Instances((int(height), int(width)))
    for name, value in parts["fields"].items():
        found.set(name, value)
    return found


def _images(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the samples of Detectron2's mapper, or of a user's own, are called."""
    names = ("file_name", "image_id")
    return [{name: sample[name] for name in names if name in sample} for sample in samples]


BATCH_FORM = BatchForm(
    "d2",
    (
        Kind(
            Instances,
            lambda value: {"image_size": list(value.image_size), "fields": value.get_fields()},
            _instances,
        ),
        _held(Boxes, "tensor"),
        _held(RotatedBoxes, "tensor"),
        _held(BitMasks, "tensor"),
        _held(Keypoints, "tensor"),
        _held(PolygonMasks, "polygons"),
    ),
    _images,
)
