"""A classifier's batches as JSON and tensors. Engine-neutral."""

from typing import Any

from resnext_det.classification.prepare import ENGINE
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.image_draws import ColorDraws
from resnext_det.training.non_finite.bundle import BatchForm
from resnext_det.training.non_finite.trees import Kind, dataclass_kind

KINDS = (
    # The loader has decoded what the device decodes, and the images set aside are not in it.
    dataclass_kind(ClassificationBatch, left_out=("set_aside", "encoded", "files")),
    Kind(ColorDraws, lambda draws: draws._asdict(), lambda parts: ColorDraws(**parts)),
)


def batch_form(dataset: ClassificationSet) -> BatchForm:
    """Returns how the batches of a training set are kept, with the names of its images."""

    def images(batch: ClassificationBatch) -> list[dict[str, Any]]:
        places = batch.indices.tolist()
        return [{"file_name": dataset.images.name(place), "index": place} for place in places]

    return BatchForm(ENGINE, KINDS, images)
