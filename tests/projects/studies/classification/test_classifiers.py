"""Options, data and schedules of studies of classifiers. Engine-neutral."""

import argparse
from functools import partial
from pathlib import Path

import pytest

from projects.studies.classification import classifiers
from projects.studies.classification.classifiers import (
    Classifier,
    MiniData,
    add_mini_options,
    check_mini_options,
    check_superset,
    classifier_cells,
    mini_data,
    network,
    row_pairs,
    schedule,
)
from projects.studies.grid import StudyRow
from resnext_det.config import load_config
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data
from resnext_det.errors import UserError
from tests.projects.small_folders import class_folder

MINI_CONFIG = str(Path(classifiers.__file__).parents[2] / "Cardinality" / "mini.yaml")
ROWS = (
    Classifier(StudyRow("first", "a"), MINI_CONFIG),
    Classifier(StudyRow("second", "b"), MINI_CONFIG, network(26, 32, 2, shortcuts=False)),
)


def options(*words, scale="mini"):
    parser = argparse.ArgumentParser()
    add_mini_options(parser)
    parser.set_defaults(scale=scale)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "scale", "message"),
    [
        (
            ("--iterations", "3"),
            "paper",
            "--iterations is the mini scale's: the scale paper trains on the sets that its configs",
        ),
        (("--train-data", "a", "--test-data", "b"), "imagenet", "--train-data is the mini scale's"),
        (("--train-data", "a"), "mini", "--test-data is missing: name both folders, or neither"),
        (("--test-data", "a"), "mini", "--train-data is missing: name both folders, or neither"),
        (("--iterations", "0"), "mini", "--iterations 0: at least 1"),
    ],
)
def test_options_that_say_nothing_are_refused(words, scale, message):
    with pytest.raises(UserError, match=message):
        check_mini_options(options(*words, scale=scale))


def test_folders_of_the_user(tmp_path):
    train, test = class_folder(tmp_path / "t", "abc"), class_folder(tmp_path / "v", "ab")
    data = mini_data(options("--train-data", train, "--test-data", test), tmp_path / "out")
    assert (data.train, data.test, data.overrides) == (train, test, ())
    assert data.description == "9 training images of 3 classes, 6 test images of 2"
    assert not (tmp_path / "out").exists()


def test_folders_that_are_none_are_refused(tmp_path):
    train, none = class_folder(tmp_path / "t", "ab"), str(tmp_path / "none")
    with pytest.raises(UserError, match=f"{none}: no such folder"):
        mini_data(options("--train-data", train, "--test-data", none), tmp_path / "out")


def test_digits_are_made_once_and_not_mirrored(tmp_path, monkeypatch):
    few = QuickstartParams(train_scenes=1, val_scenes=1, train_crops=20, val_crops=10)
    monkeypatch.setattr(
        classifiers, "build_quickstart_data", partial(build_quickstart_data, params=few)
    )
    data = mini_data(options(), tmp_path)
    assert len(list(Path(data.train).rglob("*.jpg"))) == 20
    assert len(list(Path(data.test).rglob("*.jpg"))) == 10
    assert Path(data.train).is_relative_to(tmp_path / "digits")
    assert load_config(MINI_CONFIG, list(data.overrides)).cfg.INPUT.CLASSIFICATION.HFLIP == 0
    assert mini_data(options(), tmp_path) == data


@pytest.mark.parametrize(
    ("iterations", "steps"), [(1000, [600, 850]), (10, [6, 8]), (2, [1]), (1, [])]
)
def test_schedules_keep_the_steps_places(iterations, steps):
    cfg = load_config(MINI_CONFIG, list(schedule(iterations))).cfg
    assert (cfg.SOLVER.MAX_ITER, list(cfg.SOLVER.STEPS)) == (iterations, steps)


def test_the_configs_own_schedule_is_the_same_rule():
    own = load_config(MINI_CONFIG).cfg.SOLVER
    assert schedule(None) == ()
    ruled = load_config(MINI_CONFIG, list(schedule(own.MAX_ITER))).cfg.SOLVER
    assert ruled == own


def test_every_row_at_every_seed_is_a_run_of_its_own(tmp_path):
    sets = ("train", "val")
    cells = classifier_cells(ROWS, (0, 1), tmp_path, sets=sets, overrides=schedule(5))
    assert [(cell.row.tag, cell.seed) for cell in cells] == [
        (tag, seed) for tag in "ab" for seed in (0, 1)
    ]
    [job] = cells[3].jobs
    assert job.folder == tmp_path / "b" / "seed_1"
    assert job.max_iter == 5
    words = " ".join(job.arguments)
    assert "--train-data mini_train=train --test-data mini_val=val" in words
    assert "MODEL.RESNETS.NUM_GROUPS 32" in words
    assert "SEED 1" in words
    assert len({cell.jobs[0].digest for cell in cells}) == 4


def test_pairs_are_named_by_tags():
    assert row_pairs(ROWS, [("a", "b")]) == ((ROWS[0].row, ROWS[1].row),)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("ax", r"v: 'x' is no class of .*t"),
        ("ab", r"v has all 2 classes of .*t; Table 6 is about a test set of some of them only"),
    ],
)
def test_a_test_set_that_is_no_subset_is_refused(tmp_path, classes, message):
    train, test = class_folder(tmp_path / "t", "ab", 1), class_folder(tmp_path / "v", classes, 1)
    with pytest.raises(UserError, match=message):
        check_superset(MiniData(train, test, ""))
    check_superset(MiniData(train, class_folder(tmp_path / "w", "b", 1), ""))
