"""The names that an evaluation will write to metrics.json. Engine-neutral."""

from collections.abc import Iterator, Mapping

from fvcore.common.config import CfgNode

from resnext_det.data.coco import CocoDataset
from resnext_det.data.needs import needs_of
from resnext_det.training.best import TOTAL_LOSS

# The only detectors whose metrics are all known here.
_BOX_DETECTORS = ("GeneralizedRCNN", "RetinaNet")
_AREAS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_KEYPOINTS = ("AP", "AP50", "AP75", "APm", "APl")  # no keypoints are annotated on small objects


def metric_names(cfg: CfgNode, tests: Mapping[str, CocoDataset]) -> list[str]:
    """Returns the names; one that ends in `*` stands for all that begin so.

    Args:
        cfg: the configuration.
        tests: the test sets by name.
    """
    return [
        f"{'' if len(tests) == 1 else f'{name}/'}{metric}"
        for name, dataset in tests.items()
        for metric in _of_one_set(cfg, dataset)
    ]


def _of_one_set(cfg: CfgNode, dataset: CocoDataset) -> Iterator[str]:
    needs, classes = needs_of(cfg), dataset.class_names
    per_class = [f"AP-{name}" for name in classes] if len(classes) > 1 else []
    if cfg.MODEL.META_ARCHITECTURE not in _BOX_DETECTORS:
        yield from ("bbox/*", "segm/*", "keypoints/*", "sem_seg/*", "panoptic_seg/*")
        yield "box_proposals/*"
    else:
        yield from (f"bbox/{metric}" for metric in (*_AREAS, *per_class))
        if needs.masks:
            yield from (f"segm/{metric}" for metric in (*_AREAS, *per_class))
        if needs.keypoints:
            yield from (f"keypoints/{metric}" for metric in (*_KEYPOINTS, *per_class))
    if cfg.TEST.VALIDATION_LOSS:
        yield from (TOTAL_LOSS, "val/loss*")
