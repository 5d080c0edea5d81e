"""Classification sets: a folder with one subfolder per class. Engine-neutral."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import ClassificationSet, FolderImages
from resnext_det.data.image_files import read_header
from resnext_det.data.image_headers import spread
from resnext_det.data.manifest import check_against_manifest
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.packed import PackedList
from resnext_det.data.set_aside import BrokenImage, too_many
from resnext_det.errors import UserError


def load_image_folder(
    entry: DatasetEntry, *, training: bool = True, skip_broken: bool = False
) -> ClassificationSet:
    """Lists the images of a folder with one subfolder per class, and reads their headers.

    Args:
        entry: where the set lies.
        training: whether it is trained on, which says how many headers are read (see
            `image_headers`).
        skip_broken: whether images that cannot be opened are let through, as long as one can be;
            whoever reads them sets them aside.

    Raises:
        UserError: the folder is missing, has no class folders, or one of them no image; an
            image that cannot be opened, or with `skip_broken` none that can; a set that was
            prepared has lost images since (see `manifest`).
    """
    if entry.json_file is not None:
        raise UserError(
            f"data set '{entry.name}' has an annotation file ({entry.json_file}); "
            f"classification needs a folder of class folders, as {entry.name}=folder/"
        )
    root = entry.image_root
    if not root.is_dir():
        what = "a file, not a folder" if root.exists() else "no such folder"
        hint = (
            f" (set DETECTRON2_DATASETS to the folder that holds {root.parent.name}/, or make it "
            "with `resnext-det dataset prepare`)"
        )
        raise UserError(
            f"{root}: {what}; it should hold one folder of images per class of data set "
            f"'{entry.name}'{hint if entry.published else ''}"
        )
    names = [folder.name for folder in class_folders(root)]
    samples = [
        (path, number) for number, name in enumerate(names) for path in images_in(root / name)
    ]
    counts = Counter(number for _, number in samples)
    check_against_manifest(root, {name: counts[number] for number, name in enumerate(names)})
    _check_headers([path for path, _ in spread(samples, training=training)], skip_broken)
    return ClassificationSet(entry, FolderImages(PackedList(samples)), tuple(names))


def class_folders(root: Path) -> list[Path]:
    """Returns the class folders of a set, sorted by name.

    Raises:
        UserError: there is none.
    """
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise UserError(f"{root}: no class folders in it; one subfolder per class is needed")
    return folders


def _check_headers(paths: Sequence[str], skip_broken: bool) -> None:
    first: BrokenImage | None = None
    for path in paths:
        try:
            read_header(path)
        except UnreadableImage as error:
            first = first or BrokenImage(path, str(error))
            if not skip_broken:
                raise too_many(first, 1, limit=0) from error
        else:
            if skip_broken:
                return
    if first:
        raise UserError(f"{first}; nor can any other image of the {len(paths)} looked at")


def images_in(folder: Path) -> Sequence[str]:
    """Returns the paths of the images below a class folder, sorted.

    Raises:
        UserError: there is none.
    """
    paths = sorted(str(p) for p in folder.rglob("*") if p.suffix.lower() in IMG_EXTENSIONS)
    if not paths:
        raise UserError(f"{folder}: no image in this class folder ({', '.join(IMG_EXTENSIONS)})")
    return paths
