"""A detector whose work for each size of image a GPU records once and replays. Portable.

At one image a fast GPU waits for Python, which issues more than a thousand small pieces of work.
A CUDA graph issues them as one. A size is recorded when it comes for the second time.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resnext_det.acceleration.batch_selection import select
from resnext_det.acceleration.detector import TrainedDetector
from resnext_det.acceleration.fixed_shapes import Predictions, anchors_of, predict
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.structures import Detections, DetectionSample

ROUNDS = 16
"""Rounds of the first stage's suppression in a recording; see `suppression.kept`."""
MOST_GRAPHS = 32
"""Recordings kept; the one unused for longest goes first."""


@dataclass(frozen=True)
class Batch:
    """Images as a recording reads them.

    Attributes:
        pixels: (N, 3, H, W) uint8; what is beyond an image's own size is not read.
        sizes: (N, 2) float32, rows and columns of each image.
    """

    pixels: Tensor
    sizes: Tensor


@dataclass(frozen=True)
class Recording:
    """A graph with what it reads and what it writes."""

    graph: "torch.cuda.CUDAGraph"
    batch: Batch
    found: Predictions


class RecordedDetector(TrainedDetector):
    """Finds what a model finds, but for rounding.

    Args:
        model: in evaluation mode on its device; changed afterwards, it has to be wrapped anew.
    """

    def __init__(self, model: FasterRCNN) -> None:
        super().__init__(model)
        self._recordings: OrderedDict[tuple[int, ...], Recording | None] = OrderedDict()
        self._anchors_of: dict[tuple[int, int], list[Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle() if torch.cuda.is_available() else None

    @torch.no_grad()
    def detect(self, samples: Sequence[DetectionSample]) -> list[Detections]:
        """Detections of each image; see `FasterRCNN.forward`."""
        batch = self._batch(samples)
        found = self._found(batch)
        if not bool(found.settled):
            found = self._run(batch, rounds=None)
        wholes = [[sample.height, sample.width] for sample in samples]
        heads = self.roi_heads
        return select(
            found,
            batch.sizes,
            torch.tensor(wholes, dtype=torch.float32).to(batch.sizes.device),
            score_thresh=heads.score_thresh,
            nms_thresh=heads.nms_thresh,
            topk=heads.detections_per_image,
        )

    def _found(self, batch: Batch) -> Predictions:
        if batch.pixels.device.type != "cuda":
            return self._run(batch, ROUNDS)
        shape = tuple(batch.pixels.shape)
        if shape not in self._recordings:
            self._recordings[shape] = None  # seen once
            return self._run(batch, ROUNDS)
        recording = self._recordings.pop(shape) or self._record(batch)
        self._recordings[shape] = recording
        self._forget()
        recording.batch.pixels.copy_(batch.pixels)
        recording.batch.sizes.copy_(batch.sizes)
        recording.graph.replay()
        return recording.found

    def _run(self, batch: Batch, rounds: int | None) -> Predictions:
        images = self._normalised(batch)
        return predict(self, images, batch.sizes, self._anchors(images.shape), rounds)

    def _anchors(self, shape: torch.Size) -> list[Tensor]:
        """Gives the anchors of a padded size, which stay: recordings read them."""
        size = (shape[-2], shape[-1])
        if size not in self._anchors_of:
            self._anchors_of[size] = anchors_of(self.proposal_generator, *size)
        return self._anchors_of[size]

    def _record(self, batch: Batch) -> Recording:
        kept = Batch(batch.pixels.clone(), batch.sizes.clone())
        self._on_side_stream(lambda: self._run(kept, ROUNDS))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            found = self._run(kept, ROUNDS)
        return Recording(graph, kept, found)

    def _on_side_stream(self, work: Callable[[], object]) -> None:
        """Runs once what is recorded next, as CUDA graphs ask for: libraries make their choices."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            work()
        torch.cuda.current_stream().wait_stream(stream)

    def _forget(self) -> None:
        while sum(r is not None for r in self._recordings.values()) > MOST_GRAPHS:
            oldest = next(shape for shape, r in self._recordings.items() if r is not None)
            del self._recordings[oldest]

    def _batch(self, samples: Sequence[DetectionSample]) -> Batch:
        device = self.pixel_mean.device
        sizes = [(s.image.shape[-2], s.image.shape[-1]) for s in samples]
        divisor = max(self.backbone.size_divisibility, 1)
        height, width = (-(-max(side) // divisor) * divisor for side in zip(*sizes, strict=True))
        pixels = torch.zeros(len(samples), 3, height, width, dtype=torch.uint8, device=device)
        for place, sample in enumerate(samples):
            rows, columns = sizes[place]
            pixels[place, :, :rows, :columns].copy_(sample.image, non_blocking=True)
        return Batch(pixels, torch.tensor(sizes, dtype=torch.float32).to(device))

    def _normalised(self, batch: Batch) -> Tensor:
        """Normalises, with zeros beyond each image: (N, 3, H, W) float32, channels last."""
        height, width = batch.pixels.shape[-2:]
        rows = torch.arange(height, device=batch.sizes.device)[None] < batch.sizes[:, :1]
        columns = torch.arange(width, device=batch.sizes.device)[None] < batch.sizes[:, 1:]
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        images = (batch.pixels - self.pixel_mean) / self.pixel_std
        return (images * inside).contiguous(memory_format=torch.channels_last)
