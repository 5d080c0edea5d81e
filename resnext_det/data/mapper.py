"""From an annotated record to what a detector reads. Engine-neutral."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnext_det.data.coco import CocoRecord
from resnext_det.data.image_files import check_pixel_format, read_image
from resnext_det.data.image_headers import check_image_size
from resnext_det.data.opened_image import Pixels
from resnext_det.data.samplers import SampleKey
from resnext_det.data.transforms import (
    Boxes64,
    RandomFlip,
    ResizeShortestEdge,
    resize_boxes,
    resize_image,
)
from resnext_det.seeding import derive_seed, image_seed
from resnext_det.structures import DetectionSample

_EMPTY = 1e-5
"""Pixels; Detectron2 drops boxes whose width or height is not above it."""


class DetectionMapper:
    """Reads, resizes and flips one image with its boxes, as Detectron2's mapper does.

    Its results equal those of Detectron2's `DatasetMapper`, called after
    `np.random.seed(derive_seed(seed, iteration, position))`, byte for byte in the pixels
    and exactly in the boxes. One thing is deliberately not taken over: where a file states
    a box in whole numbers, Detectron2 scales it in integers and loses the fraction (up to
    a pixel); here every box is scaled as real numbers.
    """

    def __init__(
        self,
        *,
        pixel_format: str,
        seed: int,
        train_resize: ResizeShortestEdge,
        test_resize: ResizeShortestEdge,
        flip: RandomFlip,
    ) -> None:
        """Takes plain values.

        Args:
            pixel_format: "RGB" or "BGR".
            seed: the run's seed, >= 0.
            train_resize: how to resize while training.
            test_resize: how to resize while evaluating; its first length is used.
            flip: which mirror images to draw while training.
        """
        check_pixel_format(pixel_format)
        self._format = pixel_format
        self._seed = seed
        self._train_resize = train_resize
        self._test_resize = test_resize
        self._flip = flip

    def __call__(self, record: CocoRecord, key: SampleKey | None) -> DetectionSample:
        """Makes one sample.

        Args:
            record: the image and its annotations.
            key: when and where in its batch it is trained on; None when evaluating, which
                draws nothing and returns no ground truth.

        Raises:
            UnreadableImage: the image is broken.
            UserError: it is missing, or its size is not the annotated one.
        """
        pixels = read_image(record.file_name, self._format)
        check_image_size(record.file_name, pixels.shape[:2], (record.height, record.width))
        if key is None:
            return self._sample(record, self._resized_for_testing(pixels))
        random = np.random.RandomState(derive_seed(self._seed, key.iteration, key.position))
        length = self._train_resize.draw(random)
        size = self._train_resize.output_size(record.height, record.width, length)
        pixels = resize_image(pixels, *size)
        objects = ~record.iscrowd
        boxes = record.boxes[objects].astype(np.float64)
        boxes = resize_boxes(boxes, (record.height, record.width), size)
        if self._flip.draw(random):
            pixels, boxes = self._flip.apply(pixels, boxes)
        sample = self._sample(record, pixels)
        sample.gt_boxes, sample.gt_classes = _targets(boxes, record.classes[objects], size)
        sample.sampling_seed = image_seed(self._seed, key.iteration, key.position)
        return sample

    def sample_of_pixels(self, pixels: Pixels) -> DetectionSample:
        """Makes the sample of an image that is in memory, as for evaluating.

        Args:
            pixels: (H, W, 3) uint8 RGB.
        """
        ordered = pixels[:, :, ::-1] if self._format == "BGR" else pixels
        image = np.array(self._resized_for_testing(ordered).transpose(2, 0, 1), order="C")
        height, width = pixels.shape[:2]
        return DetectionSample(torch.from_numpy(image), height, width, image_id=0, file_name="")

    def _resized_for_testing(self, pixels: Pixels) -> Pixels:
        length = self._test_resize.lengths[0]
        height, width = pixels.shape[:2]
        return resize_image(pixels, *self._test_resize.output_size(height, width, length))

    @staticmethod
    def _sample(record: CocoRecord, pixels: Pixels) -> DetectionSample:
        image = np.array(pixels.transpose(2, 0, 1), order="C")  # a copy that torch may own
        return DetectionSample(
            image=torch.from_numpy(image),
            height=record.height,
            width=record.width,
            image_id=record.image_id,
            file_name=record.file_name,
        )


def mapper_from_config(cfg: Any, seed: int) -> DetectionMapper:
    """Builds the mapper that a config describes.

    Args:
        cfg: the config tree; reads `INPUT.*`.
        seed: the run's seed, >= 0.
    """
    train = cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
    return DetectionMapper(
        pixel_format=cfg.INPUT.FORMAT,
        seed=seed,
        train_resize=ResizeShortestEdge(
            tuple(cfg.INPUT.MIN_SIZE_TRAIN), cfg.INPUT.MAX_SIZE_TRAIN, train
        ),
        test_resize=ResizeShortestEdge((cfg.INPUT.MIN_SIZE_TEST,), cfg.INPUT.MAX_SIZE_TEST),
        flip=RandomFlip(cfg.INPUT.RANDOM_FLIP),
    )


def _targets(
    boxes: Boxes64, classes: NDArray[np.int64], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Clips boxes to an image of (height, width) `size` and leaves out empty ones."""
    height, width = size
    clipped = np.minimum(boxes.clip(min=0), [width, height, width, height])
    kept = torch.from_numpy(clipped.astype(np.float32))
    keep = ((kept[:, 2:] - kept[:, :2]) > _EMPTY).all(dim=1)
    return kept[keep], torch.from_numpy(classes)[keep]
