"""Which image is trained on when: a pure function of (seed, iteration). Engine-neutral.

Detectron2's sampler starts its permutation anew on resume, and its aspect-ratio grouping
holds a buffer. Here any iteration's batch is computed from scratch, so that a resumed run
sees what the uninterrupted one would have seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed

_ORDER_STREAM = (0, 0, 1)
"""Keeps the order's seeds apart from those of (iteration, position); zeros alone would not."""
_STAND_IN_STREAM = 2
"""Keeps their seeds apart from those of an image's augmentation and its sampling, 1."""
OPEN_BLOCKS = 8
"""Blocks of images that are drawn from at a time."""


@dataclass(frozen=True)
class SampleKey:
    """One sample of a run.

    Attributes:
        iteration: the iteration that trains on it.
        position: its place in the batch over all GPUs; its random draws are seeded from
            (seed, iteration, position), whatever the number of GPUs.
        index: which image.
    """

    iteration: int
    position: int
    index: int


class BatchPlan:
    """The batches of an endless run.

    Every epoch is a new permutation of all images, and epochs follow each other without a
    gap. Without groups, batch i is the i-th run of `batch_size` images of that stream.
    With groups, each image goes, in the order of the stream, to its group's waiting row,
    and a batch leaves when a row is full: batches hold one group only, no image is left
    out, and what waits at the end of an epoch (fewer than `batch_size` images per group)
    leaves first in the next. This is Detectron2's grouping, computed instead of stored.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        seed: int,
        groups: Sequence[int] | NDArray[np.integer] | None = None,
        blocks: Sequence[int] = (),
    ) -> None:
        """Plans, without drawing anything yet.

        Args:
            num_images: N > 0.
            batch_size: images per iteration over all GPUs.
            seed: the run's seed, >= 0.
            groups: (N,) group number of each image, 0 … G-1; None for one group.
            blocks: sizes of consecutive runs of images, which add up to N; empty where the images
                can be read in any order. An epoch then takes the blocks in random order and draws
                from about `OPEN_BLOCKS` of them at a time: a block's images fall evenly into
                the time that it is open, and the blocks open one after another.
        """
        assert num_images > 0
        assert batch_size > 0
        assert seed >= 0
        self.batch_size = batch_size
        self._seed = seed
        self._groups = np.zeros(num_images, np.int64) if groups is None else np.asarray(groups)
        assert len(self._groups) == num_images
        assert not blocks or sum(blocks) == num_images
        self._blocks = np.asarray(blocks, np.int64)
        self._counts = np.bincount(self._groups)
        # Two epochs suffice: a batch spans more only when a group is smaller than a batch.
        self._members = lru_cache(maxsize=4)(self._draw_members)
        self._leavings = lru_cache(maxsize=2)(self._find_leavings)

    def batch(self, iteration: int) -> list[SampleKey]:
        """Returns the whole batch of an iteration, over all GPUs."""
        group, number = self._locate(iteration)
        count, size = int(self._counts[group]), self.batch_size
        places = range(number * size, (number + 1) * size)
        return [
            SampleKey(iteration, position, int(self._members(place // count)[group][place % count]))
            for position, place in enumerate(places)
        ]

    def batches(
        self, start_iter: int, max_iter: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[list[SampleKey]]:
        """Yields one rank's part of each batch, from `start_iter` to before `max_iter`.

        Raises:
            UserError: the batch cannot be divided among the ranks.
        """
        if self.batch_size % world_size:
            raise UserError(
                f"SOLVER.IMS_PER_BATCH {self.batch_size} cannot be divided among {world_size} GPUs"
            )
        share = self.batch_size // world_size
        for iteration in range(start_iter, max_iter):
            yield self.batch(iteration)[rank * share : (rank + 1) * share]

    def _draw_members(self, epoch: int) -> tuple[NDArray[np.integer], ...]:
        """Returns each group's images in the order of the epoch's permutation."""
        order = self._permutation(epoch)
        return tuple(order[self._groups[order] == group] for group in range(len(self._counts)))

    def _permutation(self, epoch: int) -> NDArray[np.integer]:
        random = np.random.RandomState(derive_seed(self._seed, epoch, *_ORDER_STREAM))
        if not len(self._blocks):
            return random.permutation(len(self._groups))
        # The block in place p of the order is open from time p to p + OPEN_BLOCKS.
        opened = np.repeat(random.permutation(len(self._blocks)), self._blocks)  # (N,)
        return np.argsort(opened + OPEN_BLOCKS * random.uniform(size=len(opened)))

    def _left_before(self, epoch: int) -> int:
        """Returns how many batches are full before an epoch starts."""
        return int((epoch * self._counts // self.batch_size).sum())

    def _locate(self, iteration: int) -> tuple[int, int]:
        """Returns the group of a batch and its number within that group."""
        if len(self._counts) == 1:
            return 0, iteration
        # No epoch lets more than N / batch_size + G batches leave, so this starts at or
        # before the right epoch and steps over at most a few.
        epoch = max(0, iteration * self.batch_size // len(self._groups))
        while epoch and self._left_before(epoch) > iteration:
            epoch -= 1
        while self._left_before(epoch + 1) <= iteration:
            epoch += 1
        leaving, numbers = self._leavings(epoch)
        offset = iteration - self._left_before(epoch)
        return int(leaving[offset]), int(numbers[offset])

    def _find_leavings(self, epoch: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Returns, for the batches that leave in an epoch, their groups and numbers."""
        arriving = self._groups[self._permutation(epoch)]
        leaves = np.zeros(len(arriving), dtype=np.bool_)
        numbers = np.zeros(len(arriving), dtype=np.int64)
        for group, count in enumerate(self._counts.tolist()):
            places = np.flatnonzero(arriving == group)
            arrived = epoch * count + np.arange(1, len(places) + 1)
            leaves[places] = arrived % self.batch_size == 0
            numbers[places] = arrived // self.batch_size - 1
        return arriving[leaves], numbers[leaves]


class StandIns:
    """Which images take the place of a broken one, in which order.

    It depends on the seed and on the iteration and position of the place, so that a resumed run,
    or one of another number of processes, puts the same image there.

    Args:
        seed: the run's seed, >= 0.
        groups: (N,) group number of each image; those of the same group come first.
    """

    def __init__(self, seed: int, groups: NDArray[np.integer]) -> None:
        self._seed = seed
        self._groups = groups

    def __call__(self, key: SampleKey) -> Iterator[int]:
        """Yields every other image once."""
        seed = derive_seed(self._seed, key.iteration, key.position, _STAND_IN_STREAM)
        order = np.random.RandomState(seed).permutation(len(self._groups))
        is_alike = self._groups[order] == self._groups[key.index]
        for index in np.concatenate([order[is_alike], order[~is_alike]]).tolist():
            if index != key.index:
                yield index


def aspect_groups(widths: Sequence[int], heights: Sequence[int]) -> NDArray[np.int64]:
    """Returns (N,) group numbers: 0 for landscape images, 1 for the others."""
    return (np.asarray(widths) <= np.asarray(heights)).astype(np.int64)


def rank_chunk(total: int, rank: int, world_size: int) -> range:
    """Returns the contiguous share of `range(total)` that a rank evaluates.

    Shares differ by at most one and together cover everything once, in order.
    """
    share, rest = divmod(total, world_size)
    start = rank * share + min(rank, rest)
    return range(start, start + share + (1 if rank < rest else 0))
