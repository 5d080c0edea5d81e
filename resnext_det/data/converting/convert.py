"""A folder of labelled photographs as COCO JSON, one file or one for each split. Engine-neutral.

What has one meaning is mended and counted in a line; what has none is refused by its file and
place. Nothing is written before everything was read, and no photograph is touched.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.data.class_names import read_class_names
from resnext_det.data.converting import placing
from resnext_det.data.converting.coco_folder import read_coco
from resnext_det.data.converting.folder import Folder, check_image_name
from resnext_det.data.converting.labelme import read_labelme
from resnext_det.data.converting.labels import Found, LabelledImage, Notes, class_order
from resnext_det.data.converting.marking import DESCRIPTION, is_ours
from resnext_det.data.converting.recognising import NAMES, recognise
from resnext_det.data.converting.splitting import split_by_content
from resnext_det.data.converting.voc import read_voc
from resnext_det.data.converting.yolo import read_yolo
from resnext_det.data.image_files import ImageHeader, read_header
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.preparing.progress import bar
from resnext_det.errors import UserError, few
from resnext_det.replacing import check_replaceable
from resnext_det.whole_files import write_text_safe

UNREADABLE = "image(s) cannot be read, and are left out"
_OTHERS = "are these the labels of other images, or of images of another size?"


@dataclass(frozen=True)
class ConvertOptions:
    """What is said beside the folder.

    Attributes:
        format: one of `recognising.FORMATS`; "" where it is to be recognised.
        image_root: the folder of the photographs; None: that of the labels.
        classes: a file of names of classes, in their order.
        split: the share that is trained on; "own": as the folder says; None: one file.
        skip_unlabelled: leave photographs without a file of labels out.
        from_zero: VOC's corners are edges, counted from 0.
    """

    format: str = ""
    image_root: Path | None = None
    classes: Path | None = None
    split: float | str | None = None
    skip_unlabelled: bool = False
    from_zero: bool = False


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        format: of the labels.
        image_root: the folder that names of photographs are relative to.
        contents: the files, each with its COCO content.
        class_names: in their order.
        notes: lines on what was mended or left out.
    """

    format: str
    image_root: Path
    contents: Mapping[Path, Mapping[str, Any]]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def convert(root: Path, output: Path, options: ConvertOptions) -> Conversion:
    """Reads a folder of labels and writes COCO JSON.

    Args:
        root: the folder.
        output: the file; with a split, its name is the beginning of theirs: `a.json` gives
            `a_train.json` and `a_val.json`.
        options: see there.

    Raises:
        UserError: anything the user can mend; nothing was written.
    """
    check_writable(output)
    folder = Folder(root, options.image_root)
    kind = options.format or recognise(folder)
    given = read_class_names(options.classes) if options.classes else None
    notes = Notes()
    found = _read(folder, kind, notes, given, options)
    if not found.files:
        raise UserError(f"{root}: no labels of {NAMES[kind]} in this folder or below it")
    names = class_order(found, given, f"--classes {options.classes}" if given else "the file")
    images = _with_negatives(folder, kind, found, notes, options)
    headers = _read_headers(folder, images, notes)
    if isinstance(options.split, float):
        classes = {n: {label.class_name for label in images[n].labels} for n in headers}
        parts = split_by_content(folder.image_root, classes, options.split)
    else:
        parts = _own_parts(folder, found, list(headers), notes, asked=options.split == "own")
    targets = {split: _target(output, split) for split in parts}
    used = [*(root / file for file in found.files), *filter(None, [options.classes])]
    for target in targets.values():
        _check_target(target, used)
    placed = {
        name: placing.annotations_of(images[name], header, notes)
        for name, header in headers.items()
    }
    num_labels = sum(len(images[name].labels) for name in headers)
    for what in (placing.FLAT, placing.OUTSIDE, placing.CUT):
        notes.refuse_most(what, num_labels, _OTHERS)
    contents = {
        targets[split]: _content(chosen, headers, placed, names) for split, chosen in parts.items()
    }
    texts = {target: _as_json(root, content) for target, content in contents.items()}
    for target, text in texts.items():
        write_text_safe(target, text)
    return Conversion(kind, folder.image_root, contents, names, tuple(notes.lines()))


def check_writable(output: Path) -> None:
    """Checks that a file can be written, before anything is read.

    Raises:
        UserError: it is a folder, or its folder is a file or not ours.
    """
    if output.is_dir():
        raise UserError(f"-o {output}: is a folder; name a file in it")
    near = next((place for place in output.absolute().parents if place.exists()), Path("/"))
    if not near.is_dir():
        raise UserError(f"-o {output}: {near} is no folder")
    if not os.access(near, os.W_OK | os.X_OK):
        raise UserError(f"-o {output}: {near}: Permission denied")


def _read(
    folder: Folder, kind: str, notes: Notes, given: Sequence[str] | None, options: ConvertOptions
) -> Found:
    if options.from_zero and kind != "voc":
        raise UserError(f"--zero-based is for VOC's labels; these are {NAMES[kind]}'s")
    if kind == "voc":
        return read_voc(folder, notes, from_zero=options.from_zero)
    if kind == "yolo":
        return read_yolo(folder, notes, given)
    return read_labelme(folder, notes) if kind == "labelme" else read_coco(folder, notes)


def _with_negatives(
    folder: Folder, kind: str, found: Found, notes: Notes, options: ConvertOptions
) -> dict[str, LabelledImage]:
    """Returns images by name, those without labels too, in which there is nothing to be found.

    They are those in a folder that has others with labels, so that pictures of another kind, as
    VOC's `SegmentationClass`, stay out; with --images all of that folder. COCO lists its own.
    """
    images: dict[str, LabelledImage] = {}
    for image in found.images:
        first = images.setdefault(image.name, image)
        if first is not image:
            where = first.file if first.file == image.file else f"{first.file} and {image.file}"
            raise UserError(f"image {image.name}: is labelled twice, in {where}; leave one")
    places = {name.rpartition("/")[0] for name in images}
    for name in folder.images:
        near = options.image_root is not None or name.rpartition("/")[0] in places
        if name in images or not near:
            continue
        if kind == "coco":
            notes.add("image(s) are not listed, and are left out", name)
        elif options.skip_unlabelled:
            notes.add("image(s) have no label file, and are left out", name)
        else:
            notes.add(
                "image(s) have no label file, and count as images of nothing (--skip-unlabelled "
                "leaves them out)",
                name,
            )
            images[name] = LabelledImage(name, name, ())
    return {name: images[name] for name in sorted(images)}


def _read_headers(folder: Folder, images: Iterable[str], notes: Notes) -> dict[str, ImageHeader]:
    """Returns the sizes of images; those that are none are left out."""
    names, headers = list(images), {}
    with bar("images", len(names)) as advance:
        for name in names:
            check_image_name(name)
            try:
                headers[name] = read_header(str(folder.image_root / name))
            except UnreadableImage as error:
                notes.add(UNREADABLE, f"{name}: {error}")
            advance(1)
    notes.refuse_most(UNREADABLE, len(names), "look at the folder")
    return headers


def _own_parts(
    folder: Folder, found: Found, names: list[str], notes: Notes, *, asked: bool
) -> dict[str, list[str]]:
    """Returns the images of each of the folder's splits if these are asked for, else all as ""."""
    known = {part: [n for n in names if n in chosen] for part, chosen in found.splits.items()}
    known = {part: chosen for part, chosen in known.items() if chosen}
    if not asked:
        if len(known) > 1:
            told = f"split(s) are the folder's own; --split own keeps them apart ({few([*known])})"
            for part in known:
                notes.add(told, part)
        return {"": names}
    if len(known) < 2:
        raise UserError(
            f"{folder.root}: --split own: its files name no two splits; give a share, as 0.8"
        )
    places = {name: [part for part, chosen in known.items() if name in chosen] for name in names}
    for name, parts in places.items():
        if len(parts) != 1:
            number = "several" if parts else "none"
            notes.add(f"image(s) are in {number} of the splits", name)
    return known


def _target(output: Path, split: str) -> Path:
    return output.with_name(f"{output.stem}_{split}{output.suffix}") if split else output


def _check_target(target: Path, used: Iterable[Path]) -> None:
    check_replaceable(
        target,
        is_ours=is_ours,
        otherwise="was not written by this command: name another",
        used=used,
        option="-o",
    )


def _as_json(root: Path, content: Mapping[str, Any]) -> str:
    """Writes COCO content as text; what a COCO file's masks and areas hold was not looked at."""
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
        text.encode()
    except ValueError as error:  # NaN, Infinity, half of a surrogate pair
        raise UserError(
            f"{root}: a 'segmentation' or 'area' holds what JSON cannot ({error}); see "
            "`resnext-det dataset check --fix`"
        ) from error
    return text


def _content(
    names: Iterable[str],
    headers: Mapping[str, ImageHeader],
    placed: Mapping[str, Sequence[Mapping[str, Any]]],
    class_names: Sequence[str],
) -> dict[str, Any]:
    """Returns COCO's lists, numbered from 1."""
    numbers = {name: number for number, name in enumerate(class_names, start=1)}
    images, annotations = [], []
    for image_id, name in enumerate(names, start=1):
        size = {"height": headers[name].height, "width": headers[name].width}
        images.append({"id": image_id, "file_name": name, **size})
        for given in placed[name]:
            ids = {"id": len(annotations) + 1, "image_id": image_id}
            rest = {key: value for key, value in given.items() if key != "class_name"}
            annotations.append({**ids, "category_id": numbers[given["class_name"]], **rest})
    return {
        "info": {"description": DESCRIPTION},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }
