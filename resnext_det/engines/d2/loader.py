"""Detectron2's mapper under this project's sample order. Detectron2.

Detectron2's own sampler restarts its permutation on resume and its aspect-ratio
grouping holds a buffer; here the batch of an iteration depends on the seed and the
iteration alone.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetMapper, detection_utils
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.data.transforms import AugInput
from PIL import Image

from resnext_det.data.coco import CocoRecord
from resnext_det.data.exif import TURNED_BY_PILLOW
from resnext_det.data.image_files import ImageHeader, read_header, read_image
from resnext_det.data.image_headers import check_image_size
from resnext_det.data.opened_image import Pixels
from resnext_det.data.panoptic import check_label_file, check_labels
from resnext_det.data.samplers import SampleKey
from resnext_det.engines.d2.datasets import to_dataset_dict
from resnext_det.engines.d2.seeding import SAMPLING_SEED
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed, image_seed


class SeededMapper:
    """Detectron2's `DatasetMapper`, drawing from the place of a sample in the run.

    Args:
        mapper: Detectron2's, for training or for testing.
        seed: the run's seed; a mapper that draws nothing needs none.
        num_labels: of the semantic labels of pixels; None leaves them unchecked.
    """

    def __init__(self, mapper: DatasetMapper, seed: int = 0, num_labels: int | None = None) -> None:
        self.mapper = mapper
        self.seed = seed
        self.num_labels = num_labels

    def __call__(self, record: CocoRecord, key: SampleKey | None) -> dict[str, Any]:
        """Returns Detectron2's input dict of one image; without a key nothing is drawn.

        With one, the dict also holds the "iteration" and the "sampling_seed".

        Raises:
            UnreadableImage: the image is broken.
            UserError: it is missing, or not of the annotated size; or that holds of its picture
                of labels, or that is broken, or a label is none; or its stored proposals cannot
                be read.
        """
        place = {}
        if record.label_file is not None:
            if key is None:  # the evaluator reads the labels itself
                record = replace(record, label_file=None)
            else:
                check_label_file(record.label_file, (record.height, record.width))
        if key is not None:
            np.random.seed(derive_seed(self.seed, key.iteration, key.position))
            seed = image_seed(self.seed, key.iteration, key.position)
            place = {"iteration": key.iteration, SAMPLING_SEED: seed}
        sample: dict[str, Any] = self._read(record) | place
        if "sem_seg" in sample and self.num_labels is not None:
            check_labels(str(record.label_file), sample["sem_seg"].numpy(), self.num_labels)
        return sample

    def sample_of_pixels(self, pixels: Pixels) -> dict[str, Any]:
        """Returns Detectron2's input dict of an image that is in memory, as for evaluating.

        Args:
            pixels: (H, W, 3) uint8 RGB.
        """
        image_format = self.mapper.image_format
        given = AugInput(
            detection_utils.convert_PIL_to_numpy(Image.fromarray(pixels), image_format)
        )
        self.mapper.augmentations(given)
        image = np.ascontiguousarray(given.image.transpose(2, 0, 1))
        height, width = pixels.shape[:2]
        return {"image": torch.as_tensor(image), "height": height, "width": width}

    def _read(self, record: CocoRecord) -> dict[str, Any]:
        """Lets Detectron2 read an image of whose header all is known.

        Its own reading has no bound, and opens formats that run programs.
        """
        header = read_header(record.file_name)
        size = (header.height, header.width)
        check_image_size(record.file_name, size, (record.height, record.width), header)
        content = to_dataset_dict(record)
        try:
            with _read_by(header), warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="PIL")
                return self.mapper(content)
        except Exception as error:
            # Pillow's decoders raise whatever the damage makes them stumble on.
            read_image(record.file_name, "RGB")
            if not isinstance(error, OSError | SizeMismatchError | SyntaxError):
                raise
            reason = " ".join(str(error).split())
            raise UserError(f"{record.file_name}: cannot be used: {reason}") from error


@contextmanager
def _read_by(header: ImageHeader) -> Iterator[None]:
    """Keeps Detectron2 from turning a TIFF once more that Pillow has put upright.

    A process reads one image at a time.
    """
    if not (header.is_turned and header.format == TURNED_BY_PILLOW):
        yield
        return
    apply = detection_utils._apply_exif_orientation
    detection_utils._apply_exif_orientation = lambda image: image
    try:
        yield
    finally:
        detection_utils._apply_exif_orientation = apply
