"""Plain data classes that every layer shares. Engine-neutral; the lowest layer."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShapeSpec:
    """Shape of one feature map, known before any image is seen.

    Attributes:
        channels: number of channels C of the (N, C, H / stride, W / stride) map.
        stride: pixels of the input image per cell of the map.
    """

    channels: int
    stride: int


@dataclass
class DetectionSample:
    """One image as a detector reads it, with its ground truth while training.

    Attributes:
        image: (3, H, W) uint8, channels in the order of `INPUT.FORMAT`, already resized.
        height: rows of the image on disk (after EXIF rotation); results are scaled to it.
        width: columns of the image on disk.
        image_id: the id in the annotation file.
        file_name: path of the image, for messages.
        gt_boxes: (G, 4) float32, xyxy, pixels of the resized image; None when evaluating.
        gt_classes: (G,) int64 in 0 … K-1; None when evaluating.
        sampling_seed: what its anchors and regions are drawn from (`seeding.image_seed`);
            None when evaluating, or to draw from torch's global generator.
    """

    image: Tensor
    height: int
    width: int
    image_id: int | str
    file_name: str
    gt_boxes: Tensor | None = None
    gt_classes: Tensor | None = None
    sampling_seed: int | None = None


@dataclass
class Detections:
    """Boxes found in one image, best score first.

    Attributes:
        boxes: (R, 4) float32, xyxy, pixels of the image on disk.
        scores: (R,) float32 in 0 … 1.
        classes: (R,) int64 in 0 … K-1.
        class_names: the K names, or empty when they are not known.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    @staticmethod
    def empty(class_names: tuple[str, ...] = ()) -> "Detections":
        """Returns a result without a box."""
        return Detections(
            torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), class_names
        )
