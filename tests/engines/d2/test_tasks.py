"""Every detector of Detectron2's trains, is scored by its tasks, and resumes. Detectron2."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnext_det.data.proposals import write_proposals
from resnext_det.data.samplers import BatchPlan, SampleKey
from resnext_det.engines.base import flat_metrics, resolve_engine
from resnext_det.engines.datasets import read_test_sets, read_train_set
from resnext_det.engines.detection import train_detector
from resnext_det.engines.metric_names import metric_names
from resnext_det.engines.numbers import with_numbers_of_data
from resnext_det.errors import UserError
from tests.data.annotated import HEIGHT, NUM_IMAGES, WIDTH
from tests.engines.conftest import Bench
from tests.engines.d2.tasks import (
    DETECTORS,
    KEYPOINT,
    MASK,
    PANOPTIC,
    RPN,
    STORED,
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
    flat = flat_metrics({"": metrics})
    assert {n for n, v in flat.items() if v is not None} <= set(written)
    job = tasks.job("run", *DETECTORS[detector])
    known = metric_names(job.loaded.cfg, read_test_sets(job.loaded.cfg, job.datasets))
    exact = {name for name in known if not name.endswith("*")}
    assert exact == {name for name in flat if "B-Iou" not in name and "Boundary" not in name}


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


@pytest.mark.parametrize(
    "detector", ["Mask and Keypoint R-CNN", "Panoptic FPN", "PointRend", "RPN"]
)
def test_a_checkpoint_evaluates_as_the_run_did(detector: str, tasks: TaskBench) -> None:
    options = DETECTORS[detector]
    trained = tasks.train("run", *options)
    weights = ("MODEL.WEIGHTS", tasks.folder("run") / "model_final.pth")
    # Where the training sets are not known: nothing of theirs is asked for.
    assert tasks.evaluate("again", *options, *weights, "DATASETS.TRAIN", "['gone']") == trained


@pytest.mark.parametrize("options", [MASK, KEYPOINT, PANOPTIC])
def test_a_checkpoint_without_the_head_is_refused(
    options: tuple[object, ...], tasks: TaskBench
) -> None:
    tasks.train("boxes", "DATASETS.TEST", "[]")
    weights = ("MODEL.WEIGHTS", tasks.folder("boxes") / "model_final.pth")
    with pytest.raises(UserError, match=r"model_final\.pth: cannot be evaluated, \d+ tensors"):
        tasks.evaluate("again", *options, *weights)


def test_a_box_detector_starts_a_mask_detector(
    tasks: TaskBench, caplog: pytest.LogCaptureFixture
) -> None:
    tasks.train("boxes", "DATASETS.TEST", "[]")
    weights = ("MODEL.WEIGHTS", tasks.folder("boxes") / "model_final.pth")
    with caplog.at_level("INFO"):
        metrics = tasks.train("masks", *MASK, *weights)
    assert "segm/AP" in metrics
    assert "mask_head" in caplog.text  # the load report names what starts anew


def test_predictions_hold_no_pickled_code(tasks: TaskBench) -> None:
    for name, options in (("both", (*MASK, *KEYPOINT)), ("panoptic", PANOPTIC)):
        tasks.train(name, *options)
        files = list((tasks.folder(name) / "inference").iterdir())
        assert {f.suffix for f in files} <= {".json", ".pth"}
        for file in files:
            if file.suffix == ".pth":
                torch.load(file, weights_only=True)


@pytest.mark.parametrize("detector", ["Mask R-CNN FPN", "Panoptic FPN", "Keypoint R-CNN", "RPN"])
def test_validation_losses_are_those_of_training(detector: str, tasks: TaskBench) -> None:
    tasks.train("run", *DETECTORS[detector], "TEST.VALIDATION_LOSS", True)
    lines = (tasks.folder("run") / "metrics.json").read_text().splitlines()
    names = set().union(*map(json.loads, lines))
    losses = {name for name in names if name.startswith("loss_")}
    assert "loss_rpn_cls" in losses
    assert {f"val/{name}" for name in losses} <= names


def test_proposals_of_an_rpn_train_a_fast_rcnn(tasks: TaskBench) -> None:
    tasks.train("rpn", *RPN)
    file = tasks.folder("rpn") / "inference" / "box_proposals.npz"
    sets = ("DATASETS.PROPOSAL_FILES_TRAIN", f"['{file}']")
    sets += ("DATASETS.PROPOSAL_FILES_TEST", f"['{file}']")
    options = (*STORED, *sets, "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TEST", 50)
    metrics = tasks.train("fast", *options)
    assert set(metrics) == BOXES
    names = _final_weights(tasks.folder("fast"))
    assert not any("proposal_generator" in name for name in names)
    weights = ("MODEL.WEIGHTS", tasks.folder("fast") / "model_final.pth")
    assert tasks.evaluate("again", *options, *weights) == metrics


def test_the_best_proposals_reach_the_detector(tasks: TaskBench) -> None:
    from resnext_det.engines.d2.engine import D2Engine

    file = tasks.bench.folder / "p.npz"
    boxes = [np.float32([[0, 0, 9, 9], [0, 0, 48, 32], [96, 64, 99, 70]])] * NUM_IMAGES
    write_proposals(file, range(NUM_IMAGES), boxes, [np.float32([1, 3, 2])] * NUM_IMAGES)
    options = (*STORED, "DATASETS.PROPOSAL_FILES_TEST", f"['{file}']")
    job = tasks.job("run", *options, "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TEST", 1)
    (test,) = read_test_sets(job.loaded.cfg, job.datasets).values()
    mapper = D2Engine().build_mapper(job.loaded.cfg, is_train=False)
    sample = mapper(test.records[0], None)
    assert sample["image"].shape == (3, 64, 96)
    assert sample["proposals"].proposal_boxes.tensor.tolist() == [[0, 0, 48, 32]]
    assert sample["proposals"].objectness_logits.tolist() == [3.0]


def test_several_test_sets_have_a_folder_of_proposals_each(tasks: TaskBench) -> None:
    job = tasks.job("run", *RPN, "DATASETS.TEST", "['annotated', 'second']")
    second = replace(tasks.entry, name="second")
    train_detector(resolve_engine("d2"), replace(job, datasets={**job.datasets, "second": second}))
    inference = tasks.folder("run") / "inference"
    assert (inference / "annotated" / "box_proposals.npz").is_file()
    assert (inference / "second" / "box_proposals.npz").is_file()
    result = json.loads((tasks.folder("run") / "result.json").read_text())
    assert result["datasets"]["annotated"] == result["datasets"]["second"] == result["metrics"]


def test_a_set_without_masks_is_refused_before_anything_is_written(tasks: TaskBench) -> None:
    path = tasks.entry.json_file
    assert path is not None
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"annotated\.json: none of the 12 annotations has a 'segm"):
        tasks.train("run", *MASK)
    assert not tasks.folder("run").exists()
    assert tasks.train("boxes")["AP"] is not None


def test_a_label_that_is_none_is_named_while_training(tasks: TaskBench) -> None:
    for path in (tasks.entry.image_root.parent / "stuff").iterdir():
        Image.new("L", (WIDTH, HEIGHT), 7).save(path)
    with pytest.raises(UserError, match=r"stuff/\d\.png: a pixel has the label 7; there are 0"):
        tasks.train("run", *PANOPTIC, "DATASETS.TEST", "[]")


@pytest.mark.usefixtures("stand_in")
def test_panoptic_quality_joins_the_other_metrics(tasks: TaskBench) -> None:
    metrics = tasks.train("run", *PANOPTIC)
    kinds = ("", "_th", "_st")
    quality = {f"panoptic_seg/{name}{kind}" for name in ("PQ", "SQ", "RQ") for kind in kinds}
    assert quality | {"AP", "segm/AP", "sem_seg/mIoU"} <= set(metrics)
    found = metrics["panoptic_seg/PQ_st"]
    assert found is not None
    assert found > 0.0  # sky and ground are learnt in a few iterations
    assert (tasks.folder("run") / "inference" / "predictions.json").is_file()


def test_an_image_without_things_trains_its_stuff(tasks: TaskBench) -> None:
    path = tasks.entry.json_file
    assert path is not None
    content = json.loads(path.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == 1]
    path.write_text(json.dumps(content))
    options = (*PANOPTIC, "DATALOADER.FILTER_EMPTY_ANNOTATIONS", False)
    assert tasks.train("run", *options)["sem_seg/mIoU"] is not None


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
