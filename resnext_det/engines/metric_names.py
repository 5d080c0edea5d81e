"""The names that an evaluation will write to metrics.json. Engine-neutral."""

from collections.abc import Iterator, Mapping, Sequence

from fvcore.common.config import CfgNode

from resnext_det.data.coco import CocoDataset
from resnext_det.data.needs import needs_of
from resnext_det.engines.base import metric_prefix, panopticapi_is_installed
from resnext_det.training.best import TOTAL_LOSS

_AREAS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_KEYPOINTS = ("AP", "AP50", "AP75", "APm", "APl")  # no keypoints are annotated on small objects
_PROPOSALS = tuple(f"AR{area}@{limit}" for limit in (100, 1000) for area in ("", "s", "m", "l"))
_SEMANTIC = ("mIoU", "fwIoU", "mACC", "pACC")
_PANOPTIC = tuple(
    f"{quality}{kind}" for quality in ("PQ", "SQ", "RQ") for kind in ("", "_th", "_st")
)


def metric_names(cfg: CfgNode, tests: Mapping[str, CocoDataset]) -> list[str]:
    """Returns the names; one that ends in `*` stands for all that begin so.

    Args:
        cfg: the configuration.
        tests: the test sets by name.
    """
    return [
        f"{metric_prefix(name, tests)}{metric}"
        for name, dataset in tests.items()
        for metric in _of_one_set(cfg, dataset)
    ]


def _of_one_set(cfg: CfgNode, dataset: CocoDataset) -> Iterator[str]:
    for task, metrics in _tasks(cfg, dataset):
        yield from (f"{task}/{metric}" for metric in metrics)
        if cfg.TEST.AUG.ENABLED:
            yield from (f"{task}_TTA/{metric}" for metric in metrics)
    if cfg.TEST.VALIDATION_LOSS:
        yield from (TOTAL_LOSS, "val/loss*")


def _tasks(cfg: CfgNode, dataset: CocoDataset) -> Iterator[tuple[str, Sequence[str]]]:
    """Yields each task that is scored and its metrics."""
    needs, classes = needs_of(cfg), dataset.class_names
    architecture = cfg.MODEL.META_ARCHITECTURE
    if architecture == "ProposalNetwork":
        yield "box_proposals", _PROPOSALS
        return
    per_class = [f"AP-{name}" for name in classes] if len(classes) > 1 else []
    if needs.objects:
        yield "bbox", (*_AREAS, *per_class)
        if needs.masks:
            yield "segm", (*_AREAS, *per_class)
        if needs.keypoints:
            yield "keypoints", (*_KEYPOINTS, *per_class)
    if dataset.stuff is not None:
        labels = ("things", *dataset.stuff.names)
        per_label = (f"{kind}-{label}" for kind in ("IoU", "ACC") for label in labels)
        yield "sem_seg", (*_SEMANTIC, *per_label, "BoundaryIoU-*", "min(IoU, B-Iou)-*")
        if architecture == "PanopticFPN" and panopticapi_is_installed():
            yield "panoptic_seg", _PANOPTIC
