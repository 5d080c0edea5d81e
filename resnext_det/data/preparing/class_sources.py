"""The classes of an ImageNet-21K tree, and of ImageNet-1K, by their WordNet ids. Engine-neutral."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from resnext_det.data.preparing.archives import ForwardReader, open_archive
from resnext_det.data.preparing.devkit import read_devkit
from resnext_det.data.preparing.published import IMAGENET_DEVKIT, Published
from resnext_det.data.preparing.tars import members
from resnext_det.errors import UserError

_WNID = re.compile(r"n\d{8}")
_HEADERS = 1 << 12  # bytes read at a time where only the headers of a tar are wanted


@dataclass(frozen=True)
class ClassSource:
    """The images of one class.

    Attributes:
        path: a folder, or a tar archive.
        archived: whether it is an archive.
    """

    path: Path
    archived: bool


def find_classes(tree: Path) -> dict[str, ClassSource]:
    """Finds the classes of a tree: folders nXXXXXXXX, or archives nXXXXXXXX.tar.

    Args:
        tree: the folder that holds them; where both are there, the folder is taken.

    Returns:
        WordNet id -> its images, sorted.

    Raises:
        UserError: there are none.
    """
    if not tree.is_dir():
        raise UserError(f"{tree}: no such folder")
    found: dict[str, ClassSource] = {}
    with os.scandir(tree) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            wnid = entry.name.removesuffix(".tar")
            is_folder = entry.is_dir()
            if _WNID.fullmatch(wnid) and is_folder == (wnid == entry.name) and wnid not in found:
                found[wnid] = ClassSource(Path(entry.path), archived=not is_folder)
    if not found:
        raise UserError(
            f"{tree}: no class in it: folders such as n01440764/ or archives such as n01440764.tar "
            "are needed"
        )
    return found


def imagenet_1k_classes(
    place: Path, devkit: Published | None = IMAGENET_DEVKIT, number: int | None = 1000
) -> tuple[str, ...]:
    """Returns the WordNet ids of ImageNet-1K, sorted.

    Args:
        place: its folder, or the train/ or val/ in it, or ILSVRC2012_devkit_t12.tar.gz.
        devkit: the digest of that kit; None to take any.
        number: how many there are; None to take any.

    Raises:
        UserError: the classes are not there, or not that many.
    """
    if place.is_file():
        names = sorted(read_devkit(place, devkit).train_images)
    else:
        folders = [place / "train", place / "val", place]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            raise UserError(
                f"{place}: no such folder; --imagenet-1k names ImageNet-1K's folder or its devkit"
            )
        names = sorted(item.name for item in folder.iterdir() if _WNID.fullmatch(item.name))
    if number is not None and len(names) != number:
        raise UserError(f"{place}: {len(names):,} classes nXXXXXXXX in it, not {number:,}")
    return tuple(names)


def count_images(source: ClassSource) -> tuple[int, int]:
    """Counts the images of a class, without reading them.

    Returns:
        How many, and their bytes.

    Raises:
        UserError: an archive is damaged; an image is one of ImageNet-1K's validation set, on which
            nothing may be trained.
    """
    sizes = _archived(source.path) if source.archived else _in_folder(source.path)
    leaked = next((name for name in sizes if name.startswith("ILSVRC2012_val_")), None)
    if leaked is not None:
        raise UserError(f"{source.path}: '{leaked}' is a validation image: take those out first")
    return len(sizes), sum(sizes.values())


def _in_folder(folder: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(IMG_EXTENSIONS):
                    sizes[os.path.relpath(entry.path, folder)] = entry.stat().st_size
    return sizes


def _archived(path: Path) -> dict[str, int]:
    with open_archive(path, digest=False, chunk=_HEADERS) as opened:
        return {
            member.name: member.size for member in members(ForwardReader(opened.file, str(path)))
        }
