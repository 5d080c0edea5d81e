"""A Detectron2 detector scored on its test sets, each of its tasks. Detectron2."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detectron2.evaluation import DatasetEvaluator, inference_on_dataset
from detectron2.modeling import GeneralizedRCNNWithTTA
from detectron2.utils import comm
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.data.coco import CocoDataset
from resnext_det.data.loaders import Batches, build_detection_test_loader
from resnext_det.engines.base import DetectionRun, Metrics
from resnext_det.engines.d2.build import on_cpu
from resnext_det.engines.d2.evaluators import (
    InstanceEvaluator,
    ProposalEvaluator,
    register_test_set,
)
from resnext_det.engines.d2.loader import SeededMapper
from resnext_det.engines.d2.stuff import (
    PanopticEvaluator,
    StuffEvaluator,
    can_score_panoptic,
)
from resnext_det.structures import Detections
from resnext_det.training.together import await_others

BOX_TASK = "bbox"


def evaluate_model(model: nn.Module, run: DetectionRun, mapper: SeededMapper) -> dict[str, Metrics]:
    """Runs the detector over every test set.

    With `TEST.AUG.ENABLED` each is scored a second time on resized and mirrored images, with
    `_TTA` behind the task in the metrics' names: bbox_TTA/AP.

    Args:
        model: the detector, on its device.
        run: the config and the test sets.
        mapper: makes the input of an image.

    Returns:
        Metrics by test set name; empty on ranks other than the first.
    """
    results: dict[str, Metrics] = {}
    for name, dataset in run.tests.items():
        folder = run.inference_folder(name)
        register_test_set(name, dataset, folder)
        found = _evaluate(model, run, name, mapper, folder)
        if run.cfg.TEST.AUG.ENABLED:
            augmented = GeneralizedRCNNWithTTA(on_cpu(run.cfg), model)
            inference = Path(run.cfg.OUTPUT_DIR) / "inference"
            place = inference.with_name("inference_TTA") / folder.relative_to(inference)
            measured = _evaluate(augmented, run, name, mapper, place)
            found |= {f"{task}_TTA": metrics for task, metrics in measured.items()}
        if found:
            results[name] = named_by_task(found)
    return results


def _evaluate(
    model: nn.Module, run: DetectionRun, name: str, mapper: SeededMapper, folder: Path
) -> dict[str, Metrics]:
    """Returns metrics by task; empty on ranks other than the first."""
    dataset = run.tests[name]
    loader = build_detection_test_loader(
        run.cfg,
        dataset,
        mapper=mapper,
        rank=comm.get_rank(),
        world_size=comm.get_world_size(),
        set_aside=run.set_aside,
    )
    evaluators = build_evaluators(run.cfg, name, dataset, folder)
    return dict(inference_on_dataset(model, _ThenAllMeet(loader), evaluators) or {})


class _ThenAllMeet:
    """The batches of a loader, and after the last the wait for the other processes.

    Detectron2's evaluators would wait in a collective, where no signal reaches the process.
    """

    def __init__(self, loader: Batches[list[Any]]) -> None:
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[list[Any]]:
        yield from self._loader
        await_others(comm.get_world_size())


def build_evaluators(
    cfg: CfgNode, name: str, dataset: CocoDataset, folder: Path
) -> list[DatasetEvaluator]:
    """Returns what scores a detector's tasks on a registered test set.

    Args:
        cfg: the config; reads `MODEL.META_ARCHITECTURE` and `TEST.KEYPOINT_OKS_SIGMAS`.
        name: the name of the set.
        dataset: the set, read for this detector.
        folder: where results go.
    """
    architecture = cfg.MODEL.META_ARCHITECTURE
    if architecture == "ProposalNetwork":
        return [ProposalEvaluator(name, dataset, folder)]
    evaluators: list[DatasetEvaluator] = []
    if architecture != "SemanticSegmentor":
        sigmas = cfg.TEST.KEYPOINT_OKS_SIGMAS
        evaluators.append(InstanceEvaluator(name, dataset, folder, sigmas))
    if dataset.stuff is not None:
        evaluators.append(StuffEvaluator(name, folder))
        if architecture == "PanopticFPN" and can_score_panoptic():
            evaluators.append(PanopticEvaluator(name, dataset, folder))
    return evaluators


def named_by_task(measured: Mapping[str, Metrics]) -> Metrics:
    """Names the metrics of boxes plainly, those of other tasks with their prefix: segm/AP."""
    return {
        metric if task == BOX_TASK else f"{task}/{metric}": value
        for task, metrics in measured.items()
        for metric, value in metrics.items()
    }


def to_detections(output: Mapping[str, Any], class_names: tuple[str, ...]) -> Detections:
    """Returns the boxes in a Detectron2 model's output for one image, on the CPU."""
    if "instances" not in output:
        return Detections.empty(class_names)
    found = output["instances"].to("cpu")
    return Detections(found.pred_boxes.tensor, found.scores, found.pred_classes, class_names)
