"""Every detector of Detectron2's trains, is scored by its tasks, and resumes. Detectron2."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from resnext_det.data.samplers import BatchPlan, SampleKey
from resnext_det.engines.base import flat_metrics
from resnext_det.engines.datasets import read_train_set
from resnext_det.engines.numbers import with_numbers_of_data
from tests.engines.conftest import Bench
from tests.engines.d2.tasks import (
    DETECTORS,
    KEYPOINT,
    MASK,
    PANOPTIC,
    TaskBench,
    make_task_bench,
)
from tests.engines.test_contract import _final_weights, _interrupted_at

pytestmark = pytest.mark.d2

SIZES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
CLASSES = ("AP-red", "AP-green")
BOXES = {*SIZES, *CLASSES}
MASKS = {f"segm/{metric}" for metric in (*SIZES, *CLASSES)}
POINTS = {f"keypoints/{m}" for m in ("AP", "AP50", "AP75", "APm", "APl", *CLASSES)}
LABELS = {f"sem_seg/{metric}" for metric in ("mIoU", "fwIoU", "mACC", "pACC")} | {
    f"sem_seg/{kind}-{name}" for kind in ("IoU", "ACC") for name in ("things", "sky", "ground")
}
PROPOSALS = {f"box_proposals/AR{a}@{n}" for a in ("", "s", "m", "l") for n in (100, 1000)}

EXPECTED = {
    **dict.fromkeys(DETECTORS, BOXES),
    **dict.fromkeys([name for name in DETECTORS if "Mask" in name], BOXES | MASKS),
    "Keypoint R-CNN": BOXES | POINTS,
    "Mask and Keypoint R-CNN": BOXES | MASKS | POINTS,
    "PointRend": BOXES | MASKS,
    "Panoptic FPN": BOXES | MASKS | LABELS,
    "SemanticSegmentor": LABELS,
    "RPN": PROPOSALS,
}


@pytest.fixture
def tasks(bench: Bench, tmp_path: Path) -> TaskBench:
    return make_task_bench(bench, tmp_path / "annotated")


@pytest.mark.parametrize("detector", DETECTORS)
def test_it_trains_and_is_scored_by_its_tasks(detector: str, tasks: TaskBench) -> None:
    metrics = tasks.train("run", *DETECTORS[detector])
    # With OpenCV, Detectron2 scores the labels' boundaries, too.
    assert {name for name in metrics if "B-Iou" not in name and "Boundary" not in name} == EXPECTED[
        detector
    ]
    assert all(value is None or 0.0 <= value <= 100.0 for value in metrics.values())
    assert None not in [v for name, v in metrics.items() if name.endswith(("AP", "mIoU", "AR@100"))]
    lines = (tasks.folder("run") / "metrics.json").read_text().splitlines()
    written: dict[str, Any] = {}
    for line in lines:
        written |= json.loads(line)
    assert {n for n, v in flat_metrics({"": metrics}).items() if v is not None} <= set(written)


@pytest.mark.parametrize("detector", ["Mask R-CNN FPN", "Keypoint R-CNN", "PointRend", "RPN"])
def test_resumed_run_equals_the_uninterrupted_one(
    detector: str, tasks: TaskBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = DETECTORS[detector]
    before = tasks.train("whole", *options)
    with monkeypatch.context() as patch:
        patch.setattr(BatchPlan, "batches", _interrupted_at(4))
        with pytest.raises(KeyboardInterrupt):
            tasks.train("cut", *options)
    assert tasks.train("cut", *options, resume=True) == before
    whole, cut = (_final_weights(tasks.folder(name)) for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.parametrize("detector", ["Mask and Keypoint R-CNN", "Panoptic FPN", "PointRend"])
def test_a_checkpoint_evaluates_as_the_run_did(detector: str, tasks: TaskBench) -> None:
    options = DETECTORS[detector]
    trained = tasks.train("run", *options)
    weights = ("MODEL.WEIGHTS", tasks.folder("run") / "model_final.pth")
    # Where the training sets are not known: nothing of theirs is asked for.
    assert tasks.evaluate("again", *options, *weights, "DATASETS.TRAIN", "['gone']") == trained


def test_predictions_hold_no_pickled_code(tasks: TaskBench) -> None:
    for name, options in (("both", (*MASK, *KEYPOINT)), ("panoptic", PANOPTIC)):
        tasks.train(name, *options)
        files = list((tasks.folder(name) / "inference").iterdir())
        assert {f.suffix for f in files} <= {".json", ".pth"}
        for file in files:
            if file.suffix == ".pth":
                torch.load(file, weights_only=True)


def test_masks_and_boxes_are_scored_on_augmented_images_too(tasks: TaskBench) -> None:
    sizes = ("TEST.AUG.MIN_SIZES", "[48, 64]", "TEST.AUG.MAX_SIZE", 128)
    metrics = tasks.train("run", *MASK, "TEST.AUG.ENABLED", True, *sizes)
    augmented = {f"bbox_TTA/{name}" for name in BOXES}
    augmented |= {name.replace("segm/", "segm_TTA/") for name in MASKS}
    assert set(metrics) == BOXES | MASKS | augmented
    found = tasks.folder("run") / "inference_TTA" / "coco_instances_results.json"
    assert found.is_file()


def test_keypoints_change_sides_in_mirror_images(tasks: TaskBench) -> None:
    """Without that, the left corners of a mirrored rectangle would lie to its right."""
    # Importing the engine registers its backbones, and needs Detectron2.
    from resnext_det.engines.d2.datasets import register_metadata
    from resnext_det.engines.d2.engine import D2Engine

    job = tasks.job("run", *KEYPOINT)
    train = read_train_set(job.loaded.cfg, job.datasets)
    cfg = with_numbers_of_data(job.loaded, [train]).cfg
    register_metadata("annotated", train, Path())
    mapper = D2Engine().build_mapper(cfg, is_train=True)
    middles = []
    for position in range(8):
        instances = mapper(train.records[0], SampleKey(0, position, 0))["instances"]
        points = instances.gt_keypoints.tensor  # (2, 5, 3)
        assert (points[:, (0, 2), 0] < points[:, (1, 3), 0]).all()
        assert (points[:, 4] == 0).all()
        middles.append(points[0, :4, 0].mean() > points[1, :4, 0].mean())
    assert len({bool(mirrored) for mirrored in middles}) == 2
