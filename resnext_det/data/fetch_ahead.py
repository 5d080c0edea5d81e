"""Shards fetched before the batches that need them. Engine-neutral.

A thread of the process that hands out the batches walks ahead of them and fetches the shards of
what it meets, in that order. Worker processes find them in the cache; a shard that is not there yet
they fetch themselves, so the thread changes when a shard comes, never which images do.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch.utils.data import Sampler

from resnext_det.data.class_alignment import RelabelledImages
from resnext_det.data.classification_set import ImageSource
from resnext_det.data.samplers import SampleKey
from resnext_det.data.shard_cache import RemotePlace
from resnext_det.data.shards import ShardImages
from resnext_det.errors import UserError

AHEAD_SHARDS = 4
"""How many shards are in the cache, or on their way to it, before the first of their images is
asked for. A bounded cache holds these beside the blocks that a run has open at a time."""

_Key = SampleKey | int
_Batches = Sampler[list[SampleKey]] | Sequence[list[int]]


def fetched_ahead(batches: _Batches, images: ImageSource, *, processes: int = 1) -> Any:
    """Returns the same batches, before which the shards of a server are fetched.

    Args:
        batches: this process's, of keys or of indices; can be iterated more than once.
        images: what they are drawn from; where nothing has to be fetched, the batches are
            returned as they are.
        processes: how many share the images of each batch.
    """
    if isinstance(images, RelabelledImages):
        images = images.source
    if isinstance(images, ShardImages) and isinstance(images.place, RemotePlace):
        largest = max(shard.samples for shard in images.shards)
        return FetchedAhead(batches, images, max(1, AHEAD_SHARDS * largest // processes))
    return batches


class FetchedAhead(Sampler[list[Any]]):
    """Batches whose shards are fetched ahead.

    Args:
        batches: lists of keys or indices.
        images: on a server.
        ahead: how many images the thread may be ahead.
    """

    def __init__(self, batches: _Batches, images: ShardImages, ahead: int) -> None:
        self._batches, self._images, self._ahead = batches, images, ahead
        self.walker: _Walker | None = None

    def __len__(self) -> int:
        return len(self._batches)  # pyright: ignore[reportArgumentType]: PlannedBatches has one

    def __iter__(self) -> Iterator[list[Any]]:
        """Yields the batches; the thread starts with the first, when workers have been forked."""
        walker = self.walker = _Walker(self._batches, self._images, self._ahead)
        walker.start()
        try:
            for batch in self._batches:
                yield batch
                walker.pass_on(len(batch))
        finally:
            walker.stop()


class _Walker(threading.Thread):
    """Walks ahead of the batches and fetches."""

    def __init__(self, batches: Iterable[list[Any]], images: ShardImages, ahead: int) -> None:
        super().__init__(name="fetch-ahead", daemon=True)
        self._batches, self._images = batches, images
        self._room = threading.Condition()
        self._left = ahead  # images that it may still go on
        self._stopped = False

    def pass_on(self, count: int) -> None:
        """Lets the walker go on by so many images: the run has asked for them."""
        with self._room:
            self._left += count
            self._room.notify()

    def stop(self) -> None:
        """Ends the walk, after the file it is at."""
        with self._room:
            self._stopped = True
            self._room.notify()

    def run(self) -> None:
        """Walks until the end, a stop, or a fault, which the run itself meets and reports."""
        for batch in self._batches:
            with self._room:
                self._room.wait_for(lambda: self._left > 0 or self._stopped)
                if self._stopped:
                    return
                self._left -= len(batch)
            try:
                self._images.fetch(_index(key) for key in batch)
            except UserError as error:
                logging.getLogger(__name__).debug("Fetching ahead has ended: %s", error)
                return


def _index(key: _Key) -> int:
    return key.index if isinstance(key, SampleKey) else key
