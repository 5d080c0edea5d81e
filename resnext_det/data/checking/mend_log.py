"""What a mended copy has that its original had not, counted by kind. Engine-neutral."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WORDS = {
    "not_an_object": "entries that are no objects, taken out",
    "number_as_text": "numbers written as text or with a point",
    "id_given": "ids given where there was none",
    "id_range": "ids beyond 64 bits made smaller",
    "id_alike": "ids written all as numbers or all as texts",
    "id_renumbered": "repeated ids renumbered",
    "entry_twice": "entries that were there twice, taken out",
    "class_name": "class names put on one line",
    "separators": "backslashes between folders made slashes",
    "file_name": "file names made to lie in the image folder",
    "image_size": "image sizes taken from the files",
    "image_removed": "images taken out: missing, broken, unnamed, or named outside the folder",
    "of_removed_image": "annotations of images that were taken out",
    "entry_of_one_file": "further entries of an image file that say nothing new, taken out",
    "unknown_image": "annotations of unknown images, taken out",
    "unknown_category": "annotations of unknown categories, taken out",
    "ignored": "annotations marked 'ignore' made crowds",
    "iscrowd": "iscrowd put right",
    "area": "areas that are no numbers, left out",
    "segmentation": "segmentations that are none, left out",
    "polygon": "polygons of fewer than three points, left out",
    "box_from_polygons": "boxes made of their polygons",
    "box_corners": "boxes of corners x0, y0, x1, y1 given their width and height",
    "box_removed": "annotations without a usable box, taken out",
    "box_swapped": "boxes with swapped corners put right",
    "box_clipped": "boxes clipped to their image",
    "not_finite": "other values that are no finite numbers, set to null",
}
"""Kinds of mends, in the order in which they are printed."""


@dataclass
class MendLog:
    """What was mended.

    Attributes:
        entries: kind -> the place of each, with what was done where that is more than the kind.
        ids: "images", "annotations", "categories" -> [old, new] of each id that changed.
    """

    entries: dict[str, list[str]] = field(default_factory=dict)
    ids: dict[str, list[list[Any]]] = field(default_factory=dict)

    def add(self, kind: str, where: str) -> None:
        """Notes one mend."""
        assert kind in WORDS, kind
        self.entries.setdefault(kind, []).append(where)

    def renumber(self, section: str, old: Any, new: Any) -> None:
        """Notes an id that changed."""
        self.ids.setdefault(section, []).append([old, new])

    @property
    def counts(self) -> Mapping[str, int]:
        """Kind -> how many, in the order of `WORDS`."""
        return {kind: len(self.entries[kind]) for kind in WORDS if kind in self.entries}

    def as_json(self) -> dict[str, Any]:
        """Returns the log as plain values."""
        mended = {
            kind: {"count": count, "what": WORDS[kind], "where": self.entries[kind]}
            for kind, count in self.counts.items()
        }
        return {"mended": mended, "ids": self.ids}
