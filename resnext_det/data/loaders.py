"""Loaders that hand a detector its batches from worker processes. Engine-neutral."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from resnext_det.data.coco import CocoDataset, CocoRecord
from resnext_det.data.mapper import mapper_from_config
from resnext_det.data.needs import needs_of
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.packed import PackedList
from resnext_det.data.samplers import BatchPlan, SampleKey, StandIns, aspect_groups, rank_chunk
from resnext_det.data.set_aside import BrokenImage, SetAsideImages, first_readable
from resnext_det.data.worker_endings import quiet_worker
from resnext_det.data.worker_signals import deaf_worker, listens
from resnext_det.errors import UserError

Record = TypeVar("Record", bound="Named")
RecordOut = TypeVar("RecordOut", covariant=True)
Sample = TypeVar("Sample")
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Failed:
    """What a worker sends in place of a sample it could not make.

    An exception would reach the main process wrapped in the worker's traceback.
    """

    message: str


@dataclass(frozen=True)
class Spared(Generic[Sample]):
    """What a worker sends where it met broken images; so for a sample, and for a batch.

    Attributes:
        content: what it could read instead, or beside them; None where that is nothing.
        broken: the broken images.
    """

    content: Sample | None
    broken: tuple[BrokenImage, ...]


class Named(Protocol):
    """A record of an image."""

    @property
    def file_name(self) -> str:
        """Path of the image."""
        ...


class Records(Protocol[RecordOut]):
    """Records by number, such as a `PackedList`."""

    def __getitem__(self, index: int, /) -> RecordOut: ...


class TrainDataset(Dataset[Sample | Spared[Sample] | Failed], Generic[Record, Sample]):
    """Maps a `SampleKey` to its training sample.

    Args:
        records: of the images.
        mapper: makes a sample; raises UnreadableImage where the image is broken.
        stand_ins: which images are tried in the place of a broken one; None leaves it out.
        limit: DATASETS.MAX_BROKEN_IMAGES.
    """

    def __init__(
        self,
        records: Records[Record],
        mapper: Callable[[Record, SampleKey | None], Sample],
        stand_ins: StandIns | None = None,
        limit: int = 0,
    ) -> None:
        self._records = records
        self._mapper = mapper
        self._stand_ins = stand_ins
        self._limit = limit

    def __getitem__(self, key: SampleKey) -> Sample | Spared[Sample] | Failed:
        try:
            if self._stand_ins is None:
                return self._made(self._records[key.index], key)
            places = chain((key.index,), self._stand_ins(key))
            sample, broken = first_readable(
                places,
                lambda place: self._mapper(self._records[place], key),
                lambda place: self._records[place].file_name,
                self._limit,
            )
        except UserError as error:
            return Failed(str(error))
        return Spared(sample, broken) if broken else sample

    def _made(self, record: Record, key: SampleKey | None) -> Sample | Spared[Sample]:
        try:
            return self._mapper(record, key)
        except UnreadableImage as error:
            return Spared(None, (BrokenImage(record.file_name, str(error)),))


class TestDataset(TrainDataset[Record, Sample]):
    """Maps an index to its evaluation sample."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    def __getitem__(self, key: int) -> Sample | Spared[Sample] | Failed:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            return self._made(self._records[key], None)
        except UserError as error:
            return Failed(str(error))


class PlannedBatches(Sampler[list[SampleKey]]):
    """One rank's part of a plan, as the batch sampler of a `DataLoader`."""

    def __init__(
        self, plan: BatchPlan, start: int, stop: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._plan = plan
        self._start, self._stop = start, max(start, stop)
        self._rank, self._world_size = rank, world_size

    def __iter__(self) -> Iterator[list[SampleKey]]:
        return self._plan.batches(self._start, self._stop, self._rank, self._world_size)

    def __len__(self) -> int:
        return self._stop - self._start


class Batches(Generic[Batch]):
    """Iterates over a `DataLoader` and raises what its workers could not do.

    Yields what the loader's collate function made of each list of samples.

    Args:
        loader: of samples that `CheckedCollate` joined.
        set_aside: takes down the broken images.
    """

    def __init__(self, loader: DataLoader[Any], set_aside: SetAsideImages) -> None:
        self._loader = loader
        self._set_aside = set_aside

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches; one whose images are all broken is left out.

        Raises:
            UserError: a sample could not be made, the worker's own one-line message; or too many
                images are broken.
        """
        for batch in self._loader:
            if isinstance(batch, Failed):
                raise UserError(batch.message)
            if isinstance(batch, Spared):
                self._set_aside.add(batch.broken)
            content = batch.content if isinstance(batch, Spared) else batch
            if content is not None:
                yield content


class CheckedCollate:
    """Collates samples unless one of them failed; runs in the worker."""

    def __init__(self, collate: Callable[[list[Any]], Any] = list) -> None:
        self._collate = collate

    def __call__(self, samples: list[Any]) -> Any:
        """Returns the collated batch, or the first failure."""
        failed = next((sample for sample in samples if isinstance(sample, Failed)), None)
        if failed is not None:
            return failed
        spared = [sample for sample in samples if isinstance(sample, Spared)]
        if not spared:
            return self._collate(samples)
        contents = [s.content if isinstance(s, Spared) else s for s in samples]
        kept = [content for content in contents if content is not None]
        broken = tuple(image for sample in spared for image in sample.broken)
        return Spared(self._collate(kept) if kept else None, broken)


def build_detection_train_loader(
    cfg: Any,
    dataset: CocoDataset,
    *,
    mapper: Callable[[CocoRecord, SampleKey | None], Any] | None = None,
    start_iteration: int = 0,
    rank: int = 0,
    world_size: int = 1,
    seed: int | None = None,
    set_aside: SetAsideImages | None = None,
) -> Batches[list[Any]]:
    """Builds the training loader: one list of samples per iteration, always full.

    The place of a broken image is taken by another one (see `StandIns`), with the draws of that
    place.

    Args:
        cfg: the config tree; reads `INPUT.*`, `DATALOADER.*`, `SOLVER.IMS_PER_BATCH` (over
            all GPUs), `SOLVER.MAX_ITER`, `DATASETS.MAX_BROKEN_IMAGES`.
        dataset: what `load_coco` returned.
        mapper: makes a sample of a record; the `DetectionMapper` of the config by default.
        start_iteration: the iteration whose batch comes first.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share each batch.
        seed: the run's seed; `cfg.SEED` where it is None.
        set_aside: takes down broken images.

    Returns:
        An iterable over iterations start_iteration … MAX_ITER - 1.

    Raises:
        UserError: no image is usable, or the batch cannot be divided.
    """
    seed = run_seed(cfg, seed)
    records = trainable_records(dataset, filters_empty(cfg), min_keypoints(cfg, dataset))
    if not records:
        raise UserError(
            f"{dataset.entry.json_file}: no image has the objects or keypoints to be trained on "
            "(DATALOADER.FILTER_EMPTY_ANNOTATIONS, MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE)"
        )
    groups = np.zeros(len(records), np.int64)
    if cfg.DATALOADER.ASPECT_RATIO_GROUPING:
        groups = aspect_groups([r.width for r in records], [r.height for r in records])
    plan = BatchPlan(len(records), cfg.SOLVER.IMS_PER_BATCH, seed, groups)
    batches = PlannedBatches(plan, start_iteration, cfg.SOLVER.MAX_ITER, rank, world_size)
    train = TrainDataset(
        PackedList(records),
        mapper or mapper_from_config(cfg, seed),
        StandIns(seed, groups),
        cfg.DATASETS.MAX_BROKEN_IMAGES,
    )
    return make_batches(cfg, train, batches, set_aside)


def build_detection_test_loader(
    cfg: Any,
    dataset: CocoDataset,
    *,
    mapper: Callable[[CocoRecord, SampleKey | None], Any] | None = None,
    rank: int = 0,
    world_size: int = 1,
    set_aside: SetAsideImages | None = None,
) -> Batches[list[Any]]:
    """Builds the evaluation loader: lists of one sample, in the order of the image ids.

    The ranks take contiguous shares. Nothing is drawn at random. Broken images are left out.
    `mapper` is as for training, called without a key.
    """
    share = rank_chunk(len(dataset.records), rank, world_size)
    test = TestDataset(PackedList(dataset.records), mapper or mapper_from_config(cfg, 0))
    return make_batches(cfg, test, [[i] for i in share], set_aside)


def build_validation_loader(
    cfg: Any,
    dataset: CocoDataset,
    mapper: Callable[[CocoRecord, SampleKey | None], Any],
    rank: int = 0,
    world_size: int = 1,
    set_aside: SetAsideImages | None = None,
) -> Batches[list[Any]]:
    """Builds the loader of a test set's images with their ground truth, one by one.

    The ranks take contiguous shares. Each image has the key of its place in the set at
    iteration 0, so that what is drawn for it is always the same.

    Args:
        cfg: the config tree; reads `DATALOADER.*`.
        dataset: a test set.
        mapper: makes a training sample of a record, without augmentation.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share the images.
        set_aside: takes down broken images, which are left out.
    """
    records = trainable_records(dataset, filters_empty(cfg), min_keypoints(cfg, dataset))
    keys = [[SampleKey(0, i, i)] for i in rank_chunk(len(records), rank, world_size)]
    images = TrainDataset(PackedList(records), mapper)
    return make_batches(cfg, images, keys, set_aside)


def trainable_records(
    dataset: CocoDataset, filter_empty: bool, keypoints: int = 0
) -> Sequence[CocoRecord]:
    """Returns the records to train on.

    Args:
        dataset: the set.
        filter_empty: leave out images without an object other than crowds
            (`DATALOADER.FILTER_EMPTY_ANNOTATIONS`).
        keypoints: leave out images with fewer labelled keypoints.
    """
    kept = _kept(dataset, filter_empty, keypoints)
    asked = f"at least {keypoints} labelled keypoint(s)" if keypoints else "an annotated object"
    if len(kept) < len(dataset.records):
        logging.getLogger(__name__).info(
            "%s: %d of %d images have %s; the others are left out",
            dataset.entry.name, len(kept), len(dataset.records), asked,
        )  # fmt: skip
    return kept


def num_trainable(cfg: Any, dataset: CocoDataset) -> int:
    """Returns how many images a config trains on, which make an epoch."""
    return len(_kept(dataset, filters_empty(cfg), min_keypoints(cfg, dataset)))


def _kept(dataset: CocoDataset, filter_empty: bool, keypoints: int) -> Sequence[CocoRecord]:
    return [
        record
        for record in dataset.records
        if (record.usable or not filter_empty) and record.num_visible_keypoints >= keypoints
    ]


def filters_empty(cfg: Any) -> bool:
    """Whether images without objects are left out: as asked, where objects are trained on."""
    return cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS and needs_of(cfg).objects


def min_keypoints(cfg: Any, dataset: CocoDataset) -> int:
    """Returns how many labelled keypoints an image needs to be trained on; 0 without any read."""
    if dataset.keypoints is None:
        return 0
    return cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE


def run_seed(cfg: Any, seed: int | None) -> int:
    """Returns the seed that a run's data is drawn from.

    Raises:
        UserError: it is negative, Detectron2's sign for "any": whoever starts the run
            draws one and writes it down, or the run could not be resumed.
    """
    chosen = int(cfg.SEED) if seed is None else seed
    if chosen < 0:
        raise UserError(f"SEED {chosen}: a run needs a seed of 0 or more to be resumable")
    return chosen


def make_batches(
    cfg: Any,
    dataset: Dataset[Any],
    batch_sampler: Sampler[list[Any]] | Sequence[list[Any]],
    set_aside: SetAsideImages | None = None,
    *,
    collate: Callable[[list[Any]], Any] = list,
    pin_memory: bool = False,
) -> Batches[Any]:
    """Wraps a data set and its batches into worker processes.

    Args:
        cfg: the config tree; reads `DATALOADER.NUM_WORKERS`, `DATASETS.MAX_BROKEN_IMAGES`.
        dataset: makes the samples.
        batch_sampler: what to make them of, batch by batch.
        set_aside: takes down broken images; a list of its own with the config's limit where it
            is None.
        collate: joins the samples of a batch.
        pin_memory: whether batches lie in memory that a GPU can fetch by itself.
    """
    loader = DataLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        collate_fn=CheckedCollate(collate),
        pin_memory=pin_memory,
        # Without one of its own, every pass draws from the global generator.
        generator=torch.Generator(),
        worker_init_fn=deaf_worker if listens() else quiet_worker,
    )
    if set_aside is None:
        set_aside = SetAsideImages(cfg.DATASETS.MAX_BROKEN_IMAGES)
    return Batches(loader, set_aside)
