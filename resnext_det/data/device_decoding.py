"""JPEGs decoded, cropped and resized on the device, for `DECODER gpu`. Engine-neutral.

The workers draw the views and hand on the bytes; torchvision (nvJPEG on a GPU) decodes a batch's
JPEGs whole, and each view is cut out and resized, with antialiasing, where its pixels are. What
a GPU may read otherwise than a person would (other formats, CMYK, rotated or cut-off files)
the workers decode as ever, and what it cannot read the exact decoder is asked for. nvJPEG's cosine
transform and its spreading of chroma are not libjpeg's, and it may read a file that is damaged
inside; on a CPU, where the tests run, libjpeg decodes, and pixels are two levels apart at most.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from resnext_det.data.classification_batch import ClassificationBatch, EncodedView
from resnext_det.data.decoding import OpenedImage, UnreadableImage, build_decoder
from resnext_det.data.exact_decoding import ExactImage
from resnext_det.data.fast_decoding import FastImage
from resnext_det.data.set_aside import BrokenImage
from resnext_det.data.views import View
from resnext_det.errors import UserError

_END_OF_IMAGE = b"\xff\xd9"


def is_plain_jpeg(data: bytes, opened: OpenedImage) -> bool:
    """Returns whether the GPU may decode a file: an upright, whole JPEG of gray or YCbCr."""
    exact = opened.exact if isinstance(opened, FastImage) else opened
    return (
        isinstance(exact, ExactImage)
        and exact.rotation is None
        and exact.image.format == "JPEG"
        and exact.image.mode in ("RGB", "L")
        and exact.image.info.get("adobe_transform", 1) == 1  # 0: not YCbCr
        and data.endswith(_END_OF_IMAGE)
    )


@dataclass(frozen=True)
class DeviceDecoder:
    """Decodes what the workers left encoded in a batch.

    Attributes:
        device: where to decode.
        interpolation: "bilinear" or "bicubic".
        pixel_format: `INPUT.FORMAT`.
        fill_gaps: whether the place of a broken image is taken by the batch's next readable one,
            as in training, or left out.
    """

    device: torch.device
    interpolation: str
    pixel_format: str
    fill_gaps: bool

    @torch.no_grad()
    def finish(self, batch: ClassificationBatch) -> ClassificationBatch:
        """Returns the batch with all its pictures, on the device.

        Raises:
            UserError: in training, a batch without one readable image.
        """
        if batch.files is None:
            return batch
        pictures = batch.images.to(self.device, non_blocking=True)
        pictures = pictures.unflatten(0, (-1, batch.num_windows)).clone()  # (N, V, 3, S, S)
        broken = {}
        rendered = self._render(batch.encoded, batch.files)
        for job, found in zip(batch.encoded, rendered, strict=True):
            if isinstance(found, Tensor):
                pictures[job.place] = found.flip(1) if self.pixel_format == "BGR" else found
            else:
                broken[job.place] = BrokenImage(job.name, str(found))
        whole = replace(batch, images=pictures.flatten(0, 1), encoded=(), files=None)
        return self._without(whole, broken) if broken else whole

    def _without(
        self, batch: ClassificationBatch, broken: dict[int, BrokenImage]
    ) -> ClassificationBatch:
        first = next(iter(broken.values()))
        count = len(batch)
        good = [place for place in range(count) if place not in broken]
        if self.fill_gaps and not good:
            raise UserError(f"{first}; nor can any other of its batch")
        if self.fill_gaps:
            good = [min(good, key=lambda g: (g - place) % count) for place in range(count)]
        return replace(batch.take(good), set_aside=(*batch.set_aside, *broken.values()))

    def _render(self, jobs: Sequence[EncodedView], files: Tensor) -> list[Tensor | UnreadableImage]:
        """Returns (V, 3, h, w) uint8 RGB for each view, or why there is none."""
        parts = [files[job.start : job.stop] for job in jobs]
        try:
            images = self._decode(parts)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # one is broken, and nothing says which
            return [self._render_alone(job, part) for job, part in zip(jobs, parts, strict=True)]
        return [self._view(image, job) for image, job in zip(images, jobs, strict=True)]

    def _render_alone(self, job: EncodedView, file: Tensor) -> Tensor | UnreadableImage:
        try:
            return self._view(self._decode([file])[0], job)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # whatever it is, the exact decoder says it in words
            return self._render_exactly(job, file)

    def _render_exactly(self, job: EncodedView, file: Tensor) -> Tensor | UnreadableImage:
        try:
            opened = build_decoder("exact", self.interpolation).open(file.numpy().tobytes())
            pixels = torch.from_numpy(opened.render(job.view, job.fill))
        except UnreadableImage as error:
            return error
        return pixels.permute(0, 3, 1, 2).to(self.device)

    def _decode(self, files: list[Tensor]) -> list[Tensor]:
        with warnings.catch_warnings():
            # torchvision will hand its decoders on to torchcodec.
            warnings.simplefilter("ignore", DeprecationWarning)
            images = decode_jpeg(files, ImageReadMode.RGB, self.device)
        assert isinstance(images, list)
        return images

    def _view(self, image: Tensor, job: EncodedView) -> Tensor:
        """Cuts a view out of a (3, H, W) image; returns (V, 3, h, w)."""
        top, left, height, width = job.view.part
        part = image[:, top : top + height, left : left + width]
        if (height, width) != job.view.resized:
            mode = InterpolationMode(self.interpolation)
            part = functional.resize(part, list(job.view.resized), mode, antialias=True)
        return _windows(part, job.view, job.fill)


def check_decoder(cfg: Any) -> None:
    """Checks, before any data are read, that `DECODER gpu` can be had.

    Raises:
        UserError: there is no GPU to decode on, or augmentation needs the pixels in the workers.
    """
    given = cfg.INPUT.CLASSIFICATION
    if given.DECODER != "gpu":
        return
    if not str(cfg.MODEL.DEVICE).startswith("cuda") or not torch.cuda.is_available():
        raise UserError(
            f"INPUT.CLASSIFICATION.DECODER is gpu, but MODEL.DEVICE is {cfg.MODEL.DEVICE}, and "
            f"torch finds {torch.cuda.device_count() or 'no'} CUDA GPU(s); set it to fast"
        )
    if given.AUTO_AUGMENT:
        raise UserError(
            f"INPUT.CLASSIFICATION.AUTO_AUGMENT {given.AUTO_AUGMENT} changes pixels in the worker "
            "processes, which with DECODER gpu have none; set DECODER to fast"
        )


def build_device_decoder(cfg: Any, *, fill_gaps: bool) -> DeviceDecoder | None:
    """Builds the decoder of `DECODER gpu`; None for the others.

    Args:
        cfg: the config tree.
        fill_gaps: as for `DeviceDecoder`.
    """
    given = cfg.INPUT.CLASSIFICATION
    if given.DECODER != "gpu":
        return None
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())  # this process's own
    return DeviceDecoder(device, given.INTERPOLATION, cfg.INPUT.FORMAT, fill_gaps)


def _windows(part: Tensor, view: View, fill: tuple[int, int, int]) -> Tensor:
    """Takes the windows of a view out of its resized part (3, H, W); returns (V, 3, h, w)."""
    pictures = []
    for (top, left, height, width), flipped in zip(view.windows, view.flipped, strict=True):
        over = [
            max(0, -left),
            max(0, -top),
            max(0, left + width - part.shape[2]),
            max(0, top + height - part.shape[1]),
        ]
        padded = functional.pad(part, over, fill=list(fill)) if any(over) else part
        top, left = top + over[1], left + over[0]
        picture = padded[:, top : top + height, left : left + width]
        pictures.append(picture.flip(2) if flipped else picture)
    return torch.stack(pictures)
