"""Box AP by Detectron2's COCOEvaluator, with this project's empty cases. Detectron2."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.utils import comm
from torch import nn

from resnext_det.data.coco import CocoDataset
from resnext_det.data.loaders import build_detection_test_loader
from resnext_det.engines.base import DetectionRun, Metrics
from resnext_det.engines.d2.datasets import register_metadata, write_truth
from resnext_det.engines.d2.loader import SeededMapper
from resnext_det.evaluation.coco_ap import evaluate_boxes
from resnext_det.evaluation.coco_input import ground_truth_of
from resnext_det.structures import Detections


class BoxEvaluator(COCOEvaluator):
    """COCOEvaluator for boxes, with the names and the empty cases of the portable engine.

    No detections score 0.0, no ground truth gives None. All ranks construct it together.

    Args:
        name: the name of the data set, which is registered anew.
        dataset: its checked annotations.
        output_dir: where `coco_instances_results.json` goes, and the checked annotations.
    """

    def __init__(self, name: str, dataset: CocoDataset, output_dir: Path) -> None:
        # Detectron2's name for annotations that it converts.
        json_file = output_dir / f"{name}_coco_format.json"
        if comm.is_main_process():
            write_truth(json_file, dataset)
        comm.synchronize()
        register_metadata(name, dataset, json_file)
        super().__init__(name, tasks=("bbox",), output_dir=str(output_dir))
        self.dataset = dataset

    def _derive_coco_results(
        self, coco_eval: Any, iou_type: str, class_names: Any = None
    ) -> dict[str, Any]:
        assert self.dataset.entry.json_file is not None
        truth = ground_truth_of(self.dataset.entry.json_file, self.dataset.truth)
        if coco_eval is None or not truth.dataset["annotations"]:
            return evaluate_boxes(truth, [])
        derived = super()._derive_coco_results(coco_eval, iou_type, list(truth.class_names))
        return {k: None if math.isnan(v) else v for k, v in derived.items()}


def evaluate_model(model: nn.Module, run: DetectionRun, mapper: SeededMapper) -> dict[str, Metrics]:
    """Runs the detector over every registered test set.

    Args:
        model: the detector, on its device.
        run: the config and the test sets.
        mapper: makes the input of an image.

    Returns:
        Metrics by test set name; empty on ranks other than the first.
    """
    results: dict[str, Metrics] = {}
    for name, dataset in run.tests.items():
        loader = build_detection_test_loader(
            run.cfg,
            dataset,
            mapper=mapper,
            rank=comm.get_rank(),
            world_size=comm.get_world_size(),
        )
        evaluator = BoxEvaluator(name, dataset, run.inference_folder(name))
        measured = inference_on_dataset(model, loader, evaluator)
        if measured:
            results[name] = measured["bbox"]
    return results


def to_detections(output: Mapping[str, Any], class_names: tuple[str, ...]) -> Detections:
    """Returns the boxes in a Detectron2 model's output for one image, on the CPU."""
    if "instances" not in output:
        return Detections.empty(class_names)
    found = output["instances"].to("cpu")
    return Detections(found.pred_boxes.tensor, found.scores, found.pred_classes, class_names)
