"""COCO AP against published vectors, pycocotools and hand-made cases."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import read_rows, read_truth
from resnext_det.evaluation.coco_ap import (
    METRICS,
    evaluate_arrays,
    evaluate_boxes,
    evaluate_coco,
    evaluate_coco_per_class,
    stats_of,
)
from resnext_det.evaluation.coco_input import ground_truth_of

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "evaluator"
VECTOR_NAMES = sorted(p.parent.name for p in VECTORS.glob("*/expected.json"))
Vectors = Callable[..., tuple[Path, Path]]
BACKENDS = ("hotcoco", "pycocotools")

CASES = {
    "plain": {},
    "crowds": {"crowd_share": 0.4},
    "ties": {"tied_scores": True},
    "crowds and ties": {"crowd_share": 0.3, "tied_scores": True, "num_images": 40},
    "many classes": {"num_classes": 80, "num_images": 60},
    "one class": {"num_classes": 1},
    "more than 100 detections": {"num_images": 4, "max_detections": 400, "num_classes": 1},
    "no area given": {"with_area": False},
    "no detections": {"max_detections": 0},
    "no ground truth": {"max_boxes": 0},
    "neither": {"max_boxes": 0, "max_detections": 0},
}


def as_stat(value: float | None) -> float:
    return -1.0 if value is None else value / 100


@pytest.mark.skipif(not VECTOR_NAMES, reason=f"needs the evaluation vectors in {VECTORS}")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", VECTOR_NAMES)
def test_published_vectors(name: str, backend: str) -> None:
    expected = json.loads((VECTORS / name / "expected.json").read_text())
    if expected["iou_type"] != "bbox":
        pytest.skip(f"{name} is a vector of {expected['iou_type']}; only boxes are scored here")
    files = VECTORS / name / "gt.json", VECTORS / name / "dt.json"

    metrics = evaluate_coco(*files, backend=backend)
    assert {k: as_stat(v) for k, v in metrics.items()} == pytest.approx(
        expected["stats"], abs=1e-12
    )

    per_class = evaluate_coco_per_class(*files, backend=backend)
    rows = [expected["per_category"][k] for k in sorted(expected["per_category"], key=int)]
    assert len(per_class) == len(rows)
    for found, row in zip(per_class.values(), rows, strict=True):
        assert {k: as_stat(v) for k, v in found.items()} == pytest.approx(row, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_hotcoco_equals_pycocotools(case: str, seed: int, make_vector: Vectors) -> None:
    files = make_vector(seed=seed, **CASES[case])
    fast, reference = (evaluate_coco(*files, backend=b) for b in BACKENDS)
    assert {k: v is None for k, v in fast.items()} == {k: v is None for k, v in reference.items()}
    assert {k: as_stat(v) for k, v in fast.items()} == pytest.approx(
        {k: as_stat(v) for k, v in reference.items()}, abs=1e-9
    )
    fast_classes, reference_classes = (evaluate_coco_per_class(*files, backend=b) for b in BACKENDS)
    assert list(fast_classes) == list(reference_classes)
    for name, row in fast_classes.items():
        assert row == pytest.approx(reference_classes[name], abs=1e-9)


@pytest.mark.parametrize("case", ["plain", "crowds and ties", "more than 100 detections"])
def test_equals_pycocotools_on_the_raw_files(
    case: str, make_vector: Vectors, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ids we replace do not change what pycocotools itself says of the files."""
    gt_file, dt_file = make_vector(seed=7, **CASES[case])
    truth = COCO(str(gt_file))
    evaluation = COCOeval(truth, truth.loadRes(str(dt_file)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    capsys.readouterr()
    ours = [as_stat(v) for v in evaluate_coco(gt_file, dt_file).values()]
    assert ours == pytest.approx(evaluation.stats.tolist(), abs=1e-9)
    scores = evaluate_arrays(read_truth(gt_file), read_rows(dt_file, read_truth(gt_file))).eval
    exact = stats_of(scores["precision"], scores["recall"])
    assert exact.tolist() == evaluation.stats.tolist()
    assert capsys.readouterr().out == ""


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def one_box(**changes: object) -> dict:
    annotation = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 40, 40], "area": 1600}
    return {
        "images": [{"id": 1}],
        "categories": [{"id": 3, "name": "cell"}],
        "annotations": [{**annotation, **changes}],
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_of_three_thresholds(backend: str, tmp_path: Path) -> None:
    """An IoU of exactly 0.75 counts at 0.50, 0.55 … 0.75: six of ten thresholds."""
    gt = write(tmp_path / "gt.json", one_box())
    found = [{"image_id": 1, "category_id": 3, "bbox": [0, 0, 40, 30], "score": 0.5}]
    metrics = evaluate_coco(gt, found, backend=backend)
    assert metrics["AP"] == pytest.approx(60.0)
    assert (metrics["AP50"], metrics["AP75"]) == (pytest.approx(100.0), pytest.approx(100.0))
    assert metrics["APm"] == pytest.approx(60.0)
    assert metrics["APs"] is None
    assert metrics["APl"] is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_detections_is_zero_and_no_truth_is_none(backend: str, tmp_path: Path) -> None:
    gt = write(tmp_path / "gt.json", one_box())
    assert evaluate_coco(gt, [], backend=backend)["AP"] == 0.0
    nothing = write(tmp_path / "none.json", {**one_box(), "annotations": []})
    assert evaluate_coco(nothing, [], backend=backend) == dict.fromkeys(METRICS)
    assert evaluate_coco_per_class(nothing, [], backend=backend)["cell"]["AP"] is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_ids_of_any_kind(backend: str, tmp_path: Path) -> None:
    """Annotation id 0 and image ids that are words count like any other."""
    content = one_box(id=0, image_id="left")
    content["images"] = [{"id": "left"}, {"id": "right"}]
    gt = write(tmp_path / "gt.json", content)
    found = [{"image_id": "left", "category_id": 3, "bbox": [0, 0, 40, 40], "score": 0.5}]
    assert evaluate_coco(gt, found, backend=backend)["AP"] == pytest.approx(100.0)


def test_classes_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    content = one_box()
    content["categories"] = [{"id": 3, "name": "cell"}, {"id": 9, "name": "cell"}]
    per_class = evaluate_coco_per_class(write(tmp_path / "gt.json", content), [])
    assert list(per_class) == ["cell (id 3)", "cell (id 9)"]


def test_boxes_are_scored_under_the_names_of_a_run(make_vector: Vectors) -> None:
    files = make_vector(seed=1)
    truth = ground_truth_of(files[0], json.loads(files[0].read_text()))
    overall, per_class = evaluate_coco(*files), evaluate_coco_per_class(*files)
    expected = {name: overall[name] for name in METRICS[:6]}
    expected |= {f"AP-{name}": row["AP"] for name, row in per_class.items()}
    assert evaluate_boxes(truth, files[1]) == expected


def test_one_class_has_no_line_of_its_own(tmp_path: Path) -> None:
    truth = ground_truth_of(tmp_path / "gt.json", one_box())
    assert tuple(evaluate_boxes(truth, [])) == METRICS[:6]


def test_want_of_annotations_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = ground_truth_of(tmp_path / "gt.json", {**one_box(), "annotations": []})
    with caplog.at_level("WARNING"):
        metrics = evaluate_boxes(truth, [GOOD])
    assert metrics == dict.fromkeys(METRICS[:6])
    assert [line.split("gt.json")[1] for line in caplog.messages] == [
        ": no annotations, so nothing is scored"
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_in_other_encodings_is_scored(encoding: str, tmp_path: Path) -> None:
    gt = tmp_path / "gt.json"
    gt.write_bytes(json.dumps(one_box()).encode(encoding))
    assert evaluate_coco(gt, [GOOD])["AP"] == pytest.approx(100.0)


GOOD = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 40, 40], "score": 0.5}


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([{**GOOD, "image_id": 8}], "record 0 has image_id 8, which"),
        ([GOOD, {**GOOD, "category_id": 1}], "record 1 has category_id 1, which"),
        ([{**GOOD, "bbox": [0, 0, 1]}], "record 0 is not a COCO box result"),
        ([{"image_id": 1}], "record 0 is not a COCO box result"),
        ([{**GOOD, "score": None}], "record 0 is not a COCO box result"),
        (["box"], "record 0 is not a COCO box result"),
        ([{**GOOD, "score": math.nan}], "record 0 has a bbox or score that is not finite"),
        ([{**GOOD, "score": math.inf}], "record 0 has a bbox or score that is not finite"),
        ([{**GOOD, "score": 10**400}], "record 0 is not a COCO box result"),
        ([{**GOOD, "score": "0.5"}], r"record 0 is .*0.5.* is no number"),
        ([{**GOOD, "score": True}], "record 0 is .*True is no number"),
        ([{**GOOD, "bbox": [0, 0, "40", 40]}], "record 0 is .*40.* is no number"),
        ([{**GOOD, "bbox": [0, 0, [1], 40]}], "record 0 is not a COCO box result"),
        ([{**GOOD, "bbox": {"x": 1}}], "record 0 is not a COCO box result"),
        (
            [{**GOOD, "bbox": [9, 9, -5, 2]}, {**GOOD, "bbox": [0, 0, 1, -1]}],
            r"record 0 has a bbox of negative width or height; 2 such record\(s\)",
        ),
        ([{**GOOD, "image_id": True}], "record 0 is .*True is no id"),
        ([{**GOOD, "image_id": "1"}], "record 0 has image_id '1', which"),
        ([{**GOOD, "image_id": [1]}], "record 0 is not a COCO box result"),
        ({"images": []}, "COCO results are a list of records, this is a dict"),
        ("[{", "cannot be read as COCO results JSON"),
        ("[1] [2]", "cannot be read as COCO results JSON .*a second value begins at line 1"),
        ("[" * 100_000, "cannot be read as COCO results JSON .*nested too deep"),
        ('[{"score": 1, "score": 2}]', "the key 'score' is written twice"),
    ],
)
def test_malformed_results_are_one_clear_line(records: object, words: str, tmp_path: Path) -> None:
    gt = write(tmp_path / "gt.json", one_box())
    dt = write(tmp_path / "dt.json", records)
    with pytest.raises(UserError, match=words) as caught:
        evaluate_coco(gt, dt)
    assert str(caught.value).startswith(str(dt))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "cannot be read as COCO annotation JSON"),
        ([], "it has no list 'images'"),
        ({"images": [], "annotations": []}, "it has no list 'categories'"),
        (one_box(image_id=5), "not a COCO annotation file"),
        (one_box(bbox=[1, 2]), "not a COCO annotation file: annotation 1 cannot be used"),
        (one_box(area=None), "not a COCO annotation file: annotation 1 cannot be used"),
        (one_box(area=math.nan), "annotation 1 cannot be used .*bbox or area is not finite"),
        (one_box(bbox=[0, 0, math.inf, 1]), "annotation 1 cannot be used .*is not finite"),
        (one_box(bbox=[0, 0, 10**400, 1]), "annotation 1 cannot be used .*too large"),
        (one_box(image_id=[1]), "annotation 1 cannot be used"),
    ],
)
def test_malformed_annotations_are_one_clear_line(
    content: object, words: str, tmp_path: Path
) -> None:
    gt = write(tmp_path / "gt.json", content)
    with pytest.raises(UserError, match=words) as caught:
        evaluate_coco(gt, [])
    assert str(gt) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    gt = write(tmp_path / "gt.json", one_box())
    with pytest.raises(UserError, match=r"nowhere\.json: no such annotation file"):
        evaluate_coco(tmp_path / "nowhere.json", [])
    with pytest.raises(UserError, match=r"nowhere\.json: no such results file"):
        evaluate_coco(gt, tmp_path / "nowhere.json")


def test_an_unknown_backend_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'cocoapi': there are hotcoco and pycocotools"):
        evaluate_coco(write(tmp_path / "gt.json", one_box()), [], backend="cocoapi")  # type: ignore[arg-type]


def test_the_vectors_are_telling(make_vector: Vectors) -> None:
    """An AP near 0 or 100 would hide a wrong rule."""
    metrics = evaluate_coco(*make_vector(seed=0, num_images=40))
    assert 10 < metrics["AP"] < 90
