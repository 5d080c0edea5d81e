"""The semantic part of a panoptic data set in COCO's format. Engine-neutral.

Detectron2's "separated" form: things come from the instances file, and a picture for each
image labels every pixel 0 for a thing, 1 … S for the stuff classes in the order of the panoptic
file's categories, 255 for nothing (what its datasets/prepare_panoptic_fpn.py writes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.catalog import PANOPTIC_FORM, DatasetEntry, PanopticFiles
from resnext_det.data.coco_checks import check_files_exist, check_unique
from resnext_det.data.file_names import check_names
from resnext_det.data.image_files import opened
from resnext_det.data.image_headers import check_header
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.panoptic_segments import check_pictures, check_segments
from resnext_det.data.set_aside import BrokenImage
from resnext_det.errors import UserError
from resnext_det.json_files import read_json

IGNORED = 255
"""Label of pixels that are neither trained on nor scored."""

_MOST_CLASSES = 254  # labels 1 … 254 are left in 8 bits


@dataclass(frozen=True)
class Stuff:
    """The stuff classes of a set.

    Attributes:
        files: where the panoptic parts lie.
        names: the S names.
        category_ids: their S ids in the panoptic file; label i + 1 is the i-th.
    """

    files: PanopticFiles
    names: tuple[str, ...]
    category_ids: tuple[int, ...]

    @property
    def num_labels(self) -> int:
        """Semantic classes: "things" and each stuff class."""
        return len(self.names) + 1


def label_file(files: PanopticFiles, file_name: str) -> Path:
    """Returns the picture of semantic labels of an image, given the image's name in its folder."""
    return files.stuff_root / Path(file_name).with_suffix(".png")


def read_stuff(
    entry: DatasetEntry,
    images: Sequence[dict[str, Any]],
    categories: Sequence[dict[str, Any]],
    *,
    training: bool,
    trust_file_names: bool = False,
) -> Stuff:
    """Reads and checks what is panoptic about a set.

    Args:
        entry: where the set lies.
        images: those of the instances file.
        categories: those of the instances file.
        training: whether the set is trained on; one that is evaluated has to have a panoptic
            annotation and its picture for every image, too.
        trust_file_names: names of pictures may leave their folder.

    Raises:
        UserError: the set has no panoptic part, a file or folder is missing, the panoptic file
            is not of that format, or does not belong to the instances file.
    """
    files = entry.panoptic
    if files is None:
        raise UserError(
            f"data set '{entry.name}' has no panoptic part, which MODEL.META_ARCHITECTURE needs; "
            f"name it as {entry.name}={PANOPTIC_FORM}"
        )
    _check_on_disk(entry, files)
    content = read_json(files.json_file)
    _check_layout(files.json_file, content)
    check_unique(files.json_file, "category", (c["id"] for c in content["categories"]))
    _check_things(files.json_file, content["categories"], entry.json_file, categories)
    names = [image["file_name"] for image in images]
    check_files_exist(
        files.stuff_root,
        [Path(name).with_suffix(".png").as_posix() for name in names],
        f"pictures of stuff labels that the images of {entry.json_file} need",
    )
    stuff = [category for category in content["categories"] if not category["isthing"]]
    if not 1 <= len(stuff) <= _MOST_CLASSES:
        raise UserError(
            f"{files.json_file}: {len(stuff)} categories are stuff (isthing 0); there have to be "
            f"1 to {_MOST_CLASSES}"
        )
    if not training:
        annotations = content["annotations"]
        pictures = [annotation["file_name"] for annotation in annotations]
        check_names(files.json_file, pictures, trusted=trust_file_names)
        _check_annotations(files, annotations, entry.json_file, images)
        check_segments(files.json_file, annotations, content["categories"])
        check_pictures(files.panoptic_root, annotations, images)
        if not entry.published:
            _check_pixels([label_file(files, name) for name in names], len(stuff) + 1)
    return Stuff(files, tuple(c["name"] for c in stuff), tuple(c["id"] for c in stuff))


def check_labels(path: str, labels: NDArray[np.integer], num_labels: int) -> None:
    """Checks the labels of one picture.

    Args:
        path: the picture, for the message.
        labels: of its pixels, any shape.
        num_labels: how many there are.

    Raises:
        UserError: a label is neither below `num_labels` nor `IGNORED`.
    """
    strays = labels[(labels >= num_labels) & (labels != IGNORED)]
    if strays.size:
        raise UserError(
            f"{path}: a pixel has the label {int(strays.max())}; there are 0 (things), 1 to "
            f"{num_labels - 1} (stuff, in the order of the panoptic file) and {IGNORED} (nothing)"
        )


def check_label_file(path: str, stated: tuple[int, int]) -> None:
    """Checks, by its header, that a picture of labels has the size of its image, in 8-bit grey.

    Detectron2 turns anything else to grey, a palette by its colours.

    Args:
        path: the picture.
        stated: (height, width) of the image.

    Raises:
        UserError: it has not, or is missing, or no picture.
    """
    mode = check_header(path, stated).mode
    if mode != "L":
        raise UserError(f"{path}: its pixels are {mode}; labels are 8-bit grey (L)")


def _check_pixels(paths: Sequence[Path], num_labels: int) -> None:
    """Checks every pixel of a set that is evaluated: it would be found only after training."""
    for path in paths:
        try:
            with opened(str(path)) as picture:
                labels = np.asarray(picture)
        except UnreadableImage as error:
            raise UserError(str(BrokenImage(str(path), str(error)))) from error
        check_labels(str(path), labels, num_labels)


def _check_on_disk(entry: DatasetEntry, files: PanopticFiles) -> None:
    if not files.json_file.is_file():
        raise UserError(
            f"{files.json_file}: no such file; it should hold the panoptic annotations of data "
            f"set '{entry.name}'{entry.hint}"
        )
    for folder, what in (
        (files.panoptic_root, "the panoptic pictures"),
        (files.stuff_root, "the pictures of stuff labels"),
    ):
        if not folder.is_dir():
            made = "; Detectron2's datasets/prepare_panoptic_fpn.py makes them"
            raise UserError(
                f"{folder}: no such folder; it should hold {what} of data set "
                f"'{entry.name}'{entry.hint}" + (made if folder == files.stuff_root else "")
            )


def _check_layout(path: Path, content: Any) -> None:
    needed = {
        "categories": {"id": int, "name": str, "isthing": int},
        "annotations": {"image_id": (int, str), "file_name": str, "segments_info": list},
    }
    for section, keys in needed.items():
        items = content.get(section) if isinstance(content, dict) else None
        if not isinstance(items, list):
            raise UserError(f"{path}: not COCO's panoptic format: it has no list '{section}'")
        for number, item in enumerate(items):
            for key, kind in keys.items():
                if not isinstance(item, dict) or not isinstance(item.get(key), kind):
                    raise UserError(
                        f"{path}: not COCO's panoptic format: '{key}' of {section}[{number}] is "
                        "missing or of another type"
                    )


def _check_things(
    path: Path,
    categories: Sequence[dict[str, Any]],
    instances: Path | None,
    instance_categories: Sequence[dict[str, Any]],
) -> None:
    things = {c["id"]: c["name"] for c in categories if c["isthing"]}
    ours = {c["id"]: c["name"] for c in instance_categories}
    strays = sorted(things.keys() ^ ours.keys())
    if strays:
        place = path if strays[0] in things else instances
        other = instances if strays[0] in things else path
        raise UserError(
            f"{place}: category id {strays[0]} is a thing that {other} does not have; both files "
            "have the same things"
        )
    for key, name in things.items():
        if name != ours[key]:
            raise UserError(
                f"{path}: category id {key} is '{name}', in {instances} '{ours[key]}'; both files "
                "have the same things"
            )


def _check_annotations(
    files: PanopticFiles,
    annotations: Sequence[dict[str, Any]],
    instances: Path | None,
    images: Sequence[dict[str, Any]],
) -> None:
    annotated = {annotation["image_id"] for annotation in annotations}
    known = {image["id"] for image in images}
    for key in sorted(annotated ^ known, key=str):
        has, lacks = (
            (files.json_file, instances) if key in annotated else (instances, files.json_file)
        )
        raise UserError(
            f"{lacks}: no image {key}, which {has} has; a panoptic set is evaluated on the same "
            f"images, {len(annotated ^ known)} differ(s)"
        )
    check_files_exist(
        files.panoptic_root,
        [annotation["file_name"] for annotation in annotations],
        f"panoptic pictures that {files.json_file} names",
    )
