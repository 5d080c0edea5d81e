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
from resnext_det.data.set_aside import BrokenImage, SetAsideImages
from resnext_det.data.views import TestView
from resnext_det.errors import UserError

_MOST_IN_A_ROW = 64
"""Broken images one after another that end a run: so many are no blemish of a set."""


class ClassificationImages(Dataset[Sample | BrokenImage | Failed]):
    """Maps a `SampleKey` to its training sample, an index to its evaluation sample.

    In training, a broken image's place in the batch is taken by the next readable one in the
    order of the set, which in a folder is one of the same class, with the draws of that place;
    so batches stay full and a resumed run draws the same. In evaluation it leaves a gap.

    Args:
        images: the set's.
        mapper: makes the samples.
        skip_broken: whether broken images are set aside.
    """

    def __init__(
        self, images: ImageSource, mapper: ClassificationMapper, *, skip_broken: bool
    ) -> None:
        self._images = images
        self._mapper = mapper
        self._skip_broken = skip_broken

    def __getitem__(self, key: SampleKey | int) -> Sample | BrokenImage | Failed:
        try:
            return self._one(key, None) if isinstance(key, int) else self._next_readable(key)
        except UserError as error:
            return Failed(str(error))

    def _next_readable(self, key: SampleKey) -> Sample:
        broken: list[BrokenImage] = []
        for step in range(min(len(self._images), _MOST_IN_A_ROW)):
            sample = self._one((key.index + step) % len(self._images), key)
            if isinstance(sample, Sample):
                return replace(sample, set_aside=tuple(broken))
            broken.append(sample)
        name, reason = broken[0]
        raise UserError(
            f"{name}: cannot be read as an image ({reason}), and neither can the "
            f"{len(broken) - 1} image(s) after it"
        )

    def _one(self, index: int, key: SampleKey | None) -> Sample | BrokenImage:
        image = self._images.read(index)
        try:
            return self._mapper(image, index, key)
        except UnreadableImage as error:
            broken = BrokenImage(image.name, str(error))
            if self._skip_broken:
                return broken
            raise broken.refusal() from error


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
            UserError: a sample could not be made, the worker's own one-line message.
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
    images = ClassificationImages(
        dataset.images, mapper, skip_broken=cfg.INPUT.CLASSIFICATION.SKIP_BROKEN
    )
    loaded = make_batches(
        images,
        cfg.DATALOADER.NUM_WORKERS,
        batch_sampler=fetched_ahead(batches, dataset.images, processes=processes),
        collate=ClassificationCollate(),
        pin_memory=str(cfg.MODEL.DEVICE).startswith("cuda") and torch.cuda.is_available(),
    )
    decoder = build_device_decoder(cfg, fill_gaps=isinstance(batches, PlannedBatches))
    aside = SetAsideImages() if set_aside is None else set_aside
    return ClassificationBatches(loaded, aside, decoder)
