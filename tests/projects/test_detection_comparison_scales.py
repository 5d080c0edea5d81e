"""From what is asked of the comparison to its study, and what is refused."""

import argparse
import json
from pathlib import Path

import pytest
from rich.console import Console

from projects.DetectionComparison import scales
from projects.DetectionComparison.own_data import Sizes, own_data
from projects.DetectionComparison.scales import Asked, build_grid
from projects.studies.options import StudyOptions
from resnext_det.config import load_config
from resnext_det.errors import UserError

SETS = ("crops/train:crops/val", "train.json:images", "val.json:images")


@pytest.fixture(autouse=True)
def no_coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))


@pytest.fixture
def with_d2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectron2 is not needed to say what would be trained."""
    monkeypatch.setattr(scales, "detectron2_is_installed", lambda: True)


def options(output: Path, *rows: str, engine: str = "portable", **more) -> StudyOptions:
    return StudyOptions(output=output, engine=engine, rows=rows, **more)


def grid(asked: Asked, given: StudyOptions):
    return build_grid(asked, given, Console(quiet=True))


def own(folder: Path) -> tuple[str, str, str]:
    """Makes the files that are looked for, empty."""
    for name in ("crops/train", "crops/val", "images"):
        (folder / name).mkdir(parents=True)
    for name in ("train.json", "val.json"):
        (folder / name).write_text(json.dumps({}))
    return tuple(":".join(str(folder / part) for part in text.split(":")) for text in SETS)


def make_coco(root: Path) -> None:
    folder = root / "datasets/coco"
    for name in ("annotations", "train2017", "val2017"):
        (folder / name).mkdir(parents=True)
    for name in ("train", "val"):
        (folder / f"annotations/instances_{name}2017.json").write_text("{}")


def test_mini_on_own_data(tmp_path: Path) -> None:
    sets = own(tmp_path)
    study = grid(Asked("mini", sets, lengths=(30, 20)), options(tmp_path / "out", seeds=(0, 1)))
    assert len(study.rows) == 4
    assert len(study.cells) == 8
    assert [(a.tag, b.tag) for a, b in study.pairs] == [
        ("R_26_1x32d_half", "X_26_30x2d_half"),
        ("R_50_1x32d_half", "X_50_32x2d_half"),
    ]
    assert study.test_set.source == sets[2]
    assert {row.pretraining for row in study.rows} == {"crops"}
    assert [job.max_iter for job in study.cells[0].jobs] == [30, 20]
    for job, key in zip(
        study.cells[0].jobs, ("CLASSIFICATION.TRAIN_CROP", "RANDOM_FLIP"), strict=True
    ):
        assert f"INPUT.{key}" in job.arguments


def test_own_data_have_a_length_of_their_own(tmp_path: Path) -> None:
    study = grid(Asked("mini", own(tmp_path)), options(tmp_path / "out", plan=True))
    assert [job.max_iter for job in study.cells[0].jobs] == [800, 300]


def test_own_data_are_seen_as_asked() -> None:
    sizes = Sizes(crop=64, shortest=320, longest=480, anchors=(8, 16, 32, 64, 128))
    data = own_data(*SETS, sizes)
    assert data
    first = load_config(
        "resnext_det://quick_schedules/classification_R_26_1x32d_half.yaml",
        list(data.classification_overrides),
    ).cfg.INPUT.CLASSIFICATION
    assert (first.TRAIN_CROP, first.RESIZE_TEST, first.TEST_CROP) == (64, 64, 64)
    cfg = load_config(
        "resnext_det://quick_schedules/faster_rcnn_R_26_1x32d_half_FPN.yaml",
        list(data.detection_overrides),
    ).cfg
    assert (cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST) == ([320], 320)
    assert (cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TEST) == (480, 480)
    assert cfg.MODEL.ANCHOR_GENERATOR.SIZES == [[8], [16], [32], [64], [128]]
    assert own_data(None, None, None, sizes) is None


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ((SETS[0], None, SETS[2]), r"^--train-data: not given; own data need all of --classif"),
        ((None, SETS[1], None), r"^--classification and --test-data: not given"),
        (("crops", *SETS[1:]), r"^--classification crops: write TRAIN_FOLDER:VAL_FOLDER"),
        ((SETS[0], "mine=a.json:b", SETS[2]), r"^--train-data mine=a\.json:b: write JSON:IMAGES"),
        ((*SETS[:2], "val.json:"), r"^--test-data val\.json:: write JSON:IMAGES"),
    ],
    ids=["no training set", "no others", "one folder", "a name", "no images"],
)
def test_own_data_that_are_not_whole(sets: tuple[str | None, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        own_data(*sets, Sizes())


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (Sizes(crop=0), "at least 1 pixel"),
        (Sizes(shortest=300), "--image-size 300 256: the second bounds the longest side and is"),
        (Sizes(anchors=(8, 16)), "--anchors: 2 sizes; there are five levels, p2 to p6"),
    ],
    ids=["nothing", "upside down", "two"],
)
def test_sizes_that_cannot_be(sizes: Sizes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        own_data(*SETS, sizes)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((0, None), "--pretrain-iterations 0: at least 1"), ((None, -1), "--iterations -1: at least")],
    ids=["pretraining", "fine-tuning"],
)
def test_lengths_of_nothing(tmp_path: Path, lengths, message: str) -> None:
    with pytest.raises(UserError, match=message):
        grid(Asked("mini", own(tmp_path), lengths=lengths), options(tmp_path / "out"))


def test_one_iteration_is_a_run(tmp_path: Path) -> None:
    study = grid(Asked("mini", own(tmp_path), lengths=(1, 1)), options(tmp_path / "out"))
    assert {job.max_iter for job in study.jobs} == {1}


def test_own_data_that_are_not_there_are_named_all_at_once(tmp_path: Path) -> None:
    sets = own(tmp_path)
    (tmp_path / "val.json").unlink()
    (tmp_path / "crops/val").rmdir()
    with pytest.raises(UserError, match=r"^not found: \S+crops/val, \S+val\.json$"):
        grid(Asked("mini", sets), options(tmp_path / "out"))
    assert grid(Asked("mini", sets), options(tmp_path / "out", plan=True)).cells


@pytest.mark.parametrize("scale", scales.SCALES)
def test_an_unknown_row_is_named(tmp_path: Path, with_d2: None, scale: str) -> None:
    with pytest.raises(UserError, match=r"^--rows R_18: no row"):
        grid(Asked(scale), options(tmp_path / "out", "R_18", engine="d2"))


def test_missing_coco_is_named_all_at_once_and_a_plan_goes_on(tmp_path: Path) -> None:
    message = (
        r"^--scale coco: not found: \S+instances_train2017\.json, \S+/train2017, "
        r"\S+instances_val2017\.json, \S+/val2017 \(set DETECTRON2_DATASETS"
    )
    with pytest.raises(UserError, match=message):
        grid(Asked("coco"), options(tmp_path / "out"))
    plan = grid(Asked("coco"), options(tmp_path / "out", plan=True))
    assert [row.tag for row in plan.rows] == ["R_50", "X_50_32x4d", "R_101", "X_101_32x4d"]


def test_missing_weights_are_named_all_at_once(tmp_path: Path) -> None:
    make_coco(tmp_path)
    asked = Asked("coco", weights=("R_50=gone.pth", "X_50_32x4d=timm://resnext50_32x4d"))
    rows = ("R_50", "X_50_32x4d", "X_152_32x4d")
    message = (
        r"^--scale coco: ResNeXt-152 32x4d: no public weights; give --weights X_152_32x4d=FILE, "
        r"or --pretrain; --weights: no such file: gone\.pth$"
    )
    with pytest.raises(UserError, match=message):
        grid(asked, options(tmp_path / "out", *rows))


def test_weights_and_data_that_are_there_make_a_study(tmp_path: Path) -> None:
    make_coco(tmp_path)
    file = tmp_path / "mine.pth"
    file.touch()
    given = options(tmp_path / "out", "X_152_32x4d", "R_101", seeds=(0, 1, 2))
    study = grid(Asked("coco", weights=(f"X_152_32x4d={file}",)), given)
    assert [cell.row.tag for cell in study.cells[::3]] == ["R_101", "X_152_32x4d"]
    assert study.test_set.source == "coco_2017_val"
    assert study.pairs == ()


def test_pretraining_asks_for_imagenet_and_for_no_weights(tmp_path: Path) -> None:
    make_coco(tmp_path)
    with pytest.raises(UserError, match=r"not found: \S+imagenet/train, \S+imagenet/val") as caught:
        grid(Asked("coco", pretrain=True), options(tmp_path / "out", "X_152_32x4d"))
    assert "weights" not in str(caught.value)


def test_the_papers_layout_is_refused_without_detectron2(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--scale paper-c4: only the d2 engine has RPN") as caught:
        grid(Asked("paper-c4"), options(tmp_path / "out", engine="portable"))
    assert "\n" not in str(caught.value)


def test_an_engine_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("projects.DetectionComparison.scales", "resnext_det.engines.base"):
        monkeypatch.setattr(f"{module}.detectron2_is_installed", lambda: False)
    for scale in scales.SCALES:
        with pytest.raises(UserError, match="--engine d2 needs Detectron2, which is not inst"):
            grid(Asked(scale), options(tmp_path / "out", engine="d2"))


def test_the_papers_layout(tmp_path: Path, with_d2: None) -> None:
    given = options(tmp_path / "out", engine="d2", plan=True)
    study = grid(Asked("paper-c4"), given)
    assert [len(cell.jobs) for cell in study.cells] == [2, 2, 2, 2]
    assert study.test_set.source == "coco_2014_minival"
    assert [(a.tag, b.tag) for a, b in study.pairs] == [
        ("R_50", "X_50_32x4d"),
        ("R_101", "X_101_32x4d"),
    ]
    assert {"DATASETS.PROPOSAL_FILES_TRAIN", "DATASETS.PROPOSAL_FILES_TEST"} <= {*study.compared}


def test_missing_data_of_the_papers_layout(tmp_path: Path, with_d2: None) -> None:
    with pytest.raises(UserError, match=r"^--scale paper-c4: not found: \S+instances_train2014"):
        grid(Asked("paper-c4"), options(tmp_path / "out", engine="d2"))


def test_asked_takes_what_was_parsed() -> None:
    given = argparse.Namespace(
        scale="mini",
        classification="a:b",
        train_data=None,
        test_data=None,
        crop=None,
        image_size=[240, 320],
        anchors=None,
        pretrain_iterations=None,
        iterations=7,
        weights=[],
        pretrain=False,
    )
    asked = Asked.of(given)
    assert asked.sizes == Sizes(shortest=240, longest=320)
    assert (asked.lengths, asked.sets) == ((None, 7), ("a:b", None, None))
