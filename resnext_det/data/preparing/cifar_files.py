"""CIFAR's batch files, of the Python and of the binary version, as arrays. Engine-neutral.

The Python version's batches are pickles of Python 2 and NumPy 1; nothing in them is executed. Both
versions have an image as 3,072 bytes: 1,024 red, then green, then blue, each row by row
(www.cs.toronto.edu/~kriz/cifar.html).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.preparing.tars import is_plain
from resnext_det.errors import UserError
from resnext_det.inert_pickle.machine import read_inert_pickle

SIZE = 32  # pixels
_BYTES = 3 * SIZE * SIZE
_NO_BATCH = "is no batch of CIFAR"


@dataclass(frozen=True)
class Layout:
    """Where a version of a set keeps what.

    Attributes:
        train: the files of the training images, in order.
        test: those of the test images.
        names: the file of the class names.
        names_key: their key in that file; "" where it has one name a line.
        labels_key: the key of the class numbers in a batch; "" in binary batches.
        label_bytes: bytes before an image in binary batches; the last of them is the class.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    names_key: str = ""
    labels_key: str = ""
    label_bytes: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is needed."""
        return (self.names, *self.train, *self.test)


@dataclass(frozen=True)
class Batch:
    """Images with their classes.

    Attributes:
        images: (N, 32, 32, 3) uint8, RGB.
        labels: (N,) int64, from 0.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


_PYTHON_10 = tuple(f"data_batch_{number}" for number in range(1, 6))
LAYOUTS: Mapping[str, tuple[Layout, Layout]] = {
    "cifar10": (
        Layout(_PYTHON_10, ("test_batch",), "batches.meta", "label_names", "labels"),
        Layout(
            tuple(f"{name}.bin" for name in _PYTHON_10),
            ("test_batch.bin",),
            "batches.meta.txt",
            label_bytes=1,
        ),
    ),
    "cifar100": (
        Layout(("train",), ("test",), "meta", "fine_label_names", "fine_labels"),
        Layout(("train.bin",), ("test.bin",), "fine_label_names.txt", label_bytes=2),
    ),
}


def read_batch(data: bytes, name: str, layout: Layout) -> Batch:
    """Reads a batch.

    Args:
        data: the file.
        name: what messages call it.
        layout: of its version.

    Raises:
        UserError: it is damaged, hostile or no batch.
    """
    return (
        _read_python(data, name, layout) if layout.labels_key else _read_binary(data, name, layout)
    )


def read_names(data: bytes, name: str, layout: Layout) -> tuple[str, ...]:
    """Reads the class names, in the order of the class numbers.

    Raises:
        UserError: it is damaged or hostile, or one could not be the name of a folder.
    """
    if layout.names_key:
        content = read_inert_pickle(data, name)
        found = content.get(layout.names_key.encode()) if isinstance(content, dict) else None
        names = [item.decode("latin-1") for item in found or () if isinstance(item, bytes)]
    else:
        names = data.decode("latin-1").split()
    if not names or len(set(names)) != len(names):
        raise UserError(f"{name}: has no class names, or one twice")
    for item in names:
        if not is_plain(item):
            raise UserError(f"{name}: {item[:40]!r} cannot be the name of a class folder")
    return tuple(names)


def check_labels(batch: Batch, classes: int, name: str) -> None:
    """Checks that each image has one of the classes.

    Raises:
        UserError: one has not.
    """
    if batch.labels.size and not 0 <= batch.labels.min() <= batch.labels.max() < classes:
        raise UserError(f"{name}: class {batch.labels.max()}, but there are {classes} names")


def _read_python(data: bytes, name: str, layout: Layout) -> Batch:
    content = read_inert_pickle(data, name)
    pixels = content.get(b"data") if isinstance(content, dict) else None
    labels = content.get(layout.labels_key.encode()) if isinstance(content, dict) else None
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise UserError(f"{name}: {_NO_BATCH}: no b'data' and b'{layout.labels_key}' in it")
    fits = pixels.dtype == np.uint8 and pixels.shape == (len(labels), _BYTES)
    if not fits or not all(type(label) is int for label in labels):
        raise UserError(
            f"{name}: {_NO_BATCH}: {pixels.dtype} {pixels.shape} for {len(labels):,} class numbers"
        )
    return Batch(_pixels(pixels), np.array(labels, np.int64))


def _read_binary(data: bytes, name: str, layout: Layout) -> Batch:
    record = layout.label_bytes + _BYTES
    if not data or len(data) % record:
        raise UserError(f"{name}: {len(data):,} bytes are no whole images of {record:,}: cut off?")
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = rows[:, layout.label_bytes - 1].astype(np.int64)
    return Batch(_pixels(rows[:, layout.label_bytes :]), labels)


def _pixels(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # (N, 3072) -> (N, 3, 32, 32) -> (N, 32, 32, 3)
    return rows.reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1)


def find_layout(kind: str, names: set[str], source: Path) -> Layout:
    """Returns the version that these files are of.

    Args:
        kind: cifar10 or cifar100.
        names: the files that were found.
        source: where, for messages.

    Raises:
        UserError: they are of no version of this set, or some are missing.
    """
    layout = max(LAYOUTS[kind], key=lambda known: len(names & set(known.files)))
    missing = [file for file in layout.files if file not in names]
    if not missing:
        return layout
    other = next((k for k in LAYOUTS if any(names >= set(x.files) for x in LAYOUTS[k])), None)
    if other is not None:
        raise UserError(f"{source}: holds {other}, not {kind}")
    raise UserError(f"{source}: {', '.join(missing)} missing: not {kind}, or cut off")
