"""ImageNet-1K from the tar files of ILSVRC2012, in one pass over each. Engine-neutral."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from resnext_det.data.manifest import SplitRecord
from resnext_det.data.preparing.archives import ForwardReader, check_archive, open_archive
from resnext_det.data.preparing.devkit import Devkit, read_devkit
from resnext_det.data.preparing.progress import bar
from resnext_det.data.preparing.published import (
    IMAGENET_DEVKIT,
    IMAGENET_TRAIN,
    IMAGENET_VAL,
    TRAIN_COUNTS,
    VAL_COUNTS,
    Expected,
    Published,
    check_counts,
    check_digest,
    check_size,
)
from resnext_det.data.preparing.split import (
    Outcome,
    SplitWork,
    already_prepared,
    check_space,
    folder_size,
    locked,
    sizes_of,
)
from resnext_det.data.preparing.tars import Member, members, read_member
from resnext_det.errors import UserError

KIND = "imagenet-1k"
LARGEST_IMAGE = 1 << 26
"""Bytes that an image may have; the largest of ILSVRC2012 has 16 MB."""
_WNID = re.compile(r"n\d{8}")
_VAL_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


@dataclass(frozen=True)
class Reference:
    """What the archives are held against.

    Attributes:
        train: the training archive as published; None to take any.
        val: the validation archive.
        devkit: the development kit.
        train_counts: images and classes of the training split; None to take any.
        val_counts: of the validation split.
    """

    train: Published | None = IMAGENET_TRAIN
    val: Published | None = IMAGENET_VAL
    devkit: Published | None = IMAGENET_DEVKIT
    train_counts: Expected | None = TRAIN_COUNTS
    val_counts: Expected | None = VAL_COUNTS

    def without_digests(self) -> "Reference":
        """Returns the counts alone."""
        return replace(self, train=None, val=None, devkit=None)


PUBLISHED = Reference()


def prepare_train(
    archive: Path,
    target: Path,
    *,
    devkit: Path | None = None,
    reference: Reference = PUBLISHED,
    digest: bool = True,
    command: str = "",
) -> Outcome:
    """Unpacks the training archive, a tar of one tar per class, into `TARGET/train/CLASS/`.

    An interrupted run goes on with the first class that was not whole.

    Args:
        archive: ILSVRC2012_img_train.tar.
        target: the folder of the set.
        devkit: ILSVRC2012_devkit_t12.tar.gz, to name the class where images are missing.
        reference: what is expected.
        digest: read all bytes for MD5 and SHA-256, also those of finished classes.
        command: the command line, for the manifest.

    Raises:
        UserError: the archive is another one, damaged or hostile; the disk is full; the target
            holds something else; images or classes are missing.
    """
    check_archive(archive)
    sources = sizes_of([archive])
    with locked(target):
        if record := already_prepared(target, "train", KIND, sources):
            return Outcome(record, fresh=False)
        check_size(archive, reference.train)
        expected = reference.train_counts
        if expected is not None and devkit is not None:
            kit = read_devkit(devkit, reference.devkit)
            expected = replace(expected, per_class=kit.train_images)
        work = SplitWork(target, "train", KIND, sources)
        finished = work.finished_parts()
        check_space(target, sources[archive] - sum(part["bytes"] for part in finished.values()))
        with (
            bar("train", sources[archive], in_bytes=True) as advance,
            open_archive(archive, digest=digest, advance=advance) as opened,
        ):
            counts = _unpack_classes(ForwardReader(opened.file, str(archive)), work, finished)
        check_digest(archive, opened.source, reference.train)
        check_counts(str(archive), counts, expected, "give the devkit too to name the classes")
        record = SplitRecord(KIND, dict(sorted(counts.items())), (opened.source,), command)
        work.finish(record)
    return Outcome(record, fresh=True)


def prepare_val(
    archive: Path,
    devkit: Path,
    target: Path,
    *,
    reference: Reference = PUBLISHED,
    digest: bool = True,
    command: str = "",
) -> Outcome:
    """Unpacks the validation archive into `TARGET/val/CLASS/`, with the labels of the kit.

    An interrupted run goes on with the first image that was not whole.

    Args:
        archive: ILSVRC2012_img_val.tar.
        devkit: ILSVRC2012_devkit_t12.tar.gz.
        target: the folder of the set.
        reference: what is expected.
        digest: compute MD5 and SHA-256 of the archive.
        command: the command line, for the manifest.

    Raises:
        UserError: as for the training archive.
    """
    for path in (archive, devkit):
        check_archive(path)
    sources = sizes_of([archive, devkit])
    with locked(target):
        if record := already_prepared(target, "val", KIND, sources):
            return Outcome(record, fresh=False)
        check_size(archive, reference.val)
        kit = read_devkit(devkit, reference.devkit)
        work = SplitWork(target, "val", KIND, sources)
        done = sum((folder_size(f) or (0, 0))[1] for f in work.partial.glob("n*"))
        check_space(target, sources[archive] - done)
        with (
            bar("val", sources[archive], in_bytes=True) as advance,
            open_archive(archive, digest=digest, advance=advance) as opened,
        ):
            counts = _unpack_val(ForwardReader(opened.file, str(archive)), work.partial, kit)
        check_digest(archive, opened.source, reference.val)
        check_counts(str(archive), counts, reference.val_counts)
        record = SplitRecord(KIND, counts, (opened.source, kit.source), command)
        work.finish(record)
    return Outcome(record, fresh=True)


def unpack_images(reader: ForwardReader, folder: Path) -> tuple[int, int]:
    """Writes the images of a class archive into a folder.

    Returns:
        How many, and their bytes.

    Raises:
        UserError: a member is no image; see `members`.
    """
    images = size = 0
    for member in members(reader, largest=LARGEST_IMAGE):
        _check_image(member, reader.name)
        try:
            with open(folder / member.name, "xb") as file:
                file.write(read_member(reader, member))
        except FileExistsError as error:  # in two folders, or where case does not matter
            raise UserError(f"{reader.name}: '{member.name}' is in it twice") from error
        images += 1
        size += member.size
    return images, size


def _unpack_classes(reader: ForwardReader, work: SplitWork, finished: dict) -> Counter[str]:
    counts: Counter[str] = Counter()
    for member in members(reader, largest=1 << 40):
        wnid = member.name.removesuffix(".tar")
        if not (_WNID.fullmatch(wnid) and member.name.endswith(".tar")):
            raise UserError(f"{reader.name}: {_not_a_class(member.name)}")
        if wnid in finished:
            counts[wnid] = finished[wnid]["images"]
            continue
        with work.class_folder(wnid) as folder:
            inner = ForwardReader(reader, f"{reader.name}: {member.name}", member.size)
            counts[wnid], size = unpack_images(inner, folder)
        work.journal.add(wnid, images=counts[wnid], bytes=size)
    return counts


def _unpack_val(reader: ForwardReader, partial: Path, kit: Devkit) -> dict[str, int]:
    for wnid in kit.train_images:
        (partial / wnid).mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    for member in members(reader, largest=LARGEST_IMAGE):
        named = _VAL_NAME.fullmatch(member.name)
        if named is None:
            raise UserError(f"{reader.name}: {_not_a_val_image(member.name)}")
        place = int(named[1]) - 1
        if not 0 <= place < len(kit.val_classes):
            raise UserError(
                f"{reader.name}: '{member.name}': the devkit has {len(kit.val_classes):,} labels"
            )
        wnid = kit.val_classes[place]
        _write_again(partial / wnid / member.name, reader, member)
        counts[wnid] += 1
    return dict(sorted(counts.items()))


def _write_again(path: Path, reader: ForwardReader, member: Member) -> None:
    """Writes an image, if an interrupted run has not done so: a file of the right size is whole."""
    if path.exists() and path.stat().st_size == member.size:
        return
    path.write_bytes(read_member(reader, member))


def _check_image(member: Member, archive: str) -> None:
    if not member.name.lower().endswith(IMG_EXTENSIONS):
        raise UserError(f"{archive}: '{member.name}' is no image ({', '.join(IMG_EXTENSIONS)})")


def _not_a_class(name: str) -> str:
    if _VAL_NAME.fullmatch(name):
        return f"holds '{name}': it is the validation archive; give it as --val"
    if name.startswith("ILSVRC2012_test"):
        return f"holds '{name}': it is the test archive, which has no labels"
    return f"holds '{name}', no class archive such as n01440764.tar"


def _not_a_val_image(name: str) -> str:
    if name.endswith(".tar"):
        return f"holds '{name}': it is the training archive; give it as --train"
    if name.startswith("ILSVRC2012_test"):
        return f"holds '{name}': it is the test archive, which has no labels"
    return f"holds '{name}', not validation images such as ILSVRC2012_val_00000001.JPEG"
