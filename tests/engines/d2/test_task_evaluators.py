"""Scores of known predictions: the truth itself, nothing at all, and no truth. Detectron2."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as pycocotools_mask

from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.data.needs import Needs
from resnext_det.data.proposals import attach_proposals, read_rows
from resnext_det.engines.base import Metrics
from tests.data.annotated import HEIGHT, WIDTH, Content, write_annotated

pytestmark = pytest.mark.d2

EVERYTHING = Needs(masks=True, keypoints=True, stuff=True)
SIGMAS = [0.1] * 5
Results = dict[str, dict[str, float | None]]


def load(folder: Path, change: Callable[[Content], None] = lambda _: None) -> CocoDataset:
    return load_coco(write_annotated(folder, change), training=False, needs=EVERYTHING)


def register(dataset: CocoDataset, folder: Path) -> None:
    from resnext_det.engines.d2.evaluators import register_test_set

    register_test_set("annotated", dataset, folder)


def inputs_of(dataset: CocoDataset) -> list[dict[str, Any]]:
    return [
        {"image_id": r.image_id, "file_name": r.file_name, "height": HEIGHT, "width": WIDTH}
        for r in dataset.records
    ]


def instances(record: Any, *, found: bool) -> Any:
    """The truth as predictions, best score first; or none."""
    from detectron2.structures import Boxes, Instances

    rows = np.flatnonzero(~record.iscrowd) if found else np.zeros(0, int)
    drawn = np.zeros((len(rows), HEIGHT, WIDTH), bool)
    for number, row in enumerate(rows):
        polygons = [polygon.tolist() for polygon in record.outlines[row]]
        runs = pycocotools_mask.merge(pycocotools_mask.frPyObjects(polygons, HEIGHT, WIDTH))
        drawn[number] = np.asarray(pycocotools_mask.decode(runs), bool)  # pyright: ignore
    predicted = Instances((HEIGHT, WIDTH))
    predicted.pred_boxes = Boxes(torch.from_numpy(record.boxes[rows]))
    predicted.scores = torch.linspace(0.9, 0.8, len(rows))
    predicted.pred_classes = torch.from_numpy(record.classes[rows])
    predicted.pred_masks = torch.from_numpy(drawn)
    # As a keypoint head gives them: at the middles of pixels, with a score.
    predicted.pred_keypoints = torch.from_numpy(record.keypoints[rows]).float()
    predicted.pred_keypoints[..., :2] += 0.5
    return predicted


def score_instances(dataset: CocoDataset, folder: Path, *, found: bool) -> Results:
    from resnext_det.engines.d2.evaluators import InstanceEvaluator

    register(dataset, folder)
    evaluator = InstanceEvaluator("annotated", dataset, folder, SIGMAS)
    evaluator.reset()
    for given, record in zip(inputs_of(dataset), dataset.records, strict=True):
        evaluator.process([given], [{"instances": instances(record, found=found)}])
    return evaluator.evaluate()


def test_the_truth_scores_100_in_every_task(tmp_path: Path) -> None:
    results = score_instances(load(tmp_path / "set"), tmp_path / "out", found=True)
    assert list(results) == ["bbox", "keypoints", "segm"]
    for task, metrics in results.items():
        for name in ("AP", "AP50", "AP75", "AP-red", "AP-green"):
            assert metrics[name] == pytest.approx(100.0), (task, name)
        assert metrics["APl"] is None  # no object is that large


def test_no_detections_score_0_where_there_is_something_to_find(tmp_path: Path) -> None:
    results = score_instances(load(tmp_path / "set"), tmp_path / "out", found=False)
    perfect = score_instances(load(tmp_path / "set2"), tmp_path / "out2", found=True)
    for task, metrics in results.items():
        assert metrics == {
            name: None if value is None else 0.0 for name, value in perfect[task].items()
        }


def test_unlabelled_keypoints_are_not_there_to_be_found(tmp_path: Path) -> None:
    def unlabel(content: Content) -> None:
        for annotation in content["annotations"]:
            annotation["keypoints"] = [0] * 15

    results = score_instances(load(tmp_path / "set", unlabel), tmp_path / "out", found=False)
    assert results["segm"]["AP"] == 0.0
    assert set(results["keypoints"].values()) == {None}


def test_no_truth_scores_none_in_every_task(tmp_path: Path) -> None:
    def strip(content: Content) -> None:
        content["annotations"] = []

    whole = load(tmp_path / "whole")
    bare = load(tmp_path / "set", strip)
    from resnext_det.engines.d2.evaluators import InstanceEvaluator

    register(bare, tmp_path / "out")
    evaluator = InstanceEvaluator("annotated", bare, tmp_path / "out", SIGMAS)
    evaluator.reset()
    for given, record in zip(inputs_of(bare), whole.records, strict=True):
        evaluator.process([given], [{"instances": instances(record, found=True)}])
    results = evaluator.evaluate()
    assert {value for metrics in results.values() for value in metrics.values()} == {None}
    assert set(results) == {"bbox", "segm", "keypoints"}


def score_proposals(
    dataset: CocoDataset, folder: Path, boxes_of: Callable[[Any], np.ndarray], broken: int = 0
) -> dict[str, float | None]:
    from detectron2.structures import Boxes, Instances

    from resnext_det.engines.d2.evaluators import ProposalEvaluator

    register(dataset, folder)
    evaluator = ProposalEvaluator("annotated", dataset, folder)
    evaluator.reset()
    for given, record in list(zip(inputs_of(dataset), dataset.records, strict=True))[broken:]:
        proposals = Instances((HEIGHT, WIDTH))
        proposals.proposal_boxes = Boxes(torch.from_numpy(boxes_of(record)))
        proposals.objectness_logits = torch.arange(len(proposals)).float()
        evaluator.process([given], [{"proposals": proposals}])
    return evaluator.evaluate()["box_proposals"]


def test_proposals_that_are_the_truth_recall_all_of_it(tmp_path: Path) -> None:
    dataset = load(tmp_path / "set")
    metrics = score_proposals(dataset, tmp_path / "out", lambda r: r.boxes[~r.iscrowd])
    assert metrics["AR@100"] == metrics["ARs@1000"] == pytest.approx(100.0)
    assert metrics["ARl@100"] is None
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "annotated_coco_format.json",
        "box_proposals.npz",
    }
    stored = attach_proposals(dataset, str(tmp_path / "out" / "box_proposals.npz"))
    for record in stored.records:
        assert record.proposals is not None
        boxes, logits = read_rows(record.proposals)
        np.testing.assert_array_equal(boxes, record.boxes[~record.iscrowd][::-1])
        assert logits.tolist() == [1.0, 0.0]


def test_no_proposals_recall_0_of_what_is_there(tmp_path: Path) -> None:
    none = score_proposals(
        load(tmp_path / "set"), tmp_path / "out", lambda _: np.zeros((0, 4), np.float32)
    )
    assert none["AR@100"] == none["ARs@100"] == 0.0
    assert none["ARl@100"] is None


def test_objects_of_a_broken_image_are_not_recalled(tmp_path: Path) -> None:
    dataset = load(tmp_path / "set")
    metrics = score_proposals(dataset, tmp_path / "out", lambda r: r.boxes[~r.iscrowd], broken=1)
    counts = [int((~record.iscrowd).sum()) for record in dataset.records]
    assert counts[0] > 0
    assert metrics["AR@100"] == pytest.approx(100.0 * sum(counts[1:]) / sum(counts))
    stored = attach_proposals(dataset, str(tmp_path / "out" / "box_proposals.npz"))
    numbers = [len(read_rows(r.proposals)[0]) for r in stored.records if r.proposals is not None]
    assert numbers == [0, *counts[1:]]


def stuff_results(dataset: CocoDataset, folder: Path) -> dict[str, Metrics]:
    """What a detector scores that labels every pixel as the files do."""
    from resnext_det.engines.d2.stuff import StuffEvaluator

    register(dataset, folder)
    evaluator = StuffEvaluator("annotated", folder)
    evaluator.reset()
    for given, record in zip(inputs_of(dataset), dataset.records, strict=True):
        evaluator.process([given], [{"sem_seg": _scores(labels_of(record))}])
    results = evaluator.evaluate()
    assert results is not None
    return results


def test_labels_that_are_the_truth_score_100(tmp_path: Path) -> None:
    results = stuff_results(load(tmp_path / "set"), tmp_path / "out")
    for name in ("mIoU", "pACC", "IoU-things", "IoU-sky", "IoU-ground"):
        assert results["sem_seg"][name] == pytest.approx(100.0)
    rows = json.loads((tmp_path / "out" / "sem_seg_predictions.json").read_text())
    assert {row["category_id"] for row in rows} == {0, 20, 12}  # ids of the panoptic file


def test_a_label_that_no_pixel_has_scores_none(tmp_path: Path) -> None:
    entry = write_annotated(tmp_path / "set")
    for path in (tmp_path / "set" / "stuff").iterdir():
        Image.new("L", (WIDTH, HEIGHT), 1).save(path)
    dataset = load_coco(entry, training=False, needs=EVERYTHING)
    results = stuff_results(dataset, tmp_path / "out")
    assert results["sem_seg"]["IoU-sky"] == pytest.approx(100.0)
    assert results["sem_seg"]["IoU-ground"] is None


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("found", "broken"), [(True, 0), (False, 0), (True, 1)], ids=["truth", "nothing", "broken"]
)
def test_panoptic_quality_of_the_truth_and_of_nothing(
    tmp_path: Path, found: bool, broken: int
) -> None:
    """Nothing: every pixel void; so it is with an image that could not be read."""
    from resnext_det.engines.d2.stuff import PanopticEvaluator, panopticapi_is_installed

    dataset = load(tmp_path / "set")
    register(dataset, tmp_path / "out")
    assert panopticapi_is_installed()
    evaluator = PanopticEvaluator("annotated", dataset, tmp_path / "out")
    evaluator.reset()
    for given, record in list(zip(inputs_of(dataset), dataset.records, strict=True))[broken:]:
        ids = np.asarray(Image.open(tmp_path / "set" / "panoptic" / f"{record.image_id}.png"))
        segments = [
            {"id": 1, "isthing": False, "category_id": 1, "area": 9},
            {"id": 2, "isthing": False, "category_id": 2, "area": 9},
            {"id": 3, "isthing": True, "category_id": 0, "score": 0.9, "instance_id": 0},
            {"id": 4, "isthing": True, "category_id": 1, "score": 0.9, "instance_id": 1},
        ]
        panoptic = torch.from_numpy(ids[..., 0].astype(np.int32)) * found
        output = {"panoptic_seg": (panoptic, segments if found else [])}
        evaluator.process([given], [output])
    results = evaluator.evaluate()
    assert results is not None
    # Each image has a segment of each class: of N, one is missed, PQ = (N - 1) / (N - 1 + 1 / 2).
    right = len(dataset.records) - broken
    quality = 100.0 * right / (right + broken / 2) if found else 0.0
    for part in ("", "_th", "_st"):
        assert results["panoptic_seg"][f"PQ{part}"] == pytest.approx(quality)
        assert results["panoptic_seg"][f"RQ{part}"] == pytest.approx(quality)
        assert results["panoptic_seg"][f"SQ{part}"] == pytest.approx(100.0 if found else 0.0)


@pytest.mark.usefixtures("stand_in")
def test_panoptic_quality_of_things_that_are_not_there_is_none(tmp_path: Path) -> None:
    from resnext_det.engines.d2.stuff import PanopticEvaluator

    dataset = load(tmp_path / "set")
    assert dataset.stuff is not None
    path = dataset.stuff.files.json_file
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["segments_info"] = annotation["segments_info"][:2]
    path.write_text(json.dumps(content))
    register(dataset, tmp_path / "out")
    evaluator = PanopticEvaluator("annotated", dataset, tmp_path / "out")
    evaluator.reset()
    for given in inputs_of(dataset):
        empty = torch.zeros(HEIGHT, WIDTH, dtype=torch.int32)
        evaluator.process([given], [{"panoptic_seg": (empty, [])}])
    results = evaluator.evaluate()
    assert results is not None
    assert results["panoptic_seg"]["PQ_th"] is None
    assert results["panoptic_seg"]["PQ_st"] == results["panoptic_seg"]["PQ"] == 0.0


def test_one_line_says_what_panopticapi_would_bring(caplog: pytest.LogCaptureFixture) -> None:
    from resnext_det.engines.d2.stuff import can_score_panoptic

    with caplog.at_level(logging.WARNING):
        installed = can_score_panoptic()
    lines = [line for line in caplog.messages if "panopticapi" in line]
    said = (
        "panopticapi is not installed, so boxes, masks and semantic labels are scored, and PQ is "
        "not: pip install git+https://github.com/cocodataset/panopticapi"
    )
    assert lines == ([] if installed else [said])


def labels_of(record: Any) -> np.ndarray:
    labels = np.asarray(Image.open(record.label_file)).astype(np.int64)
    return np.where(labels == 255, 0, labels)


def _scores(labels: np.ndarray) -> torch.Tensor:
    """(3, H, W) scores whose best are the labels."""
    return torch.nn.functional.one_hot(torch.from_numpy(labels), 3).permute(2, 0, 1).float()


def test_scores_are_those_of_detectron2s_own_evaluator(tmp_path: Path) -> None:
    """On its own reading of the same file, for predictions that are half right."""
    from detectron2.data import DatasetCatalog, MetadataCatalog
    from detectron2.data.datasets import register_coco_instances
    from detectron2.evaluation import COCOEvaluator

    def complete(content: Content) -> None:  # without these, its evaluator breaks off
        content["annotations"][-1] |= {"keypoints": [0] * 15, "num_keypoints": 0}

    dataset = load(tmp_path / "set", complete)
    assert dataset.entry.json_file is not None
    name = "annotated_by_detectron2"
    register_coco_instances(name, {}, str(dataset.entry.json_file), str(dataset.entry.image_root))
    try:
        DatasetCatalog.get(name)
        tasks = ("bbox", "segm", "keypoints")
        theirs = COCOEvaluator(name, tasks, output_dir=str(tmp_path), kpt_oks_sigmas=SIGMAS)
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    from resnext_det.engines.d2.evaluators import InstanceEvaluator

    register(dataset, tmp_path / "out")
    ours = InstanceEvaluator("annotated", dataset, tmp_path / "out", SIGMAS)
    results = []
    for evaluator in (ours, theirs):
        evaluator.reset()
        for given, record in zip(inputs_of(dataset), dataset.records, strict=True):
            evaluator.process([given], [{"instances": _shifted(instances(record, found=True))}])
        results.append(evaluator.evaluate())
    mine, reference = results
    assert mine.keys() == reference.keys()
    for task, metrics in reference.items():
        assert mine[task].keys() == metrics.keys()
        for metric, value in metrics.items():
            assert mine[task][metric] == (None if np.isnan(value) else value), (task, metric)
        assert 0.0 < metrics["AP"] < 100.0


def _shifted(found: Any) -> Any:
    """The predictions moved to the right by 2 px, and the masks and keypoints with them."""
    found.pred_boxes.tensor[:, 0::2] += 2
    found.pred_masks = torch.roll(found.pred_masks, 2, dims=2)
    found.pred_keypoints[..., 0] += 2
    return found
