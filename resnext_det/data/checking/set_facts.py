"""Histograms of a set: classes, sizes, shapes, objects per image. Engine-neutral."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.checking.geometry import Geometry
from resnext_det.data.checking.subjects import CheckedSet

COCO_SIZES = {"small": 32.0**2, "medium": 96.0**2, "large": np.inf}
"""Below how many square pixels an object is of which size (pycocotools, Params.areaRng)."""
_SIDES = (8, 16, 32, 64, 128, 256, 512)
_RATIOS = (0.2, 0.25, 1 / 3, 0.5, 0.75, 4 / 3, 2, 3, 4, 5)
_RATIO_WORDS = ("1:5", "1:4", "1:3", "1:2", "3:4", "4:3", "2:1", "3:1", "4:1", "5:1")
_COUNTS = (1, 2, 6, 11, 21, 51, 101)
_OVERLAPS = (0.3, 0.5, 0.7)  # Detectron2's thresholds of background and foreground, and between
Counts = dict[str, int]


@dataclass(frozen=True)
class ClassCount:
    """One class.

    Attributes:
        objects: of it, without crowds; images of it in a classification set.
        images: how many images hold it.
        crowds: its crowd regions.
    """

    objects: int
    images: int
    crowds: int = 0


@dataclass(frozen=True)
class SetFacts:
    """What a set holds.

    Attributes:
        name: of the set.
        task: "detection" or "classification".
        num_images: as its annotation file or folder has them.
        num_objects: without crowds.
        num_crowds: crowd regions.
        images_without: how many images have no object but crowds.
        most_in_an_image: most objects of an image.
        classes: name -> its count, in the order of the class numbers.
        sizes: COCO's small, medium, large -> objects.
        sides: square root of the area in pixels, after the config's resize where one is given.
        ratios: height : width of boxes.
        per_image: objects per image -> images.
        overlaps: IoU with the likest anchor -> boxes; empty without a config.
        image_sizes: "width x height" -> images, the ten commonest.
    """

    name: str
    task: str
    num_images: int
    num_objects: int
    num_crowds: int
    images_without: int
    most_in_an_image: int
    classes: Mapping[str, ClassCount]
    sizes: Counts
    sides: Counts
    ratios: Counts
    per_image: Counts
    overlaps: Counts
    image_sizes: Counts

    @property
    def sentence(self) -> str:
        """One line on what the set holds."""
        classes = f"{len(self.classes):,} classes"
        if self.task == "classification":
            return f"{self.name}: {self.num_images:,} images of {classes}"
        crowds = f" and {self.num_crowds:,} crowd(s)" if self.num_crowds else ""
        sizes = ", ".join(f"{count:,} {name}" for name, count in self.sizes.items())
        return (
            f"{self.name}: {self.num_images:,} images, {self.num_objects:,} objects{crowds} of "
            f"{classes}; {sizes}; at most {self.most_in_an_image:,} in an image, none in "
            f"{self.images_without:,}"
        )

    def as_json(self) -> dict[str, Any]:
        """Returns the facts as plain values."""
        fields = {key: value for key, value in vars(self).items() if key != "classes"}
        return {**fields, "classes": {name: vars(count) for name, count in self.classes.items()}}


def set_facts(checked: CheckedSet, geometry: Geometry | None) -> SetFacts:
    """Counts what a set holds, after its images were decoded."""
    objects = checked.objects
    real = ~objects.iscrowd
    per_image = np.bincount(objects.images[real], minlength=len(checked.images))
    boxes = objects.boxes
    sides = ratios = overlaps = sizes = {}
    if boxes is not None and objects.areas is not None:
        areas, boxes = objects.areas[real], boxes[real]
        scales = _scales(checked, geometry)[objects.images[real]]
        sizes = _coco_sizes(areas)
        sides = _histogram(np.sqrt(boxes[:, 2] * boxes[:, 3]) * scales, _SIDES)
        words = dict(zip(_RATIOS, _RATIO_WORDS, strict=True))
        ratios = _histogram(boxes[:, 3] / boxes[:, 2], _RATIOS, words)
        if geometry is not None:
            best = geometry.best_overlaps(boxes[:, 2:] * scales[:, None])
            overlaps = _histogram(best, _OVERLAPS)
    return SetFacts(
        name=checked.name,
        task="detection" if checked.is_detection else "classification",
        num_images=len(checked.images),
        num_objects=int(real.sum()),
        num_crowds=int((~real).sum()),
        images_without=int((per_image == 0).sum()),
        most_in_an_image=int(per_image.max(initial=0)),
        classes=_classes(checked),
        sizes=sizes,
        sides=sides,
        ratios=ratios,
        per_image=_histogram(per_image, _COUNTS, whole=True) if checked.is_detection else {},
        overlaps=overlaps,
        image_sizes=_image_sizes(checked),
    )


def per_image_counts(checked: CheckedSet) -> NDArray[np.int64]:
    """Returns (N,) how many objects, without crowds, each image has."""
    real = checked.objects.images[~checked.objects.iscrowd]
    return np.bincount(real, minlength=len(checked.images))


def _classes(checked: CheckedSet) -> dict[str, ClassCount]:
    objects, counts = checked.objects, {}
    order = np.argsort(objects.classes, kind="stable")
    bounds = np.searchsorted(objects.classes[order], np.arange(len(checked.class_names) + 1))
    for number, name in enumerate(checked.class_names):
        rows = order[bounds[number] : bounds[number + 1]]
        crowd = objects.iscrowd[rows]
        images = len(np.unique(objects.images[rows[~crowd]]))
        # Two categories may have one name: their counts stand apart.
        key = name if name not in counts else f"{name} ({number})"
        counts[key] = ClassCount(int((~crowd).sum()), images, int(crowd.sum()))
    return counts


def _scales(checked: CheckedSet, geometry: Geometry | None) -> NDArray[np.float64]:
    sizes = [_size(checked, place) for place in range(len(checked.images))]
    if geometry is None:
        return np.ones(len(sizes))
    return geometry.scales(sizes)


def _size(checked: CheckedSet, place: int) -> tuple[int, int]:
    """Returns (height, width) of the image as decoded, else as stated, else (1, 1)."""
    facts = checked.facts[place] if checked.facts else None
    if facts is not None and not facts.error:
        return facts.height, facts.width
    return checked.images[place].size or (1, 1)


def _coco_sizes(areas: NDArray[np.float64]) -> Counts:
    edges = list(COCO_SIZES.values())[:-1]
    places = np.searchsorted(edges, areas, side="right")
    counts = np.bincount(places, minlength=len(COCO_SIZES))
    return dict(zip(COCO_SIZES, counts.tolist(), strict=True))


def _histogram(
    values: NDArray[Any],
    edges: Sequence[float],
    words: Mapping[float, str] | None = None,
    *,
    whole: bool = False,
) -> Counts:
    """Counts values below the first edge, from each to the next, and from the last on."""
    said = words or {edge: f"{edge:g}" for edge in edges}
    names = [f"below {said[edges[0]]}"]
    for low, high in pairwise(edges):
        names.append(_whole_range(low, high) if whole else f"{said[low]} to {said[high]}")
    names.append(f"{said[edges[-1]]} and more")
    if whole:
        names[0] = _whole_range(0, edges[0])
    places = np.searchsorted(edges, values, side="right")
    return dict(zip(names, np.bincount(places, minlength=len(names)).tolist(), strict=True))


def _whole_range(low: float, high: float) -> str:
    last = int(high) - 1
    return f"{low:g}" if last == low else f"{low:g} to {last}"


def _image_sizes(checked: CheckedSet) -> Counts:
    counts: Counts = {}
    for facts in checked.facts:
        if not facts.error:
            name = f"{facts.width}x{facts.height}"
            counts[name] = counts.get(name, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ordered[:10])
