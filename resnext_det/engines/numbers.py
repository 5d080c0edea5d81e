"""Config values that the data sets settle: classes, keypoints, stuff. Engine-neutral."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fvcore.common.config import CfgNode

from resnext_det.config import LoadedConfig, get_value, with_values
from resnext_det.data.coco import CocoDataset, check_same_classes
from resnext_det.errors import UserError

NUM_CLASSES_KEYS = ("MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.RETINANET.NUM_CLASSES")
POINT_CLASSES = "MODEL.POINT_HEAD.NUM_CLASSES"
NUM_KEYPOINTS = "MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS"
NUM_LABELS = "MODEL.SEM_SEG_HEAD.NUM_CLASSES"
SIGMAS = "TEST.KEYPOINT_OKS_SIGMAS"

COCO_KEYPOINTS = 17
"""The keypoints of COCO's persons, whose OKS sigmas pycocotools and Detectron2 know."""


@dataclass(frozen=True)
class _Number:
    key: str
    value: int
    file: Path | None
    what: str


def with_numbers_of_data(loaded: LoadedConfig, datasets: Iterable[CocoDataset]) -> LoadedConfig:
    """Sets the numbers of classes, keypoints and labels to the data's.

    Args:
        loaded: the config.
        datasets: the sets of the run, at least one; they have to agree.

    Raises:
        UserError: the sets differ, or a key that the user gave contradicts them; or keypoints
            other than COCO's are evaluated without their sigmas.
    """
    datasets = list(datasets)
    first = datasets[0]
    for other in datasets[1:]:
        check_same_classes(first, other)
    numbers = list(_numbers(loaded.cfg, first))
    for number in numbers:
        given = get_value(loaded.cfg, number.key)
        if number.key in loaded.user_given and given != number.value:
            raise UserError(
                f"{number.key} is {given}, but {number.file} has {number.value} {number.what}: "
                f"leave {number.key} out"
            )
    if any(dataset.truth for dataset in datasets):
        _check_sigmas(loaded.cfg, first)
    values = {number.key: number.value for number in numbers}
    return replace(loaded, cfg=with_values(loaded.cfg, values))


def _numbers(cfg: CfgNode, dataset: CocoDataset) -> Iterator[_Number]:
    file, num_classes = dataset.entry.json_file, len(dataset.class_names)
    points = (POINT_CLASSES,) if "PointRend" in cfg.MODEL.ROI_MASK_HEAD.NAME else ()
    for key in (*NUM_CLASSES_KEYS, *points):
        yield _Number(key, num_classes, file, "categories")
    if dataset.keypoints:
        yield _Number(NUM_KEYPOINTS, len(dataset.keypoints.names), file, "keypoints")
    if dataset.stuff:
        panoptic = dataset.stuff.files.json_file
        what = "semantic labels (its stuff classes and one for things)"
        yield _Number(NUM_LABELS, dataset.stuff.num_labels, panoptic, what)


def _check_sigmas(cfg: CfgNode, dataset: CocoDataset) -> None:
    if dataset.keypoints is None:
        return
    number, sigmas = len(dataset.keypoints.names), list(cfg.TEST.KEYPOINT_OKS_SIGMAS)
    if len(sigmas) != number and (sigmas or number != COCO_KEYPOINTS):
        raise UserError(
            f"{SIGMAS} has {len(sigmas)} values, but {dataset.entry.json_file} has {number} "
            "keypoints: keypoint AP needs one for each, how far a point may be off relative to "
            f"its object's size (COCO's lie between 0.025 and 0.107); only for COCO's "
            f"{COCO_KEYPOINTS} may it be left empty"
        )
