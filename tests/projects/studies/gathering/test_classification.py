"""What is made of a study of classifiers, and of the test sets that they are scored on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from projects.studies.findings import difference_findings
from projects.studies.gathering.checks import accuracy_finding
from projects.studies.gathering.gather import gather
from projects.studies.gathering.rows import read_cell
from projects.studies.grid import Cell, Grid, StudyRow, TestSet
from projects.studies.jobs import make_job
from projects.studies.test_sets import dataset_entry, find_test_set
from resnext_det.classification.ranks import RANKS_FILE
from resnext_det.errors import UserError
from resnext_det.whole_files import write_text_safe
from tests.projects.studies.finished_study import CONFIGS, finish_job, options_for, read

ROWS = (StudyRow("ResNet-26", "R_26"), StudyRow("ResNeXt-26 30x4d", "X_26"))
RANKS = ([0, 1, 2, 9], [0, 0, 0, 4])  # top-1 25 and 75 %, top-5 75 and 100 %


def write_classes(folder: Path) -> Path:
    for number in range(4):
        path = folder / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(path)
    return folder


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    output, val = tmp_path / "study", write_classes(tmp_path / "val")
    cells = []
    for row, ranks in zip(ROWS, RANKS, strict=True):
        config = f"{CONFIGS}/classification_{row.tag}.yaml"
        sets = (str(tmp_path / "train"), str(val))
        job = make_job(row.model, output / row.tag, config, seed=0, sets=sets)
        top = {f"top{k}": 25.0 * sum(rank < k for rank in ranks) for k in (1, 5)}
        finish_job(job, top, "classification")
        images = [f"{n % 2}/{n}.png" for n in range(4)]
        write_text_safe(job.folder / RANKS_FILE, json.dumps({"images": images, "ranks": ranks}))
        cells.append(Cell(row, 0, (job,)))
    compared = tuple(f"MODEL.RESNETS.{k}" for k in ("VARIANT", "DEPTH", "NUM_GROUPS"))
    return Grid(
        title="Two classifiers",
        kind="classification",
        scale="tiny",
        output=output,
        cells=tuple(cells),
        pairs=(ROWS,),
        test_set=TestSet(str(val), "grey squares"),
        compared=(*compared, "MODEL.RESNETS.WIDTH_PER_GROUP"),
        max_flops_difference=2.0,
    )


def test_classifiers_are_compared_by_their_ranks(grid: Grid) -> None:
    path = gather(grid, options_for(grid), find_test_set(grid), findings=difference_findings)
    content = read(path)
    assert content["kind"] == "classification"
    assert [(d["metric"], d["value"]) for d in content["differences"]] == [
        ("top1", 50.0),
        ("top5", 25.0),
    ]
    assert [row["metrics"]["top1"] for row in content["rows"]] == [25.0, 75.0]
    assert content["precision_recall"] == {}
    assert content["pictures"] == []
    assert content["dataset"]["annotations"] is None
    assert content["dataset"]["num_images"] == 4
    assert content["settings"]["INPUT.CLASSIFICATION.TRAIN_CROP"] == 32
    assert list(content["rows"][0]["curves"]) == ["classification"]
    assert [f["passed"] for f in content["findings"]] == [True, True, True, None]
    assert "networks' multiply-adds differ by" in content["findings"][0]["text"]
    assert content["findings"][1]["text"].endswith("they differ in the network alone.")
    counted = "All 4 accuracies of the 2 runs equal those counted from their ranks."
    assert content["findings"][2]["text"] == counted
    sentence = content["findings"][3]["text"]
    assert sentence.startswith("With one seed each, this compares two trained networks")
    assert "ResNeXt-26 30x4d minus ResNet-26 is +50.0 in top1" in sentence


def test_an_accuracy_that_the_ranks_do_not_have_is_said(grid: Grid) -> None:
    path = grid.jobs[0].folder / "result.json"
    content = read(path)
    content["metrics"]["top1"] = 99.0
    path.write_text(json.dumps(content))
    path = gather(grid, options_for(grid), find_test_set(grid), findings=difference_findings)
    assert read(path)["findings"][2] == {
        "text": "An accuracy is not what the ranks say: ResNet-26, seed 0: top1 99.0000, counted "
        "25.0000.",
        "passed": False,
    }


def test_where_there_is_no_top_5_none_is_counted(grid: Grid) -> None:
    for job in grid.jobs:
        path = job.folder / "result.json"
        content = read(path)
        content["metrics"]["top5"] = None
        path.write_text(json.dumps(content))
    path = gather(grid, options_for(grid), find_test_set(grid), findings=difference_findings)
    counted = "All 2 accuracies of the 2 runs equal those counted from their ranks."
    assert read(path)["findings"][2] == {"text": counted, "passed": True}


def test_ranks_of_other_images_are_refused(grid: Grid) -> None:
    path = grid.jobs[1].folder / RANKS_FILE
    path.write_text(json.dumps({"images": ["another.png"] * 4, "ranks": RANKS[1]}))
    with pytest.raises(UserError, match="classification_ranks.json"):
        gather(grid, options_for(grid), find_test_set(grid), findings=difference_findings)


@pytest.mark.parametrize("text", ["{", "[]"], ids=["cut", "a list"])
def test_ranks_that_cannot_be_read_are_named(grid: Grid, text: str) -> None:
    path = grid.jobs[1].folder / RANKS_FILE
    path.write_text(text)
    with pytest.raises(UserError, match="classification_ranks.json: "):
        accuracy_finding([read_cell(cell) for cell in grid.cells])


def test_an_image_more_is_another_set(grid: Grid, tmp_path: Path) -> None:
    before = find_test_set(grid)
    Image.new("L", (8, 8)).save(tmp_path / "val" / "0" / "9.png")
    after = find_test_set(grid)
    assert after.digest != before.digest
    assert (before.num_images, after.num_images) == (4, 5)


def test_a_set_of_the_catalogue_is_known_by_its_name(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    write_classes(tmp_path / "cifar10" / "test")
    named = replace(grid, test_set=TestSet("cifar10_test"))
    found = find_test_set(named)
    assert found.num_images == 4
    assert dataset_entry(named, found, ["a"])["images"] == "../cifar10/test"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere/val", "nowhere/val: no such folder"),
        ("val.json:val", "test set 'val.json:val': not one of classification"),
        ("imagenet_1k_val", "no such folder (set DETECTRON2_DATASETS"),
    ],
    ids=["folder", "kind", "catalogue"],
)
def test_a_test_set_that_is_not_there(
    source: str, words: str, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(UserError) as caught:
        find_test_set(replace(grid, test_set=TestSet(source)))
    assert words in str(caught.value)


def test_a_detection_set_without_its_annotations_is_named(grid: Grid) -> None:
    detection = replace(grid, kind="detection", test_set=TestSet("nowhere.json:val"))
    with pytest.raises(UserError, match="nowhere.json: no such annotation file"):
        find_test_set(detection)
