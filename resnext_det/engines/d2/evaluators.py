"""Detectron2's COCO evaluators, with this project's empty cases and files. Detectron2.

No detections score 0.0, no ground truth gives None, for every task. All ranks construct an
evaluator together.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from resnext_det.data.coco import CocoDataset, CocoRecord
from resnext_det.data.proposals import PROPOSALS_FILE, write_proposals
from resnext_det.engines.base import Metrics
from resnext_det.engines.d2.datasets import register_metadata, write_truth
from resnext_det.evaluation.coco_ap import evaluate_boxes
from resnext_det.evaluation.coco_input import ground_truth_of

# Area ranges of AR, Detectron2's and COCO's: below 32 x 32 px small, from 96 x 96 px large.
AREAS = {"": (0.0, 1e10), "s": (0.0, 1024.0), "m": (1024.0, 9216.0), "l": (9216.0, 1e10)}


def register_test_set(name: str, dataset: CocoDataset, folder: Path) -> None:
    """Writes the checked annotations and tells Detectron2 of them; to be called by all ranks.

    Args:
        name: the name of the set, which is registered anew.
        dataset: its checked annotations.
        folder: where they are written.
    """
    json_file = folder / f"{name}_coco_format.json"  # Detectron2's name for what it converts
    if comm.is_main_process():
        write_truth(json_file, dataset)
    comm.synchronize()
    register_metadata(name, dataset, json_file)


class InstanceEvaluator(COCOEvaluator):
    """AP of boxes, and of masks and keypoints where the data hold them.

    Args:
        name: the name of a registered test set.
        dataset: the set.
        folder: where `coco_instances_results.json` goes.
        sigmas: OKS sigmas of the keypoints; none for COCO's own.
    """

    def __init__(
        self, name: str, dataset: CocoDataset, folder: Path, sigmas: Sequence[float] = ()
    ) -> None:
        tasks = ["bbox"]
        if dataset.records[0].outlines is not None:
            tasks.append("segm")
        if dataset.keypoints is not None:
            tasks.append("keypoints")
        super().__init__(name, tasks, output_dir=str(folder), kpt_oks_sigmas=list(sigmas))
        assert dataset.entry.json_file is not None
        assert dataset.truth is not None
        self.truth = ground_truth_of(dataset.entry.json_file, dataset.truth)
        self.dataset = dataset

    def _eval_predictions(
        self, predictions: list[dict[str, Any]], img_ids: list[int] | None = None
    ) -> None:
        # Without it the results are written all the same.
        self._do_evaluation = bool(self.truth.dataset["annotations"])
        super()._eval_predictions(predictions, img_ids)
        if not self._do_evaluation:
            self._results |= {task: self._without_detections(task) for task in self._tasks}

    def _derive_coco_results(
        self, coco_eval: Any, iou_type: str, class_names: Any = None
    ) -> dict[str, Any]:
        if coco_eval is None:
            return self._without_detections(iou_type)
        derived = super()._derive_coco_results(coco_eval, iou_type, list(self.truth.class_names))
        return none_for_nan(derived)

    def _without_detections(self, task: str) -> Metrics:
        """Returns 0.0 for what could have been found, None for the rest."""
        if task != "keypoints":
            return dict(self._missed_boxes)  # which objects count does not depend on masks
        assert self.dataset.truth is not None
        objects = self.dataset.truth["annotations"]
        labelled = [a for a in objects if a["num_keypoints"]]
        metrics = dict(self._missed_boxes)
        if len(labelled) < len(objects):
            content = {**self.dataset.truth, "annotations": labelled}
            metrics = evaluate_boxes(ground_truth_of(self.truth.path, content), [])
        del metrics["APs"]  # COCO has no small keypoint objects
        return metrics

    @cached_property
    def _missed_boxes(self) -> Metrics:
        return evaluate_boxes(self.truth, [])


class ProposalEvaluator(COCOEvaluator):
    """AR of proposals, which are written for a Fast R-CNN.

    Args:
        name: the name of a registered test set.
        dataset: the set.
        folder: where `box_proposals.npz` goes.
    """

    def __init__(self, name: str, dataset: CocoDataset, folder: Path) -> None:
        # Without its own folder, into which Detectron2 would pickle the predictions.
        super().__init__(name, tasks=[])
        self.dataset, self.folder = dataset, folder

    def _eval_box_proposals(self, predictions: list[dict[str, Any]]) -> None:
        broken = self._broken(predictions)
        found = [p["proposals"] for p in predictions] + [p["proposals"][:0] for p in broken]
        predictions = predictions + broken
        write_proposals(
            self.folder / PROPOSALS_FILE,
            [prediction["image_id"] for prediction in predictions],
            [proposals.proposal_boxes.tensor.numpy() for proposals in found],
            [proposals.objectness_logits.numpy() for proposals in found],
        )
        super()._eval_box_proposals(predictions)
        metrics = self._results["box_proposals"]
        for name, value in metrics.items():
            area = name.removeprefix("AR").partition("@")[0]
            metrics[name] = value if not math.isnan(value) else self._without_proposals(area)

    def _broken(self, predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns for each image that could not be read one proposal without area.

        Detectron2 would not count its objects as missed where there is none.
        """
        read = {prediction["image_id"] for prediction in predictions}
        left = [record for record in self.dataset.records if record.image_id not in read]
        return [{"image_id": r.image_id, "proposals": _nothing_proposed(r)} for r in left]

    def _without_proposals(self, area: str) -> float | None:
        assert self.dataset.truth is not None
        low, high = AREAS[area]
        objects = [a for a in self.dataset.truth["annotations"] if not a["iscrowd"]]
        return 0.0 if any(low <= a["area"] <= high for a in objects) else None


def _nothing_proposed(record: CocoRecord) -> Instances:
    return Instances(
        (record.height, record.width),
        proposal_boxes=Boxes(torch.zeros(1, 4)),
        objectness_logits=torch.zeros(1),
    )


def none_for_nan(metrics: dict[str, float]) -> Metrics:
    """Returns metrics with None where Detectron2 has no value."""
    return {name: None if math.isnan(value) else float(value) for name, value in metrics.items()}
