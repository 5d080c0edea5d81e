"""Loaders of classification data. Engine-neutral.

Pixels are normalised in 0–255 units with `MODEL.PIXEL_MEAN` and `PIXEL_STD`, channels in the
order of `INPUT.FORMAT`, exactly as the detectors do, so that weights carry over.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import ClassificationSet, EncodedImage, ImageSource
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.loaders import (
    Batches,
    PlannedBatches,
    TestDataset,
    TrainDataset,
    make_batches,
    run_seed,
)
from resnext_det.data.samplers import BatchPlan, SampleKey, rank_chunk
from resnext_det.data.transforms import check_pixel_format, open_rgb
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed


class ClassificationMapper:
    """Reads, crops and flips one image.

    Training draws a random part and mirror image, seeded from (seed, iteration, position);
    evaluation resizes the short edge and takes the centre.
    """

    def __init__(
        self, *, pixel_format: str, seed: int, train: v2.Transform, test: v2.Transform
    ) -> None:
        check_pixel_format(pixel_format)
        self._format = pixel_format
        self._seed = seed
        self._train = train
        self._test = test

    def __call__(self, sample: EncodedImage, key: SampleKey | None) -> tuple[Tensor, int]:
        """Returns a (3, S, S) uint8 image in `INPUT.FORMAT` order, and its class."""
        image = open_rgb(sample.name)
        if key is None:
            image = self._test(image)
        else:
            image = self._augment(image, derive_seed(self._seed, key.iteration, key.position))
        pixels = functional.pil_to_tensor(image)
        return (pixels.flip(0) if self._format == "BGR" else pixels), sample.label

    def _augment(self, image: Image.Image, seed: int) -> Image.Image:
        # The transforms draw from torch's CPU generator; hand it back as it was.
        state = torch.get_rng_state()
        try:
            torch.default_generator.manual_seed(seed)
            return self._train(image)
        finally:
            torch.set_rng_state(state)


class _Records:
    def __init__(self, images: ImageSource) -> None:
        self._images = images

    def __getitem__(self, index: int) -> EncodedImage:
        return self._images.read(index)


class NormalizeCollate:
    """Stacks samples into normalised float32 images and int64 labels."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Takes mean and std in 0–255 units, in the order of the channels."""
        self._mean = torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1)
        self._std = torch.tensor(std, dtype=torch.float32).view(-1, 1, 1)

    def __call__(self, samples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        """Returns (N, 3, S, S) float32 and (N,) int64."""
        images = torch.stack([image for image, _ in samples]).float()
        labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
        return (images - self._mean) / self._std, labels


def classification_mapper(cfg: Any, seed: int) -> ClassificationMapper:
    """Builds the mapper that `INPUT.CLASSIFICATION` describes."""
    given = cfg.INPUT.CLASSIFICATION
    try:
        how = InterpolationMode(given.INTERPOLATION)
    except ValueError as error:
        raise UserError(
            f"INPUT.CLASSIFICATION.INTERPOLATION '{given.INTERPOLATION}' is not one of "
            f"{', '.join(mode.value for mode in InterpolationMode)}"
        ) from error
    crop = v2.RandomResizedCrop(
        given.TRAIN_CROP, tuple(given.TRAIN_SCALE), tuple(given.TRAIN_RATIO), interpolation=how
    )
    train = v2.Compose([crop, v2.RandomHorizontalFlip(given.HFLIP)])
    test = v2.Compose(
        [v2.Resize(given.RESIZE_TEST, interpolation=how), v2.CenterCrop(given.TEST_CROP)]
    )
    return ClassificationMapper(pixel_format=cfg.INPUT.FORMAT, seed=seed, train=train, test=test)


def build_classification_train_loader(
    cfg: Any,
    dataset: ClassificationSet | DatasetEntry,
    *,
    start_iteration: int = 0,
    rank: int = 0,
    world_size: int = 1,
    seed: int | None = None,
) -> Batches[tuple[Tensor, Tensor]]:
    """Builds the training loader: one (images, labels) pair per iteration.

    Args:
        cfg: the config tree; reads `INPUT.*`, `MODEL.PIXEL_MEAN/STD`, `MODEL.DEVICE`,
            `DATALOADER.NUM_WORKERS`, `SOLVER.IMS_PER_BATCH`, `SOLVER.MAX_ITER`.
        dataset: the set, or where it lies.
        start_iteration: the iteration whose batch comes first.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share each batch.
        seed: the run's seed; `cfg.SEED` where it is None.

    Returns:
        An iterable of (N, 3, S, S) float32 normalised images and (N,) int64 labels.
    """
    seed = run_seed(cfg, seed)
    folder = _as_folder(dataset)
    plan = BatchPlan(len(folder), cfg.SOLVER.IMS_PER_BATCH, seed)
    batches = PlannedBatches(plan, start_iteration, cfg.SOLVER.MAX_ITER, rank, world_size)
    train = TrainDataset(_Records(folder.images), classification_mapper(cfg, seed))
    return _finish(cfg, train, batches)


def build_classification_test_loader(
    cfg: Any, dataset: ClassificationSet | DatasetEntry, *, rank: int = 0, world_size: int = 1
) -> Batches[tuple[Tensor, Tensor]]:
    """Builds the evaluation loader; the ranks take contiguous shares, in order.

    Returns:
        An iterable of (N, 3, S, S) float32 normalised images and (N,) int64 labels; the
        last batch of a share may be smaller.
    """
    folder = _as_folder(dataset)
    share = rank_chunk(len(folder), rank, world_size)
    size = max(1, cfg.SOLVER.IMS_PER_BATCH // world_size)
    batches = [list(share[i : i + size]) for i in range(0, len(share), size)]
    test = TestDataset(_Records(folder.images), classification_mapper(cfg, 0))
    return _finish(cfg, test, batches)


def _as_folder(dataset: ClassificationSet | DatasetEntry) -> ClassificationSet:
    return load_image_folder(dataset) if isinstance(dataset, DatasetEntry) else dataset


def _finish(cfg: Any, dataset: Any, batches: Any) -> Batches[tuple[Tensor, Tensor]]:
    return make_batches(
        dataset,
        cfg.DATALOADER.NUM_WORKERS,
        batch_sampler=batches,
        collate=NormalizeCollate(cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD),
        pin_memory=str(cfg.MODEL.DEVICE).startswith("cuda") and torch.cuda.is_available(),
    )
