"""Sizes, digests and counts of the published archives. Engine-neutral.

MD5 sums are the publishers' own: image-net.org for ILSVRC2012, www.cs.toronto.edu/~kriz/cifar.html
for CIFAR; torchvision.datasets has the same. Sizes are those of the files they belong to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resnext_det.data.manifest import SourceFile
from resnext_det.errors import UserError


@dataclass(frozen=True)
class Published:
    """An archive as published.

    Attributes:
        name: its file name.
        md5: hexadecimal.
        size: bytes; None where it is not known.
    """

    name: str
    md5: str
    size: int | None = None


@dataclass(frozen=True)
class Expected:
    """How much a split has.

    Attributes:
        images: in all.
        classes: how many.
        per_class: class -> images, where it is known.
    """

    images: int
    classes: int
    per_class: Mapping[str, int] | None = None


IMAGENET_TRAIN = Published(
    "ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e", 147_897_477_120
)
IMAGENET_VAL = Published(
    "ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622", 6_744_924_160
)
IMAGENET_DEVKIT = Published("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf")
IMAGENET_ARCHIVES = {"train": IMAGENET_TRAIN, "val": IMAGENET_VAL, "devkit": IMAGENET_DEVKIT}
"""Option of `dataset prepare imagenet-1k` -> what it names."""
CIFAR10_PYTHON = Published(
    "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", 170_498_071
)
CIFAR10_BINARY = Published(
    "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171
)
CIFAR100_PYTHON = Published(
    "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", 169_001_437
)
CIFAR100_BINARY = Published(
    "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733
)
ALL = (
    IMAGENET_TRAIN,
    IMAGENET_VAL,
    IMAGENET_DEVKIT,
    CIFAR10_PYTHON,
    CIFAR10_BINARY,
    CIFAR100_PYTHON,
    CIFAR100_BINARY,
)

# The files that the Python versions unpack to; torchvision.datasets.CIFAR10 and CIFAR100 have them.
CIFAR_FILES: Mapping[str, str] = {
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "meta": "7973b15100ade9c7d40fb424638fde48",
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
}

TRAIN_COUNTS = Expected(1_281_167, 1000)  # ILSVRC2012's own figures
VAL_COUNTS = Expected(50_000, 1000)
IMAGENET_5K_IMAGES = 6_800_000  # of 5,000 classes; ResNeXt paper, Section 5.2: "6.8 million"


def check_size(path: Path, published: Published | None) -> None:
    """Checks the size of an archive, which finds most broken downloads before they are read.

    Args:
        path: the file.
        published: what it should be; None to take any.

    Raises:
        UserError: it has another size.
    """
    size = path.stat().st_size
    if published is None or published.size in (None, size):
        return
    other = next((known.name for known in ALL if known.size == size), None)
    what = f"that is the size of {other}" if other else "cut off, or another archive"
    raise UserError(
        f"{path}: {size:,} bytes, but {published.name} has {published.size:,}: {what} (--no-digest "
        "takes it as it is)"
    )


def check_digest(path: Path, source: SourceFile, published: Published | None) -> None:
    """Checks the MD5 sum of an archive, where it was computed.

    Raises:
        UserError: it is not the published one.
    """
    if published is not None and source.md5 not in (None, published.md5):
        raise UserError(
            f"{path}: MD5 {source.md5}, but {published.name} has {published.md5}: a damaged "
            "download, or another archive (--no-digest takes it as it is)"
        )


def check_counts(
    what: str,
    counts: Mapping[str, int],
    expected: Expected | None,
    unnamed: str = "it is cut short, or another set",
) -> None:
    """Checks what was found against what was published.

    Args:
        what: names the split in messages.
        counts: class -> images.
        expected: None to take any.
        unnamed: what to do where it is not known which ones.

    Raises:
        UserError: classes or images are missing, or there are too many.
    """
    if expected is None:
        return
    total = sum(counts.values())
    wrong = wrong_classes(counts, expected.per_class or {})
    if (len(counts), total) == (expected.classes, expected.images) and not wrong:
        return
    named = f"{', '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}"
    raise UserError(
        f"{what}: {total:,} images of {len(counts):,} classes, but {expected.images:,} of "
        f"{expected.classes:,} were published; {named or unnamed}"
    )


def wrong_classes(counts: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    """Returns "class has N, not M images" for each class that differs, sorted."""
    if not expected:
        return []
    names = sorted({*counts, *expected})
    return [
        f"{name} has {counts.get(name, 0):,}, not {expected.get(name, 0):,}"
        for name in names
        if counts.get(name, 0) != expected.get(name, 0)
    ]
