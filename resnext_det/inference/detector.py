"""A trained detector in three lines. Engine-neutral.

detector = Detector.from_checkpoint("output/model_final.pth")
detections = detector("photo.jpg")  # boxes (R, 4), scores (R,), classes (R,), class_names
several = detector(["a.jpg", "b.jpg"], batch_size=2)  # a list of them
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, overload

import torch
from fvcore.common.config import CfgNode

from resnext_det.acceleration.apply import accelerate
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.config import get_value, with_values
from resnext_det.data.opened_image import Pixels
from resnext_det.engines.base import EngineName, Predictor, resolve_engine
from resnext_det.errors import UserError
from resnext_det.inference.detector_file import (
    DetectorFile,
    head_section,
    read_detector_file,
)
from resnext_det.inference.engine_choice import choose_engine
from resnext_det.inference.images import Color, ImageLike, is_one_image, pixels_of
from resnext_det.inference.tiles import Tiling, detect_in_tiles
from resnext_det.structures import Detections
from resnext_det.training.device import check_device_name, resolve_device
from resnext_det.weights.load import load_weights, require_head

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


class Detector:
    """Finds boxes in images.

    An image's boxes are those that `train_net.py --eval-only` finds in it: to the bit with
    `acceleration="exact"` where `batch_size` is 1, else but for rounding. Images of one size that
    share a batch may differ from that by rounding, too; images of different sizes never share
    one, so that none is padded.

    Args:
        predictor: of an engine; see `Engine.build_predictor`.
        class_names: the K names.
        score_thresh: boxes scored below it are left out; None keeps what the model gives.
        nms_thresh: overlap above which the lower-scored of two boxes of a class goes, where
            tiles are joined.
        acceleration: what the predictor's model is run with.

    Attributes:
        class_names: the K names, in the order of `Detections.classes`.
        acceleration: what the detector is run with.
    """

    def __init__(
        self,
        predictor: Predictor,
        class_names: Sequence[str],
        *,
        score_thresh: float | None = None,
        nms_thresh: float = 0.5,
        acceleration: Acceleration = EXACT,
    ) -> None:
        self.class_names = tuple(class_names)
        self.acceleration = acceleration
        self._predictor = predictor
        self._score_thresh = score_thresh
        self._nms_thresh = nms_thresh

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        engine: EngineName = "auto",
        score_thresh: float | None = None,
        config_file: str | None = None,
        class_names: Sequence[str] = (),
        acceleration: str | Acceleration = "auto",
    ) -> "Detector":
        """Reads a checkpoint of a run, which carries config and class names, and builds it.

        Args:
            path: the file, of either engine.
            device: "cpu", "cuda", "cuda:1", …; "auto" is the GPU where there is one.
            engine: "portable" or "d2"; "auto" is the portable one where it is accelerated, else
                Detectron2 where it is installed.
            score_thresh: 0 … 1, boxes scored below it are left out; None takes the config's,
                which is 0.05 unless the run changed it.
            config_file: for a file without a config of its own.
            class_names: for a file without class names of its own.
            acceleration: "auto", which is what `resnext-det benchmark` found fastest on this
                machine or else a usual choice; "exact"; or words such as "bfloat16 channels_last
                fold_norms". See `resnext_det.acceleration.setting`.

        Raises:
            UserError: the file is no detector's, or the device or the engine is not there; one
                line says which.
        """
        check_score_thresh(score_thresh)
        file = read_detector_file(path, config_file=config_file, class_names=class_names)
        return cls.from_file(
            file,
            device=device,
            engine=engine,
            score_thresh=score_thresh,
            acceleration=acceleration,
        )

    @classmethod
    def from_file(
        cls,
        file: DetectorFile,
        *,
        device: str = "auto",
        engine: EngineName = "auto",
        score_thresh: float | None = None,
        acceleration: str | Acceleration = "auto",
    ) -> "Detector":
        """Builds a detector whose file has been read; see `from_checkpoint`."""
        cfg = with_values(file.cfg, {"MODEL.DEVICE": settle_device(device)})
        cfg = _with_lower_threshold(cfg, score_thresh)
        engine, setting = choose_engine(cfg, engine, acceleration)
        built_by = resolve_engine(engine)
        built_by.check_config(cfg)
        model = built_by.build_model(cfg)
        require_head(load_weights(model, file.weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE))
        model = model.to(resolve_device(cfg)).eval()
        logger.info("%s engine on %s: %s", engine, cfg.MODEL.DEVICE, setting.words())
        predictor = built_by.build_predictor(accelerate(model, setting), cfg)
        nms_thresh = get_value(cfg, f"{head_section(cfg)}.NMS_THRESH_TEST")
        return cls(
            predictor,
            file.class_names,
            score_thresh=score_thresh,
            nms_thresh=nms_thresh,
            acceleration=setting,
        )

    @overload
    def __call__(
        self,
        images: ImageLike,
        *,
        batch_size: int = 1,
        color: Color = "rgb",
        tiling: Tiling | None = None,
    ) -> Detections: ...

    @overload
    def __call__(
        self,
        images: Sequence[ImageLike],
        *,
        batch_size: int = 1,
        color: Color = "rgb",
        tiling: Tiling | None = None,
    ) -> list[Detections]: ...

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        batch_size: int = 1,
        color: Color = "rgb",
        tiling: Tiling | None = None,
    ) -> Detections | list[Detections]:
        """Finds boxes in one image, or in each of several.

        Args:
            images: an image (see `ImageLike`), or a sequence of images; may be empty.
            batch_size: how many images of one size the model takes at once, >= 1.
            color: channel order of arrays and tensors.
            tiling: cuts large images into overlapping tiles; see `detect_in_tiles`.

        Returns:
            For one image its detections, for a sequence a list of them in its order: boxes
            (R, 4) float32, xyxy, pixels of the image as it is seen; scores (R,) float32, best
            first; classes (R,) int64; on the CPU.

        Raises:
            UserError: an image is missing, broken, or not what an image has to be.
        """
        one = is_one_image(images)
        several: Iterable[ImageLike] = [images] if one else images  # pyright: ignore[reportAssignmentType]
        found = [
            detections
            for chunk in _chunks(several, batch_size)
            for detections in self.detect([pixels_of(image, color) for image in chunk], tiling)
        ]
        return found[0] if one else found

    def detect(self, images: Sequence[Pixels], tiling: Tiling | None = None) -> list[Detections]:
        """Finds boxes in images that are taken at once, those of one size as a batch.

        Args:
            images: each (H, W, 3) uint8 RGB.
            tiling: cuts each into tiles, which are then the images.
        """
        if tiling is not None:
            return [self._in_tiles(pixels, tiling, len(images)) for pixels in images]
        return [self._named(found) for found in self._in_batches(images)]

    def _in_tiles(self, pixels: Pixels, tiling: Tiling, batch_size: int) -> Detections:
        def detect(tiles: Sequence[Pixels]) -> list[Detections]:
            return [
                detections
                for chunk in _chunks(tiles, batch_size)
                for detections in self._in_batches(chunk)
            ]

        return self._named(detect_in_tiles(detect, pixels, tiling, self._nms_thresh))

    def _in_batches(self, images: Sequence[Pixels]) -> list[Detections]:
        places: dict[tuple[int, ...], list[int]] = {}
        for place, pixels in enumerate(images):
            places.setdefault(pixels.shape, []).append(place)
        found: dict[int, Detections] = {}
        for of_size in places.values():
            batch = [images[place] for place in of_size]
            found |= zip(of_size, self._predictor(batch), strict=True)
        return [found[place] for place in range(len(images))]

    def _named(self, found: Detections) -> Detections:
        boxes, scores, classes = found.boxes.float(), found.scores.float(), found.classes
        if self._score_thresh is not None:
            kept = scores >= self._score_thresh
            boxes, scores, classes = boxes[kept], scores[kept], classes[kept]
        return Detections(boxes, scores, classes, self.class_names)


def check_score_thresh(score_thresh: float | None) -> None:
    """Checks a threshold.

    Raises:
        UserError: it is not between 0 and 1.
    """
    if score_thresh is not None and not 0 <= score_thresh <= 1:
        raise UserError(f"score threshold {score_thresh}: give a number between 0 and 1")


def settle_device(name: str) -> str:
    """Returns the name of the device that "auto" stands for, or the one that is given.

    Raises:
        UserError: torch cannot compute on it here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    check_device_name(name, "device")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device {name!r}: torch finds no GPU here; give cpu, or auto")
    return name


def _with_lower_threshold(cfg: CfgNode, score_thresh: float | None) -> CfgNode:
    """Lets the model itself keep what is asked for; what it keeps beyond is left out later.

    A lower threshold of the model changes none of the boxes above it, but which of them are
    among the best TEST.DETECTIONS_PER_IMAGE: those come first in any case.
    """
    key = f"{head_section(cfg)}.SCORE_THRESH_TEST"
    if score_thresh is None or score_thresh >= get_value(cfg, key):
        return cfg
    return with_values(cfg, {key: score_thresh})


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Splits items into lists of `size`, the last perhaps shorter, reading no further ahead."""
    if size < 1:
        raise UserError(f"batch_size {size}: give 1 or more")
    chunk: list[Item] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
