"""Detectron2's evaluators of semantic labels and panoptic segments. Detectron2."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from detectron2.evaluation import COCOPanopticEvaluator, SemSegEvaluator
from detectron2.utils import comm
from PIL import Image

from resnext_det.data.coco import CocoDataset, CocoRecord
from resnext_det.engines.base import Metrics, panopticapi_is_installed
from resnext_det.engines.d2.evaluators import none_for_nan
from resnext_det.json_files import read_json
from resnext_det.whole_files import write_text_safe

PANOPTICAPI = "git+https://github.com/cocodataset/panopticapi"

logger = logging.getLogger(__name__)


class StuffEvaluator(SemSegEvaluator):
    """IoU and accuracy of semantic labels; None for a class without a labelled pixel.

    Args:
        name: the name of a registered test set.
        folder: where `sem_seg_predictions.json` goes.
    """

    def __init__(self, name: str, folder: Path) -> None:
        # Without its own folder, into which Detectron2 would pickle the metrics.
        super().__init__(name)
        self.folder = folder

    def evaluate(self) -> dict[str, Metrics] | None:
        """Returns the metrics under "sem_seg"; None on ranks other than the first."""
        with np.errstate(invalid="ignore", divide="ignore"):  # classes without a pixel
            measured = super().evaluate()
        if measured is None:
            return None
        write_text_safe(self.folder / "sem_seg_predictions.json", json.dumps(self._predictions))
        return {"sem_seg": none_for_nan(measured["sem_seg"])}


class PanopticEvaluator(COCOPanopticEvaluator):
    """Panoptic quality; None for things or stuff of which there are no segments.

    Args:
        name: the name of a registered test set.
        dataset: the set.
        folder: where `predictions.json` goes.
    """

    def __init__(self, name: str, dataset: CocoDataset, folder: Path) -> None:
        super().__init__(name, str(folder))
        assert dataset.stuff is not None
        self.dataset = dataset
        self.panoptic_json = dataset.stuff.files.json_file

    def evaluate(self) -> dict[str, Metrics] | None:
        """Returns the metrics under "panoptic_seg"; None on ranks other than the first.

        An image that could not be read has no segment.
        """
        shares = comm.gather([prediction["image_id"] for prediction in self._predictions])
        if comm.is_main_process():
            read = {image_id for share in shares for image_id in share}
            left = [record for record in self.dataset.records if record.image_id not in read]
            self._predictions += [_without_segments(record) for record in left]
        with _averages_of_nothing():
            measured = super().evaluate()
        if measured is None:
            return None
        absent = _absent_kinds(read_json(self.panoptic_json))
        return {
            "panoptic_seg": {
                metric: None if metric.partition("_")[2] in absent else float(value)
                for metric, value in measured["panoptic_seg"].items()
            }
        }


def _without_segments(record: CocoRecord) -> dict[str, Any]:
    """Returns what Detectron2's evaluator notes of an image, with every pixel void."""
    picture = io.BytesIO()
    Image.new("RGB", (record.width, record.height)).save(picture, format="PNG")
    return {
        "image_id": record.image_id,
        "file_name": Path(record.file_name).with_suffix(".png").name,
        "png_string": picture.getvalue(),
        "segments_info": [],
    }


def can_score_panoptic() -> bool:
    """Tells whether panoptic quality can be computed, and says so where it cannot."""
    if panopticapi_is_installed():
        return True
    if comm.is_main_process():
        logger.warning(
            "panopticapi is not installed, so boxes, masks and semantic labels are scored, and "
            "PQ is not: pip install %s",
            PANOPTICAPI,
        )
    return False


@contextlib.contextmanager
def _averages_of_nothing() -> Iterator[None]:
    """Lets panopticapi average over no category at all, where it divides by their number."""
    from panopticapi import evaluation  # pyright: ignore[reportMissingImports]  on no index

    average = evaluation.PQStat.pq_average

    def guarded(stat: Any, categories: Any, isthing: bool | None) -> Any:
        try:
            return average(stat, categories, isthing)
        except ZeroDivisionError:
            return {"pq": 0.0, "sq": 0.0, "rq": 0.0, "n": 0}, {}

    evaluation.PQStat.pq_average = guarded
    try:
        yield
    finally:
        evaluation.PQStat.pq_average = average


def _absent_kinds(content: dict[str, Any]) -> set[str]:
    """Returns which of "" (all), "th" and "st" have no segment in a panoptic file."""
    kinds = {c["id"]: "th" if c["isthing"] else "st" for c in content["categories"]}
    segments = [s for a in content["annotations"] for s in a["segments_info"]]
    found = {kinds[s["category_id"]] for s in segments if not s.get("iscrowd")}
    return {"th", "st"} - found | (set() if found else {""})
