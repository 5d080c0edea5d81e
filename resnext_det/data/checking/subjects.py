"""A set under check: its images, objects and classes as far as they can be told. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.image_facts import ImageFacts, ImageReader
from resnext_det.data.coco_mending import Slip


@dataclass(frozen=True)
class SetImage:
    """One image of a set.

    Attributes:
        name: as in the annotation file, or its path.
        image_id: of the annotation file; None for a classification set.
        size: (height, width) as stated; None where it is not, or is none.
    """

    name: str
    image_id: int | str | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Objects:
    """What is annotated: boxes of a detection set, one class per image of a classification set.

    Attributes:
        images: (A,) int64, places in the images.
        classes: (A,) int64 in 0 … K-1.
        boxes: (A, 4) float64 xywh in pixels; None for classification.
        areas: (A,) float64 square pixels, as COCO's scoring takes them; None for classification.
        iscrowd: (A,) bool.
        rows: (A,) int64, places in the annotation file's list; None for classification.
    """

    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]
    boxes: NDArray[np.float64] | None = None
    areas: NDArray[np.float64] | None = None
    rows: NDArray[np.int64] | None = None


@dataclass
class CheckedSet:
    """A set under check.

    Attributes:
        entry: where it lies.
        images: in the order of the file.
        objects: those that can be used.
        class_names: the K names.
        category_ids: class number -> id in the file; empty for classification.
        reader: decodes the images.
        is_read: whether it could be opened at all.
        content: of the annotation file, its slips mended; None for classification.
        slips: what a run mends of it in memory.
        facts: of each image, after they were decoded.
    """

    entry: DatasetEntry
    images: Sequence[SetImage]
    objects: Objects
    class_names: Sequence[str]
    category_ids: Sequence[int]
    reader: ImageReader
    is_read: bool = True
    content: Any = None
    slips: Sequence[Slip] = ()
    facts: list[ImageFacts] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The set's name."""
        return self.entry.name

    @property
    def is_detection(self) -> bool:
        """Whether it has boxes."""
        return self.objects.boxes is not None
