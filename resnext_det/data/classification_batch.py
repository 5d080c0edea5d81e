"""A classifier's batch as the worker processes hand it out. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from resnext_det.data.image_draws import ColorDraws
from resnext_det.data.set_aside import BrokenImage
from resnext_det.data.views import View


@dataclass(frozen=True)
class EncodedView:
    """A view of a JPEG that is left to be decoded on the device.

    Attributes:
        name: what messages call the image.
        view: what of it is shown.
        fill: RGB colour of what a window shows beyond the resized part.
        file: the JPEG; in a batch, where all lie in one tensor, nothing.
        place: of the image in its batch.
        start: of the JPEG in the batch's `files`.
        stop: where it ends there.
    """

    name: str
    view: View
    fill: tuple[int, int, int]
    file: bytes = b""
    place: int = 0
    start: int = 0
    stop: int = 0


@dataclass(frozen=True)
class Sample:
    """One image as a worker makes it.

    Attributes:
        pixels: (V, S, S, 3) uint8, in the order of `INPUT.FORMAT`; any values where `encoded` is.
        label: its class number.
        index: its place in the data set.
        colors: what was drawn for its colours; None where nothing is.
        set_aside: broken images that were met before this one could be read.
        encoded: what the device makes the pixels of; None where they are there.
    """

    pixels: Tensor
    label: int
    index: int
    colors: ColorDraws | None = None
    set_aside: tuple[BrokenImage, ...] = ()
    encoded: EncodedView | None = None


@dataclass(frozen=True)
class ClassificationBatch:
    """N images with V pictures of each; V is 1 but for ten-crop.

    Attributes:
        images: (N * V, 3, S, S) uint8 in the order of `INPUT.FORMAT`, the pictures of an image one
            after another; channels lie next to each other in memory, as decoders write them.
        labels: (N,) int64.
        indices: (N,) int64, places in the data set.
        colors: what was drawn for the colours, (N, 3) each; None where nothing is.
        num_windows: V.
        set_aside: broken images that are not in the batch.
        encoded: what is still to be decoded, which the loader sees to.
        files: (B,) uint8, the files of `encoded` one after another: as many tensors would each
            take a file descriptor on their way between processes.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    colors: ColorDraws | None = None
    num_windows: int = 1
    set_aside: tuple[BrokenImage, ...] = ()
    encoded: tuple[EncodedView, ...] = ()
    files: Tensor | None = None

    def __len__(self) -> int:
        """Returns N."""
        return len(self.labels)

    def split(self, parts: int) -> list["ClassificationBatch"]:
        """Splits the batch into as many of equal size, in order, for the passes of an update."""
        size = len(self) // parts
        assert size * parts == len(self), "check_passes comes first"
        windows = self.num_windows
        return [
            self._select(
                slice(start, start + size), slice(start * windows, (start + size) * windows)
            )
            for start in range(0, len(self), size)
        ]

    def take(self, places: Sequence[int]) -> "ClassificationBatch":
        """Returns the batch of the images in these places, in this order."""
        rows = torch.tensor(places, dtype=torch.int64)
        pictures = rows[:, None] * self.num_windows + torch.arange(self.num_windows)
        return self._select(rows, pictures.flatten().to(self.images.device))

    def pin_memory(self) -> "ClassificationBatch":
        """Returns the batch in memory that a GPU can fetch by itself; the loader calls it."""
        return self._map(Tensor.pin_memory)

    def to(self, device: torch.device) -> "ClassificationBatch":
        """Returns the batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def _select(self, rows: slice | Tensor, pictures: slice | Tensor) -> "ClassificationBatch":
        assert not self.encoded, "the loader decodes first"
        return replace(
            self,
            images=self.images[pictures],
            labels=self.labels[rows],
            indices=self.indices[rows],
            colors=ColorDraws(*(draw[rows] for draw in self.colors)) if self.colors else None,
        )

    def _map(self, change: Any) -> "ClassificationBatch":
        return replace(
            self,
            images=change(self.images),
            labels=change(self.labels),
            indices=change(self.indices),
            colors=ColorDraws(*map(change, self.colors)) if self.colors else None,
        )


class ClassificationCollate:
    """Stacks samples into a batch; runs in the worker.

    torch's own stacking writes into memory that the processes share, so the pixels are not
    copied again on their way.
    """

    def __call__(self, samples: Sequence[Sample | BrokenImage]) -> ClassificationBatch:
        """Returns the batch of the samples, without those that are broken."""
        kept = [sample for sample in samples if isinstance(sample, Sample)]
        broken = [sample for sample in samples if isinstance(sample, BrokenImage)]
        met = [image for sample in kept for image in sample.set_aside]
        aside = (*broken, *met)
        if not kept:
            none = torch.zeros(0, dtype=torch.int64)
            return ClassificationBatch(
                torch.zeros(0, 3, 1, 1, dtype=torch.uint8), none, none, set_aside=aside
            )
        pixels = default_collate([sample.pixels for sample in kept])  # (N, V, S, S, 3)
        colors = None if kept[0].colors is None else default_collate([s.colors for s in kept])
        return ClassificationBatch(
            pixels.flatten(0, 1).permute(0, 3, 1, 2),
            torch.tensor([sample.label for sample in kept]),
            torch.tensor([sample.index for sample in kept]),
            colors,
            num_windows=pixels.shape[1],
            set_aside=aside,
            **_joined(kept),
        )


def _joined(samples: Sequence[Sample]) -> dict[str, Any]:
    """Returns `encoded` and `files` of a batch."""
    encoded, start = [], 0
    for place, sample in enumerate(samples):
        if sample.encoded:
            stop = start + len(sample.encoded.file)
            encoded.append(replace(sample.encoded, file=b"", place=place, start=start, stop=stop))
            start = stop
    if not encoded:
        return {}
    files = bytearray(b"".join(sample.encoded.file for sample in samples if sample.encoded))
    return {"encoded": tuple(encoded), "files": torch.frombuffer(files, dtype=torch.uint8)}
