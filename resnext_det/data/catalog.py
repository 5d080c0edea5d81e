"""Where a data set lies: Detectron2's names, and NAME=… arguments. Engine-neutral.

Detectron2's names resolve to its own folders below `$DETECTRON2_DATASETS` (default
`datasets/`); any other set is named on the command line.
"""

import difflib
import os
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from resnext_det.errors import UserError

_LONGEST_NAME = 100  # bytes; folders are named as data sets, and file systems allow 255
_INDEX = "index.json"  # of shards
_ADDRESS = ("http://", "https://")
PANOPTIC_FORM = "instances.json:images/:panoptic.json:panoptic_png/:stuff_png/"


@dataclass(frozen=True)
class PanopticFiles:
    """Where the panoptic parts of a data set lie.

    Attributes:
        json_file: the panoptic annotation file.
        panoptic_root: the folder of its pictures, which number the segments of each image.
        stuff_root: the folder of the pictures of semantic labels, named as the images.
    """

    json_file: Path
    panoptic_root: Path
    stuff_root: Path


@dataclass(frozen=True)
class DatasetEntry:
    """Where one data set lies: on disk, or on a server.

    Attributes:
        name: the name used in `DATASETS.TRAIN` and `DATASETS.TEST`.
        json_file: the COCO annotation file; None for a folder of class folders.
        image_root: the folder of the images, or of the class folders.
        published: the set is one of Detectron2's own names. Its known blemishes (COCO
            train2017 has two boxes of zero height) are let through, as Detectron2 does.
        panoptic: its panoptic parts; None where it has none.
        address: of shards on a server, their index or their names in braces; `image_root` then
            only tells sets apart. Empty for a set on disk.
    """

    name: str
    json_file: Path | None
    image_root: Path
    published: bool = False
    panoptic: PanopticFiles | None = None
    address: str = ""

    @property
    def location(self) -> str:
        """What messages call the place of the images."""
        return self.address or str(self.image_root)

    @property
    def hint(self) -> str:
        """The end of a message on a file that is not there: where published sets are sought."""
        return " (set DETECTRON2_DATASETS to the folder that holds coco/)" if self.published else ""

    @property
    def places(self) -> tuple[Path | None, ...]:
        """Every file and folder of the set, absolute; equal for the same set."""
        parts = self.panoptic
        more = (parts.json_file, parts.panoptic_root, parts.stuff_root) if parts else (None,) * 3
        places = (self.json_file, self.image_root, *more)
        return tuple(place and place.resolve() for place in places)


def datasets_root() -> Path:
    """Returns the folder of the built-in data sets: `$DETECTRON2_DATASETS` or `datasets`."""
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets")).expanduser()


def builtin_names() -> tuple[str, ...]:
    """Returns the names that resolve below `datasets_root()`, sorted."""
    return tuple(sorted([*_coco_splits(), *_PANOPTIC_SPLITS, *_IMAGENET_FOLDERS]))


def parse_data_argument(text: str) -> DatasetEntry:
    """Reads a `--train-data` or `--test-data` argument.

    Args:
        text: `NAME=annotations.json:images/` for detection, with
            `:panoptic.json:panoptic_png/:stuff_png/` after it for a panoptic set,
            `NAME=folder/` for classification (a folder with one subfolder per class, or of
            shards with their index; or that index.json; or the shards' names, as
            `folder/train-{000000..000146}.tar`; the last two may be http addresses).

    Returns:
        The entry. Nothing is read from disk yet.

    Raises:
        UserError: a part is missing, or the name cannot name a folder below OUTPUT_DIR.
    """
    name, equals, location = text.partition("=")
    if not (equals and name.strip() and location.strip()):
        raise UserError(
            f"data argument '{text}': write NAME=annotations.json:images/ (detection) "
            "or NAME=folder/ (classification: class folders, or shards)"
        )
    _check_name(name.strip())
    if location.strip().lower().startswith(_ADDRESS):
        address = _checked_address(text, location.strip())
        return DatasetEntry(name.strip(), None, Path(address), address=address)
    parts = location.split(":")
    if sum(part.endswith(".json") for part in parts) > 1:
        return _panoptic_entry(text, name.strip(), parts)
    json_file, colon, image_root = location.rpartition(":")
    if colon and json_file and image_root:
        return DatasetEntry(
            name.strip(), Path(json_file).expanduser(), Path(image_root).expanduser()
        )
    if not colon and Path(location.strip()).name == _INDEX:
        return DatasetEntry(name.strip(), None, Path(location.strip()).expanduser().parent)
    if colon or location.endswith(".json"):
        raise UserError(
            f"data argument '{text}': the annotation file and the image folder are both "
            f"needed, as {name}=annotations.json:images/"
        )
    return DatasetEntry(name.strip(), None, Path(location).expanduser())


def entries_by_name(entries: Iterable[DatasetEntry]) -> dict[str, DatasetEntry]:
    """Returns the data sets of the command line by their names.

    Raises:
        UserError: a name stands for two sets.
    """
    named: dict[str, DatasetEntry] = {}
    for entry in entries:
        first = named.setdefault(entry.name, entry)
        for one, other in zip(first.places, entry.places, strict=True):
            if one != other:
                raise UserError(
                    f"data set '{entry.name}' is named twice with different files: "
                    f"{one or 'none'} and {other or 'none'}: give one another name"
                )
    return named


def is_one_line(text: str) -> bool:
    """Returns whether a name has no line break, control character or lone surrogate in it."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text)


def _check_name(name: str) -> None:
    """Checks that a name can be one of a folder: results are kept in one of the set's name."""
    shown = name if len(name) <= 40 else f"{name[:37]}..."
    if not is_one_line(name) or "/" in name or "\\" in name or name in (".", ".."):
        raise UserError(
            f"data set name {shown!r}: it names a folder of OUTPUT_DIR, so it has no slash and no "
            "control character, and is not '.' or '..'"
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise UserError(f"data set name {shown!r}: it is longer than {_LONGEST_NAME} bytes")


def _checked_address(text: str, address: str) -> str:
    """Checks an address by its parts; nothing is asked of the server."""
    try:
        parts = urlsplit(address)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # a port that is no number or too great; a torn IPv6 address
        raise UserError(f"data argument {text!r}: not an address ({error})") from error
    if not sound or not is_one_line(address) or " " in address:
        raise UserError(f"data argument {text!r}: not an address with a server in it")
    if parts.username is not None or parts.query or parts.fragment:
        raise UserError(
            f"data argument {text.partition('=')[0]}=…: an address of shards has no user name, no "
            "'?' and no '#' in it: their own addresses are made from it"
        )
    if not parts.path.endswith((".json", ".tar")):
        raise UserError(
            f"data argument '{text}': give the address of index.json, or of the shards, "
            "as http://server/train-{000000..000146}.tar"
        )
    return address


def _panoptic_entry(text: str, name: str, parts: list[str]) -> DatasetEntry:
    ends = [part.endswith(".json") for part in parts]
    if ends != [True, False, True, False, False] or not all(parts):
        raise UserError(
            f"data argument '{text}': a panoptic set has five parts, as {name}={PANOPTIC_FORM}"
        )
    json_file, images, panoptic, *roots = (Path(part).expanduser() for part in parts)
    return DatasetEntry(name, json_file, images, panoptic=PanopticFiles(panoptic, *roots))


def find_dataset(
    name: str,
    extra: Mapping[str, DatasetEntry],
    root: Path | None = None,
    *,
    option: str = "with --train-data or --test-data",
) -> DatasetEntry:
    """Looks a data set up by its name.

    Args:
        name: a name from the command line, or one of Detectron2's.
        extra: the sets named on the command line; they go before the built-in ones.
        root: the folder of the built-in sets; `datasets_root()` where it is None.
        option: of the command that names a set of one's own, for the message.

    Raises:
        UserError: nobody knows the name.
    """
    if name in extra:
        return extra[name]
    root = datasets_root() if root is None else root
    splits = _coco_splits()
    if name in splits:
        images, annotations = splits[name]
        return DatasetEntry(name, root / "coco/annotations" / annotations, root / images, True)
    if name in _PANOPTIC_SPLITS:
        return _published_panoptic(name, root)
    if name in _IMAGENET_FOLDERS:
        return DatasetEntry(name, None, root / _IMAGENET_FOLDERS[name], True)
    near = difflib.get_close_matches(name, [*extra, *builtin_names()], n=1, cutoff=0.75)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise UserError(
        f"data set '{name}' is not known{hint}; name your own {option} "
        f"{name}=annotations.json:images/ (detection) or {name}=folder/ "
        "(classification)"
    )


# Detectron2's folders (detectron2/data/datasets/builtin.py) and DESIGN's for ImageNet.
_IMAGENET_FOLDERS: Mapping[str, str] = {
    "imagenet_1k_train": "imagenet/train",
    "imagenet_1k_val": "imagenet/val",
    "imagenet_5k_train": "imagenet_5k/train",  # tested on imagenet_1k_val
    "cifar10_train": "cifar10/train",
    "cifar10_test": "cifar10/test",
    "cifar100_train": "cifar100/train",
    "cifar100_test": "cifar100/test",
}
_COCO_IMAGES: Mapping[str, str] = {
    "2014_train": "coco/train2014",
    "2014_val": "coco/val2014",
    "2014_minival": "coco/val2014",
    "2014_valminusminival": "coco/val2014",
    "2017_train": "coco/train2017",
    "2017_val": "coco/val2017",
    "2017_val_100": "coco/val2017",
}
# Detectron2's name -> split of its instances, and the ending of its panoptic files.
_PANOPTIC_SPLITS: Mapping[str, tuple[str, str]] = {
    "coco_2017_train_panoptic_separated": ("coco_2017_train", "train2017"),
    "coco_2017_val_panoptic_separated": ("coco_2017_val", "val2017"),
    "coco_2017_val_100_panoptic_separated": ("coco_2017_val_100", "val2017_100"),
}


def _published_panoptic(name: str, root: Path) -> DatasetEntry:
    instances, ending = _PANOPTIC_SPLITS[name]
    images, annotations = _coco_splits()[instances]
    folder = root / "coco"
    files = PanopticFiles(
        folder / f"annotations/panoptic_{ending}.json",
        folder / f"panoptic_{ending}",
        folder / f"panoptic_stuff_{ending}",
    )
    return DatasetEntry(name, folder / "annotations" / annotations, root / images, True, files)


def _coco_splits() -> dict[str, tuple[str, str]]:
    """Returns name -> (image folder, annotation file name) for Detectron2's COCO names."""
    splits = {
        "coco_2017_test": ("coco/test2017", "image_info_test2017.json"),
        "coco_2017_test-dev": ("coco/test2017", "image_info_test-dev2017.json"),
    }
    for split, images in _COCO_IMAGES.items():
        year, _, part = split.partition("_")
        part, _, first = part.partition("_")
        suffix = f"{part}{year}" + (f"_{first}" if first else "")
        splits[f"coco_{split}"] = (images, f"instances_{suffix}.json")
        splits[f"keypoints_coco_{split}"] = (images, f"person_keypoints_{suffix}.json")
    return splits
