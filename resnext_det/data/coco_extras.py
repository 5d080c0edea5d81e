"""Masks, keypoints and stuff of a COCO file, where a detector needs them. Engine-neutral."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco_keypoints import KeypointNames, read_keypoint_names, read_keypoints
from resnext_det.data.coco_outlines import Outline, absent_masks, read_outlines
from resnext_det.data.coco_problems import refuse_first
from resnext_det.data.needs import Needs
from resnext_det.data.panoptic import Stuff, label_file, read_stuff
from resnext_det.errors import UserError


@dataclass(frozen=True)
class Extras:
    """What a file holds beside boxes; None where it was not asked for.

    Attributes:
        outlines: the mask of each of the A annotations.
        names: of the keypoints.
        keypoints: (A, P, 3).
        stuff: the stuff classes.
    """

    outlines: list[Outline] | None = None
    names: KeypointNames | None = None
    keypoints: NDArray[np.float64] | None = None
    stuff: Stuff | None = None

    def of_image(self, file_name: str, rows: list[int]) -> dict[str, Any]:
        """Returns what the record of one image holds of this, given its annotations' rows."""
        held: dict[str, Any] = {}
        if self.outlines is not None:
            held["outlines"] = tuple(self.outlines[row] for row in rows)
        if self.keypoints is not None:
            held["keypoints"] = self.keypoints[rows]
        if self.stuff is not None:
            held["label_file"] = str(label_file(self.stuff.files, file_name))
        return held


def read_extras(
    entry: DatasetEntry,
    path: Path,
    content: dict[str, Any],
    needs: Needs,
    *,
    training: bool,
    tolerant: bool,
    trust_file_names: bool = False,
) -> Extras:
    """Reads what is needed of a file whose boxes have been checked.

    Args:
        entry: where the set lies.
        path: its annotation file.
        content: what that holds.
        needs: what to read.
        training: whether the set is trained on.
        tolerant: leave out polygons that are none instead of refusing the file.
        trust_file_names: names of pictures may leave their folder.

    Raises:
        UserError: something needed is missing, or cannot be used; see the readers.
    """
    annotations, categories = content["annotations"], content["categories"]
    outlines = names = keypoints = stuff = None
    lengths = {i["id"]: (int(i["height"]), int(i["width"])) for i in content["images"]}
    sizes = [lengths[annotation["image_id"]] for annotation in annotations]
    if needs.masks:
        refuse_first(path, absent_masks(annotations, training=training))
        polygons = needs.polygons and training
        outlines = read_outlines(path, annotations, sizes, tolerant=tolerant, polygons=polygons)
    if needs.keypoints:
        names = read_keypoint_names(path, categories)
        keypoints = read_keypoints(path, annotations, sizes, len(names.names))
        if training and not names.mirrored:
            logging.getLogger(__name__).warning(
                "%s: no two keypoint names differ in left and right alone, so a mirror image "
                "keeps each as it is",
                path,
            )
        if training and not (keypoints[:, :, 2] > 0).any():
            raise UserError(f"{path}: no keypoint is labelled, so there is nothing to train on")
    if needs.stuff:
        stuff = read_stuff(
            entry,
            content["images"],
            categories,
            training=training,
            trust_file_names=trust_file_names,
        )
    return Extras(outlines, names, keypoints, stuff)
