"""Options, data and schedules of studies of classifiers. Engine-neutral."""

import argparse
from functools import partial
from pathlib import Path

import pytest

from projects.studies.classification import mini
from projects.studies.classification.mini import (
    MiniData,
    add_mini_options,
    check_mini_options,
    check_superset,
    mini_data,
    mini_scale,
    named_scale,
    schedule,
)
from projects.studies.grid import TestSet
from resnext_det.config import load_config
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data
from resnext_det.errors import UserError
from tests.projects.small_folders import class_folder

MINI_CONFIG = str(Path(mini.__file__).parents[2] / "Cardinality" / "mini.yaml")


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
    monkeypatch.setattr(mini, "build_quickstart_data", partial(build_quickstart_data, params=few))
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


def test_the_mini_scale_is_the_data_and_the_length_asked():
    data = MiniData("t", "v", "Letters.", ("INPUT.CLASSIFICATION.HFLIP", "0.0"))
    scale = mini_scale(options("--iterations", "5"), data)
    assert (scale.name, scale.sets) == ("mini", ("t", "v"))
    assert scale.test_set == TestSet("v", "Letters.")
    assert scale.overrides == (*data.overrides, *schedule(5))
    assert mini_scale(options(), data).overrides == data.overrides


def test_another_scale_trains_on_what_its_configs_name():
    scale = named_scale(options(scale="paper"), TestSet("cifar10_test"))
    assert (scale.name, scale.test_set.source) == ("paper", "cifar10_test")
    assert (scale.sets, scale.overrides) == (None, ())
    with pytest.raises(UserError, match="--iterations is the mini scale's"):
        named_scale(options("--iterations", "5", scale="paper"), TestSet("cifar10_test"))
