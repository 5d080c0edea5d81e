"""Loaders of classification data: uint8 batches from worker processes. Engine-neutral.

Colours, normalisation and mixing are the device's work (`classification/device_batch.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from resnext_det.data.classification_batch import (
    ClassificationBatch,
    ClassificationCollate,
    Sample,
)
from resnext_det.data.classification_mapper import ClassificationMapper, classification_mapper
from resnext_det.data.classification_set import ClassificationSet, ImageSource
from resnext_det.data.decoding import UnreadableImage
from resnext_det.data.device_decoding import DeviceDecoder, build_device_decoder
from resnext_det.data.fetch_ahead import fetched_ahead
from resnext_det.data.loaders import Batches, Failed, PlannedBatches, make_batches, run_seed
from resnext_det.data.samplers import BatchPlan, SampleKey, rank_chunk
from resnext_det.data.set_aside import BrokenImage, SetAsideImages, first_readable
from resnext_det.data.views import TestView
from resnext_det.errors import UserError


class ClassificationImages(Dataset[Sample | BrokenImage | Failed]):
    """Maps a `SampleKey` to its training sample, an index to its evaluation sample.

    In training, a broken image's place in the batch is taken by the next readable one in the
    order of the set, which in a folder is one of the same class, with the draws of that place;
    so batches stay full and a resumed run draws the same. In evaluation it leaves a gap.

    Args:
        images: the set's.
        mapper: makes the samples.
        limit: DATASETS.MAX_BROKEN_IMAGES.
    """

    def __init__(self, images: ImageSource, mapper: ClassificationMapper, limit: int) -> None:
        self._images = images
        self._mapper = mapper
        self._limit = limit

    def __getitem__(self, key: SampleKey | int) -> Sample | BrokenImage | Failed:
        try:
            return self._alone(key) if isinstance(key, int) else self._next_readable(key)
        except UserError as error:
            return Failed(str(error))

    def _next_readable(self, key: SampleKey) -> Sample:
        count = len(self._images)
        sample, broken = first_readable(
            ((key.index + step) % count for step in range(count)),
            lambda index: self._mapper(self._images.read(index), index, key),
            self._images.name,
            self._limit,
        )
        return replace(sample, set_aside=broken) if broken else sample

    def _alone(self, index: int) -> Sample | BrokenImage:
        try:
            return self._mapper(self._images.read(index), index, None)
        except UnreadableImage as error:
            return BrokenImage(self._images.name(index), str(error))


class ClassificationBatches:
    """Iterates over batches, and writes down which images were set aside.

    Args:
        batches: of the worker processes.
        set_aside: where they are written down.
        decoder: decodes what the workers left to the device; None where that is nothing.
    """

    def __init__(
        self,
        batches: Batches[ClassificationBatch],
        set_aside: SetAsideImages,
        decoder: DeviceDecoder | None = None,
    ) -> None:
        self._batches = batches
        self._set_aside = set_aside
        self._decoder = decoder

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[ClassificationBatch]:
        """Yields batches of at least one image.

        Raises:
            UserError: a sample could not be made, the worker's own one-line message; or too many
                images are broken.
        """
        for workers_batch in self._batches:
            batch = self._decoder.finish(workers_batch) if self._decoder else workers_batch
            self._set_aside.add(batch.set_aside)
            if len(batch):
                yield batch


def build_classification_train_loader(
    cfg: Any,
    dataset: ClassificationSet,
    *,
    start_iteration: int = 0,
    rank: int = 0,
    world_size: int = 1,
    seed: int | None = None,
    set_aside: SetAsideImages | None = None,
) -> ClassificationBatches:
    """Builds the training loader: one batch per iteration, always full.

    Args:
        cfg: the config tree; reads `INPUT.*`, `MODEL.PIXEL_MEAN`, `MODEL.DEVICE`,
            `DATALOADER.NUM_WORKERS`, `SOLVER.IMS_PER_BATCH`, `SOLVER.MAX_ITER`.
        dataset: the set.
        start_iteration: the iteration whose batch comes first.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share each batch.
        seed: the run's seed; `cfg.SEED` where it is None.
        set_aside: takes down broken images.
    """
    seed = run_seed(cfg, seed)
    plan = BatchPlan(len(dataset), cfg.SOLVER.IMS_PER_BATCH, seed, blocks=dataset.blocks)
    batches = PlannedBatches(plan, start_iteration, cfg.SOLVER.MAX_ITER, rank, world_size)
    return _finish(
        cfg, dataset, classification_mapper(cfg, seed), batches, set_aside, processes=world_size
    )


def build_classification_test_loader(
    cfg: Any,
    dataset: ClassificationSet,
    *,
    crop: tuple[int, int] | None = None,
    ten_crop: bool = False,
    rank: int = 0,
    world_size: int = 1,
    set_aside: SetAsideImages | None = None,
) -> ClassificationBatches:
    """Builds the evaluation loader; the ranks take contiguous shares, in order.

    Args:
        cfg: the config tree, as for training.
        dataset: the set.
        crop: (px of the short side, px of the crop); the config's where it is None.
        ten_crop: whether each image gives ten pictures (see `ClassificationBatch`); a batch then
            has as many fewer images.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share the images.
        set_aside: takes down broken images, which are left out.
    """
    given = cfg.INPUT.CLASSIFICATION
    view = TestView(*(crop or (given.RESIZE_TEST, given.TEST_CROP)), ten_crop=ten_crop)
    share = rank_chunk(len(dataset), rank, world_size)
    size = max(1, cfg.SOLVER.IMS_PER_BATCH // world_size // view.num_windows)
    batches = [list(share[i : i + size]) for i in range(0, len(share), size)]
    return _finish(cfg, dataset, classification_mapper(cfg, test=view), batches, set_aside)


def _finish(
    cfg: Any,
    dataset: ClassificationSet,
    mapper: ClassificationMapper,
    batches: Sampler[list[SampleKey]] | Sequence[list[int]],
    set_aside: SetAsideImages | None,
    *,
    processes: int = 1,
) -> ClassificationBatches:
    limit = cfg.DATASETS.MAX_BROKEN_IMAGES
    aside = SetAsideImages(limit) if set_aside is None else set_aside
    loaded = make_batches(
        cfg,
        ClassificationImages(dataset.images, mapper, limit),
        fetched_ahead(batches, dataset.images, processes=processes),
        aside,
        collate=ClassificationCollate(),
        pin_memory=str(cfg.MODEL.DEVICE).startswith("cuda") and torch.cuda.is_available(),
    )
    decoder = build_device_decoder(cfg, fill_gaps=isinstance(batches, PlannedBatches))
    return ClassificationBatches(loaded, aside, decoder)
