"""A detector whose work for each size of image a GPU records once and replays. Portable.

At one image a fast GPU waits for Python, which issues more than a thousand small pieces of work.
A CUDA graph issues them as one. A size is recorded when it comes for the second time.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from resnext_det.acceleration.batch_selection import Limits, select
from resnext_det.acceleration.detector import TrainedDetector
from resnext_det.acceleration.fixed_selection import Selection, select_among
from resnext_det.acceleration.fixed_shapes import Predictions, anchors_of, predict
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.structures import Detections, DetectionSample
from resnext_det.training.device import as_current

ROUNDS = 16
"""Rounds of either suppression in a recording; see `suppression.kept`."""
CANDIDATES = 1024
"""Boxes and classes of an image among which a recording selects; see `select_among`."""
MOST_GRAPHS = 32
"""Recordings kept; the one unused for longest goes first."""


@dataclass(frozen=True)
class Batch:
    """Images as a recording reads them.

    Attributes:
        pixels: (N, 3, H, W) uint8; what is beyond an image's own size is not read.
        sizes: (N, 2) float32, rows and columns of each image.
        whole_sizes: (N, 2) float32, rows and columns of each image on disk.
    """

    pixels: Tensor
    sizes: Tensor
    whole_sizes: Tensor


@dataclass(frozen=True)
class Answer:
    """What is found in a batch.

    Attributes:
        predictions: before the last selection.
        selection: the last.
        numbers: (2 + N,) int64: whether the predictions are right, whether the selection is, and
            how many boxes each image has; all that the host has to read.
    """

    predictions: Predictions
    selection: Selection
    numbers: Tensor


@dataclass(frozen=True)
class Recording:
    """A graph with what it reads and what it writes."""

    graph: "torch.cuda.CUDAGraph"
    batch: Batch
    answer: Answer


class RecordedDetector(TrainedDetector):
    """Finds what a model finds, but for rounding.

    Args:
        model: in evaluation mode on its device; changed afterwards, it has to be wrapped anew.
    """

    def __init__(self, model: FasterRCNN) -> None:
        super().__init__(model)
        self._recordings: OrderedDict[tuple[int, ...], Recording | None] = OrderedDict()
        self._anchors_of: dict[tuple[int, int], list[Tensor]] = {}
        with as_current(self.pixel_mean.device):
            self._pool = torch.cuda.graph_pool_handle() if torch.cuda.is_available() else None

    @torch.no_grad()
    def detect(self, samples: Sequence[DetectionSample]) -> list[Detections]:
        """Detections of each image; see `FasterRCNN.forward`."""
        with as_current(self.pixel_mean.device):
            return self._detect(self._batch(samples))

    def _detect(self, batch: Batch) -> list[Detections]:
        answer = self._answer(batch)
        settled, complete, *counts = answer.numbers.tolist()
        if settled and complete:
            return answer.selection.detections(counts)
        found = answer.predictions if settled else self._predict(batch, rounds=None)
        return select(found, batch.sizes, batch.whole_sizes, self._limits())

    def _answer(self, batch: Batch) -> Answer:
        if batch.pixels.device.type != "cuda":
            return self._run(batch)
        shape = tuple(batch.pixels.shape)
        if shape not in self._recordings:
            self._recordings[shape] = None  # seen once
            return self._run(batch)
        recording = self._recordings.pop(shape) or self._record(batch)
        self._recordings[shape] = recording
        self._forget()
        recording.batch.pixels.copy_(batch.pixels)
        recording.batch.sizes.copy_(batch.sizes)
        recording.batch.whole_sizes.copy_(batch.whole_sizes)
        recording.graph.replay()
        return recording.answer

    def _run(self, batch: Batch) -> Answer:
        """Answers without waiting for anything."""
        found = self._predict(batch, ROUNDS)
        selection = select_among(
            found,
            batch.sizes,
            batch.whole_sizes,
            self._limits(),
            candidates=CANDIDATES,
            rounds=ROUNDS,
        )
        right = torch.stack([found.settled, selection.complete])
        numbers = torch.cat([right.to(torch.int64), selection.counts])
        return Answer(found, selection, numbers)

    def _limits(self) -> Limits:
        heads = self.roi_heads
        return Limits(heads.score_thresh, heads.nms_thresh, heads.detections_per_image)

    def _predict(self, batch: Batch, rounds: int | None) -> Predictions:
        images = self._normalised(batch)
        return predict(self, images, batch.sizes, self._anchors(images.shape), rounds)

    def _anchors(self, shape: torch.Size) -> list[Tensor]:
        """Gives the anchors of a padded size, which stay: recordings read them."""
        size = (shape[-2], shape[-1])
        if size not in self._anchors_of:
            self._anchors_of[size] = anchors_of(self.proposal_generator, *size)
        return self._anchors_of[size]

    def _record(self, batch: Batch) -> Recording:
        kept = Batch(batch.pixels.clone(), batch.sizes.clone(), batch.whole_sizes.clone())
        self._on_side_stream(lambda: self._run(kept))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            answer = self._run(kept)
        return Recording(graph, kept, answer)

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
        both = [[*size, s.height, s.width] for size, s in zip(sizes, samples, strict=True)]
        numbers = torch.tensor(both, dtype=torch.float32).to(device)
        return Batch(pixels, numbers[:, :2], numbers[:, 2:])

    def _normalised(self, batch: Batch) -> Tensor:
        """Normalises, with zeros beyond each image: (N, 3, H, W) float32, channels last."""
        height, width = batch.pixels.shape[-2:]
        rows = torch.arange(height, device=batch.sizes.device)[None] < batch.sizes[:, :1]
        columns = torch.arange(width, device=batch.sizes.device)[None] < batch.sizes[:, 1:]
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        images = (batch.pixels - self.pixel_mean) / self.pixel_std
        return (images * inside).contiguous(memory_format=torch.channels_last)
