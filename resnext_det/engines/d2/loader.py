"""Detectron2's mapper under this project's sample order. Detectron2.

Detectron2's own sampler restarts its permutation on resume and its aspect-ratio
grouping holds a buffer; here the batch of an iteration depends on the seed and the
iteration alone.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from detectron2.data import DatasetMapper
from detectron2.data.detection_utils import SizeMismatchError

from resnext_det.data.coco import CocoRecord
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
            UserError: the image cannot be read, or is not of the annotated size; or that holds of
                its picture of labels, or a label is none; or its stored proposals cannot be read.
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
        try:
            sample: dict[str, Any] = self.mapper(to_dataset_dict(record)) | place
        except (OSError, SizeMismatchError, SyntaxError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{record.file_name}: cannot be used: {reason}") from error
        if "sem_seg" in sample and self.num_labels is not None:
            check_labels(str(record.label_file), sample["sem_seg"].numpy(), self.num_labels)
        return sample
