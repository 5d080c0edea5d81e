"""Annotated images and sets of them, as plain records. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco_keypoints import KeypointNames
from resnext_det.data.coco_outlines import Outline
from resnext_det.data.panoptic import Stuff
from resnext_det.data.proposals import ProposalRows
from resnext_det.data.set_aside import BrokenImage
from resnext_det.errors import UserError


@dataclass(frozen=True)
class CocoRecord:
    """One image with its annotations, nothing decoded yet.

    What was not asked for (see `needs`) is None.

    Attributes:
        image_id: the id in the annotation file.
        file_name: path of the image.
        height: rows after EXIF rotation, as the annotation file states.
        width: columns after EXIF rotation.
        boxes: (G, 4) float32, xyxy, pixels of the image; not clipped.
        classes: (G,) int64 in 0 … K-1.
        iscrowd: (G,) bool; crowd regions are never trained on.
        outlines: the G masks.
        keypoints: (G, P, 3) float64: x, y as in the file, and visibility 0, 1 or 2.
        label_file: path of the picture of semantic labels.
        proposals: where the image's proposals stand.
    """

    image_id: int | str
    file_name: str
    height: int
    width: int
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]
    outlines: tuple[Outline, ...] | None = None
    keypoints: NDArray[np.float64] | None = None
    label_file: str | None = None
    proposals: ProposalRows | None = None

    @property
    def usable(self) -> bool:
        """Whether an object other than a crowd is annotated."""
        return bool((~self.iscrowd).any())

    @property
    def num_visible_keypoints(self) -> int:
        """How many keypoints of all its objects are labelled."""
        return 0 if self.keypoints is None else int((self.keypoints[:, :, 2] > 0).sum())


@dataclass(frozen=True)
class CocoDataset:
    """A detection set in memory.

    Attributes:
        entry: where it lies.
        records: one per image, sorted by image id.
        class_names: the K names.
        category_ids: class number -> category id of the file.
        dropped_boxes: unusable boxes left out (see `load_coco`).
        truth: COCO content to score detections against; None for a training set.
        keypoints: the names of its keypoints; None where they were not asked for.
        stuff: its stuff classes; None where they were not asked for.
        broken: images whose headers are, of those that were looked at.
    """

    entry: DatasetEntry
    records: tuple[CocoRecord, ...]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    dropped_boxes: int = 0
    truth: dict[str, Any] | None = field(default=None, repr=False)
    keypoints: KeypointNames | None = None
    stuff: Stuff | None = None
    broken: tuple[BrokenImage, ...] = ()


def join_datasets(datasets: Sequence[CocoDataset]) -> CocoDataset:
    """Joins training sets of the same classes into one, in the order given.

    Raises:
        UserError: none is given, or their classes differ.
    """
    if not datasets:
        raise UserError("DATASETS.TRAIN is empty: name at least one training set")
    first = datasets[0]
    for other in datasets[1:]:
        check_same_classes(first, other)
    records = tuple(record for dataset in datasets for record in dataset.records)
    dropped = sum(dataset.dropped_boxes for dataset in datasets)
    return CocoDataset(
        first.entry,
        records,
        first.class_names,
        first.category_ids,
        dropped,
        keypoints=first.keypoints,
        stuff=first.stuff,
        broken=tuple(image for dataset in datasets for image in dataset.broken),
    )


def check_same_classes(first: CocoDataset, second: CocoDataset) -> None:
    """Checks that two sets number the same classes, keypoints and stuff alike.

    Raises:
        UserError: a category id is missing on one side, or has another name there; keypoints or
            stuff classes differ.
    """
    ours = dict(zip(first.category_ids, first.class_names, strict=True))
    theirs = dict(zip(second.category_ids, second.class_names, strict=True))
    for category in sorted(ours.keys() | theirs.keys()):
        if ours.get(category) != theirs.get(category):
            raise UserError(
                f"{first.entry.json_file} and {second.entry.json_file} do not have the same "
                f"categories: id {category} is {_quoted(ours.get(category))} in the first "
                f"and {_quoted(theirs.get(category))} in the second"
            )
    if first.keypoints and second.keypoints:
        _check_same_names(first, second, "keypoints", first.keypoints.names, second.keypoints.names)
    if first.stuff and second.stuff:
        _check_same_names(first, second, "stuff classes", first.stuff.names, second.stuff.names)


def _check_same_names(
    first: CocoDataset, second: CocoDataset, what: str, ours: Sequence[str], theirs: Sequence[str]
) -> None:
    for place in range(max(len(ours), len(theirs))):
        one, other = (names[place] if place < len(names) else None for names in (ours, theirs))
        if one != other:
            raise UserError(
                f"{first.entry.json_file} and {second.entry.json_file} do not have the same "
                f"{what}: number {place + 1} is {_quoted(one)} in the first and "
                f"{_quoted(other)} in the second"
            )


def _quoted(name: str | None) -> str:
    return "absent" if name is None else f"'{name}'"
