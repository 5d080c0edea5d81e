"""A classification set: encoded images with their classes, wherever they lie. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.packed import PackedList
from resnext_det.data.plain_files import file_faults, read_image_file


class EncodedImage(NamedTuple):
    """One image as it lies on disk or in a shard.

    Attributes:
        name: what messages call it: its path, or `SHARD: MEMBER`.
        data: the bytes of the image file, not decoded.
        label: its class number.
    """

    name: str
    data: bytes
    label: int


class ImageSource(Protocol):
    """The images of a set, by number. It is pickled once for each worker process."""

    def __len__(self) -> int:
        """Returns how many images there are."""
        ...

    def name(self, index: int) -> str:
        """Returns what messages call an image; reads no image."""
        ...

    def label(self, index: int) -> int:
        """Returns the class number of an image; reads no image."""
        ...

    def read(self, index: int) -> EncodedImage:
        """Reads the bytes of an image.

        Raises:
            UnreadableImage: it is no file that an image can be in.
            UserError: the file or shard is gone or cut off, or its server does not answer.
        """
        ...


@dataclass(frozen=True)
class ClassificationSet:
    """A classification set.

    Attributes:
        entry: where it lies.
        images: N images, class by class in a folder, shard by shard otherwise.
        class_names: the K names; an image's class number is a place in it.
        blocks: sizes of consecutive runs of images that are drawn from a few at a time, because
            a run has to be fetched first (a shard behind HTTP); they add up to N. Empty where
            any image can be read at any time.
    """

    entry: DatasetEntry
    images: ImageSource
    class_names: tuple[str, ...]
    blocks: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: Sequence[int]) -> "ClassificationSet":
        """Returns the set with these images only, in this order."""
        return replace(self, images=ChosenImages(self.images, tuple(indices)), blocks=())


@dataclass(frozen=True)
class FolderImages:
    """Image files.

    Attributes:
        samples: (path, class number) of each.
    """

    samples: PackedList[tuple[str, int]]

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, index: int) -> str:
        """Returns the path."""
        return self.samples[index][0]

    def label(self, index: int) -> int:
        """Returns the class number."""
        return self.samples[index][1]

    def read(self, index: int) -> EncodedImage:
        """Reads a file.

        Raises:
            UnreadableImage: it is no plain file, too large, or may not be read.
            UserError: it is missing, or its disk fails.
        """
        path, label = self.samples[index]
        with file_faults(path):
            return EncodedImage(path, read_image_file(path), label)


@dataclass(frozen=True)
class ChosenImages:
    """Some images of a source, in an order of their own."""

    source: ImageSource
    chosen: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.chosen)

    def name(self, index: int) -> str:
        """Returns what messages call an image."""
        return self.source.name(self.chosen[index])

    def label(self, index: int) -> int:
        """Returns the class number of an image."""
        return self.source.label(self.chosen[index])

    def read(self, index: int) -> EncodedImage:
        """Reads an image."""
        return self.source.read(self.chosen[index])
