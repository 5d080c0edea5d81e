"""From an image's bytes to the pixels a classifier sees. Engine-neutral.

What is drawn for a training image is seeded from (seed, iteration, position), in this order:
part, flip, colours (see `image_draws`), augmentation policy.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from resnext_det.data.auto_augment import augment, build_auto_augment
from resnext_det.data.classification_batch import EncodedView, Sample
from resnext_det.data.classification_set import EncodedImage
from resnext_det.data.decoding import Decoder, OpenedImage, build_decoder
from resnext_det.data.device_decoding import is_plain_jpeg
from resnext_det.data.image_draws import ImageDraws, draws_from_config, seeded
from resnext_det.data.image_files import check_pixel_format
from resnext_det.data.opened_image import check_view
from resnext_det.data.samplers import SampleKey
from resnext_det.data.views import TestView, View
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed

Color = tuple[int, int, int]


class ClassificationMapper:
    """Decodes what training or evaluation sees of an image.

    Args:
        decoder: reads images.
        pixel_format: `INPUT.FORMAT`.
        seed: the run's seed.
        draws: what is drawn for a training image.
        test: what evaluation sees.
        fill: RGB colour of what lies outside of a training image.
        policy: an augmentation policy.
        on_device: whether plain JPEGs are handed on, to be decoded on the device.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        pixel_format: str,
        seed: int,
        draws: ImageDraws,
        test: TestView,
        fill: Color = (0, 0, 0),
        policy: v2.Transform | None = None,
        on_device: bool = False,
    ) -> None:
        check_pixel_format(pixel_format)
        self._decoder = decoder
        self._format = pixel_format
        self._seed = seed
        self._draws = draws
        self._test = test
        self._fill = fill
        self._policy = policy
        self._on_device = on_device

    def __call__(self, image: EncodedImage, index: int, key: SampleKey | None) -> Sample:
        """Makes the sample of an image.

        Args:
            image: its bytes and label.
            index: its place in the data set.
            key: the iteration and position that train on it; None in evaluation.

        Raises:
            UnreadableImage: it cannot be decoded.
            UserError: it is too small for `INPUT.CLASSIFICATION.TRAIN_PADDING`.
        """
        opened = self._decoder.open(image.data)
        if key is None:
            view = self._test.of(opened.height, opened.width)
            pixels, encoded = self._picture(image, opened, view, (0, 0, 0))
            return Sample(self._ordered(pixels), image.label, index, encoded=encoded)
        with seeded(derive_seed(self._seed, key.iteration, key.position)):
            try:
                view, colors = self._draws.draw(opened.height, opened.width)
            except UserError as error:
                raise UserError(f"{image.name}: {error}") from error
            pixels, encoded = self._picture(image, opened, view, self._fill)
            if self._policy is not None:
                pixels = augment(self._policy, pixels)
        return Sample(self._ordered(pixels), image.label, index, colors, encoded=encoded)

    def _picture(
        self, image: EncodedImage, opened: OpenedImage, view: View, fill: Color
    ) -> tuple[Tensor, EncodedView | None]:
        """Returns a view's pixels, or any pixels and what the device makes them of."""
        if self._on_device and is_plain_jpeg(image.data, opened):
            check_view(view)
            _, _, height, width = view.windows[0]
            pixels = torch.zeros(1, dtype=torch.uint8).expand(len(view.windows), height, width, 3)
            return pixels, EncodedView(image.name, view, fill, image.data)
        rendered = np.require(opened.render(view, fill), requirements=["C", "W"])
        pixels = torch.from_numpy(rendered)
        return pixels, None

    def _ordered(self, pixels: Tensor) -> Tensor:
        return pixels.flip(-1) if self._format == "BGR" else pixels


def classification_mapper(
    cfg: Any, seed: int = 0, test: TestView | None = None
) -> ClassificationMapper:
    """Builds the mapper that `INPUT.CLASSIFICATION` describes.

    Args:
        cfg: the config tree.
        seed: the run's seed.
        test: what evaluation sees; the config's centre crop where it is None.
    """
    given = cfg.INPUT.CLASSIFICATION
    on_device = given.DECODER == "gpu"
    return ClassificationMapper(
        build_decoder("fast" if on_device else given.DECODER, given.INTERPOLATION),
        pixel_format=cfg.INPUT.FORMAT,
        seed=seed,
        draws=draws_from_config(cfg),
        test=test or TestView(given.RESIZE_TEST, given.TEST_CROP),
        fill=_mean_color(cfg),
        policy=build_auto_augment(cfg),
        on_device=on_device,
    )


def _mean_color(cfg: Any) -> Color:
    """Returns `MODEL.PIXEL_MEAN` as an RGB colour.

    The authors pad with zeros after normalising, which is the mean colour before; here it is
    rounded, so that a padded pixel is within 0.5 / PIXEL_STD of zero.
    """
    mean = [round(value) for value in cfg.MODEL.PIXEL_MEAN]
    red, green, blue = mean if cfg.INPUT.FORMAT == "RGB" else mean[::-1]
    return red, green, blue
