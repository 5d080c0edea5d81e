"""COCO box AP of a portable detector on its test sets. Portable."""

import logging
from collections.abc import Iterator
from typing import Any

import torch

from resnext_det.data.coco import CocoDataset
from resnext_det.data.loaders import build_detection_test_loader
from resnext_det.engines.base import DetectionRun, Metrics
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.evaluation.coco_ap import evaluate_boxes
from resnext_det.evaluation.coco_input import ground_truth_of
from resnext_det.evaluation.results_json import RESULTS_FILE, detections_to_coco, write_results
from resnext_det.training.distributed import all_gather_objects, is_main, rank, world_size

logger = logging.getLogger(__name__)


def evaluate_model(model: FasterRCNN, run: DetectionRun) -> dict[str, Metrics]:
    """Runs the detector over every test set, on every rank's share of the images.

    Args:
        model: the detector, on its device; left in evaluation mode.
        run: the config and the test sets.

    Returns:
        Metrics by test set name; empty on ranks other than the first.
    """
    model.eval()
    results: dict[str, Metrics] = {}
    for name, dataset in run.tests.items():
        logger.info("Evaluating %s: %d images", name, len(dataset.records))
        shares = all_gather_objects(list(_detect(model, run, dataset)))
        if is_main():
            records = [record for share in shares for record in share]
            write_results(run.inference_folder(name) / RESULTS_FILE.name, records)
            results[name] = score(dataset, records)
    return results


def score(dataset: CocoDataset, records: list[dict[str, Any]]) -> Metrics:
    """Returns AP and its kin, and with several classes the AP of each, as Detectron2 does."""
    assert dataset.entry.json_file is not None
    return evaluate_boxes(ground_truth_of(dataset.entry.json_file, dataset.truth), records)


@torch.no_grad()
def _detect(model: FasterRCNN, run: DetectionRun, dataset: CocoDataset) -> Iterator[dict[str, Any]]:
    loader = build_detection_test_loader(
        run.cfg, dataset, rank=rank(), world_size=world_size(), set_aside=run.set_aside
    )
    for samples in loader:
        for sample, detections in zip(samples, model.detect(samples), strict=True):
            yield from detections_to_coco(detections, sample.image_id, dataset.category_ids)
