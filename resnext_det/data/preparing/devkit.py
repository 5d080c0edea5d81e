"""ILSVRC2012's development kit: its 1,000 classes and the validation labels. Engine-neutral."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.data.manifest import SourceFile
from resnext_det.data.preparing.archives import ForwardReader, GzipSource, open_archive
from resnext_det.data.preparing.published import (
    IMAGENET_DEVKIT,
    Published,
    check_digest,
)
from resnext_det.data.preparing.tars import members, read_member
from resnext_det.errors import UserError

_META = "meta.mat"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_LARGEST = 1 << 25  # bytes of a member; the whole kit is 2.5 MB, packed


@dataclass(frozen=True)
class Devkit:
    """What the kit says.

    Attributes:
        source: the archive, digested.
        train_images: WordNet id -> images that the class has for training, per class.
        val_classes: the WordNet id of each validation image, in the order of their numbers.
    """

    source: SourceFile
    train_images: dict[str, int]
    val_classes: tuple[str, ...]


def read_devkit(path: Path, published: Published | None = IMAGENET_DEVKIT) -> Devkit:
    """Reads the kit.

    Args:
        path: ILSVRC2012_devkit_t12.tar.gz.
        published: its digest; None to take any.

    Raises:
        UserError: it is another archive, of another year, or damaged.
    """
    found: dict[str, bytes] = {}
    with open_archive(path, digest=True) as opened:
        reader = ForwardReader(GzipSource(opened.file, str(path)), str(path))
        for member in members(reader, largest=_LARGEST):
            if member.name in (_META, _TRUTH) and member.folder.endswith("data"):
                found[member.name] = read_member(reader, member)
    for name in (_META, _TRUTH):
        if name not in found:
            raise UserError(
                f"{path}: no data/{name} in it: the kit of 2012, {IMAGENET_DEVKIT.name}, is needed"
            )
    check_digest(path, opened.source, published)
    numbers, train_images = _synsets(found[_META], path)
    return Devkit(opened.source, train_images, _truth(found[_TRUTH], numbers, path))


def _synsets(data: bytes, path: Path) -> tuple[dict[int, str], dict[str, int]]:
    """Returns class number -> WordNet id, and WordNet id -> training images, of the leaf classes.

    meta.mat has a struct array "synsets" of ILSVRC2012_ID, WNID, words, gloss, num_children,
    children, wordnet_height, num_train_images (readme.txt of the kit); the classes are those
    without children.
    """
    from scipy.io import loadmat  # 0.3 s, only for who asks

    try:
        synsets: Any = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"]
        leaves = [row for row in synsets if int(row["num_children"]) == 0]
        numbers = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
        return numbers, {str(row["WNID"]): int(row["num_train_images"]) for row in leaves}
    # scipy's reader raises whatever the damage makes it stumble on.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: data/{_META} cannot be read ({reason})") from error


def _truth(data: bytes, numbers: dict[int, str], path: Path) -> tuple[str, ...]:
    try:
        return tuple(numbers[int(line)] for line in data.split())
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: data/{_TRUTH}: {error} is no class number") from error
