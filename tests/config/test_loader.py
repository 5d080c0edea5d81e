"""Loading: the `_BASE_` chain, the command line, where values come from, and every message."""

import logging
from pathlib import Path

import pytest

from resnext_det.config import dump_config, get_cfg, load_config
from resnext_det.config.loader import MAX_DEPTH
from resnext_det.errors import UserError


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def message_of(path: str, overrides=()) -> str:
    with pytest.raises(UserError) as error:
        load_config(path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_empty_file_is_the_defaults(tmp_path):
    loaded = load_config(write(tmp_path, "a.yaml", ""))
    assert loaded.cfg == get_cfg()
    assert loaded.given == loaded.user_given == frozenset()


def test_the_tree_is_frozen(tmp_path):
    cfg = load_config(write(tmp_path, "a.yaml", "")).cfg
    with pytest.raises(AttributeError):
        cfg.SEED = 1


def test_later_files_win_and_the_command_line_wins_over_all(tmp_path):
    write(tmp_path, "far.yaml", "SEED: 1\nSOLVER: {BASE_LR: 0.1, MAX_ITER: 10, STEPS: [5]}\n")
    write(tmp_path, "sub/near.yaml", "_BASE_: ../far.yaml\nSOLVER: {BASE_LR: 0.2, STEPS: [6, 7]}\n")
    path = write(tmp_path, "sub/a.yaml", "_BASE_: near.yaml\nSOLVER: {IMS_PER_BATCH: 4}\n")
    loaded = load_config(path, ["SOLVER.MAX_ITER", "30", "OUTPUT_DIR", "out"])
    solver = loaded.cfg.SOLVER
    assert (loaded.cfg.SEED, solver.BASE_LR, solver.STEPS) == (1, 0.2, [6, 7])
    assert (solver.IMS_PER_BATCH, solver.MAX_ITER, loaded.cfg.OUTPUT_DIR) == (4, 30, "out")
    assert loaded.user_given == {"SOLVER.IMS_PER_BATCH", "SOLVER.MAX_ITER", "OUTPUT_DIR"}
    assert loaded.given == loaded.user_given | {"SEED", "SOLVER.BASE_LR", "SOLVER.STEPS"}
    assert loaded.path == path


def test_base_can_be_a_list_of_which_the_last_wins(tmp_path):
    write(tmp_path, "one.yaml", "SEED: 1\nOUTPUT_DIR: one\n")
    write(tmp_path, "two.yaml", "SEED: 2\n")
    cfg = load_config(write(tmp_path, "a.yaml", "_BASE_: [one.yaml, two.yaml]\n")).cfg
    assert (cfg.SEED, cfg.OUTPUT_DIR) == (2, "one")


def test_base_can_be_absolute_or_an_installed_config(tmp_path):
    base = write(tmp_path, "elsewhere/base.yaml", "SEED: 5\n")
    assert load_config(write(tmp_path, "a.yaml", f"_BASE_: {base}\n")).cfg.SEED == 5
    text = "_BASE_: resnext_det://COCO-Detection/faster_rcnn_X_50_32x4d_FPN_1x.yaml\n"
    cfg = load_config(write(tmp_path, "b.yaml", text)).cfg
    assert (cfg.MODEL.RESNETS.NUM_GROUPS, cfg.SOLVER.MAX_ITER) == (32, 90000)


def test_two_branches_may_share_a_base(tmp_path):
    write(tmp_path, "root.yaml", "SEED: 1\n")
    write(tmp_path, "one.yaml", "_BASE_: root.yaml\n")
    write(tmp_path, "two.yaml", "_BASE_: root.yaml\n")
    assert load_config(write(tmp_path, "a.yaml", "_BASE_: [one.yaml, two.yaml]\n")).cfg.SEED == 1


def test_the_dump_of_a_run_loads_equal(tmp_path):
    first = load_config(
        "resnext_det://ImageNet-Classification/X_50_32x4d.yaml", ["SOLVER.WEIGHT_DECAY", "5e-5"]
    )
    again = load_config(write(tmp_path, "config.yaml", dump_config(first.cfg)))
    assert again.cfg == first.cfg


def test_unknown_key_names_file_and_nearest(tmp_path):
    base = write(tmp_path, "base.yaml", "SOLVER: {BASELR: 0.1}\n")
    path = write(tmp_path, "a.yaml", "_BASE_: base.yaml\n")
    assert message_of(path) == f"{base}: unknown key SOLVER.BASELR; SOLVER.BASE_LR is meant?"


def test_unknown_group_names_the_right_one(tmp_path):
    path = write(tmp_path, "a.yaml", "MODEL: {RESNET: {DEPTH: 101}}\n")
    assert (
        message_of(path) == f"{path}: unknown key MODEL.RESNET.DEPTH; MODEL.RESNETS.DEPTH is meant?"
    )


def test_unknown_key_like_nothing(tmp_path):
    assert message_of(write(tmp_path, "a.yaml", "QQQ: 1\n")).endswith("unknown key QQQ")


def test_unknown_key_on_the_command_line(tmp_path):
    path = write(tmp_path, "a.yaml", "")
    expected = "command line: unknown key SOLVER.MAXITER; SOLVER.MAX_ITER is meant?"
    assert message_of(path, ["SOLVER.MAXITER", "10"]) == expected


def test_wrong_type_names_file_key_and_both_types(tmp_path):
    path = write(tmp_path, "a.yaml", "SOLVER: {BASE_LR: fast}\n")
    expected = f"{path}: SOLVER.BASE_LR is a float (such as 0.001), got the str 'fast'"
    assert message_of(path) == expected


def test_wrong_type_on_the_command_line(tmp_path):
    path = write(tmp_path, "a.yaml", "")
    expected = (
        "command line: DATASETS.TRAIN is a list (such as []), got the str 'coco'; write ['coco']"
    )
    assert message_of(path, ["DATASETS.TRAIN", "coco"]) == expected


@pytest.mark.parametrize("text", ["MODEL: 3\n", "MODEL:\n", "MODEL: {RESNETS: [1]}\n"])
def test_a_group_takes_no_value(tmp_path, text):
    assert "is a group of keys and takes no value of its own" in message_of(
        write(tmp_path, "a.yaml", text)
    )


def test_a_group_where_a_value_belongs(tmp_path):
    path = write(tmp_path, "a.yaml", "SEED: {VALUE: 3}\n")
    assert message_of(path) == f"{path}: SEED takes a value and is no group of keys"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["SEED"], "command line: 'SEED' has no value"),
        (["SEED", "1", "OUTPUT_DIR"], "command line: 'OUTPUT_DIR' has no value"),
        (["SEED=1"], "command line: 'SEED=1' has no value; write KEY VALUE, without '='"),
        (["_BASE_", "x.yaml"], "command line: _BASE_ belongs in a file"),
    ],
)
def test_command_line_that_is_no_pairs(tmp_path, overrides, expected):
    assert message_of(write(tmp_path, "a.yaml", ""), overrides) == expected


def test_a_circle_is_shown(tmp_path):
    a = write(tmp_path, "a.yaml", "_BASE_: b.yaml\n")
    b = write(tmp_path, "b.yaml", "_BASE_: a.yaml\n")
    assert message_of(a) == f"_BASE_ goes round in a circle: {a} -> {b} -> {a}"


def test_a_file_that_is_its_own_base(tmp_path):
    a = write(tmp_path, "a.yaml", "_BASE_: a.yaml\n")
    assert message_of(a) == f"_BASE_ goes round in a circle: {a} -> {a}"


def test_a_chain_too_long(tmp_path):
    write(tmp_path, "0.yaml", "")
    for i in range(1, MAX_DEPTH + 2):
        write(tmp_path, f"{i}.yaml", f"_BASE_: {i - 1}.yaml\n")
    load_config(str(tmp_path / f"{MAX_DEPTH}.yaml"))
    message = message_of(str(tmp_path / f"{MAX_DEPTH + 1}.yaml"))
    assert message.startswith(f"_BASE_ goes deeper than {MAX_DEPTH} files: ")


def test_a_missing_base_names_both_files(tmp_path):
    write(tmp_path, "base.yaml", "")
    path = write(tmp_path, "a.yaml", "_BASE_: bass.yaml\n")
    missing = tmp_path / "bass.yaml"
    expected = f"{path}: _BASE_: no config file {missing}; nearest there: base.yaml"
    assert message_of(path).startswith(expected)


@pytest.mark.parametrize("value", ["3", "[3]", "''", "{a: b}"])
def test_a_base_that_is_no_file_name(tmp_path, value):
    path = write(tmp_path, "a.yaml", f"_BASE_: {value}\n")
    assert message_of(path).startswith(f"{path}: _BASE_ is a file name or a list of them, got ")


def test_a_value_that_cannot_work_names_the_file(tmp_path):
    path = write(tmp_path, "a.yaml", "SOLVER: {IMS_PER_BATCH: 0}\n")
    assert message_of(path) == f"{path}: SOLVER.IMS_PER_BATCH is 0; it has to be at least 1"


def test_a_doubtful_value_is_logged(tmp_path, caplog):
    path = write(tmp_path, "a.yaml", "SOLVER: {STEPS: [100], MAX_ITER: 50, WARMUP_ITERS: 0}\n")
    with caplog.at_level(logging.WARNING, logger="resnext_det"):
        load_config(path)
    expected = f"{path}: SOLVER.STEPS [100] come after MAX_ITER 50 and have no effect"
    assert [record.getMessage() for record in caplog.records] == [expected]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["SOLVER.BASE_LR", "-1.0"], "command line: SOLVER.BASE_LR is -1.0; it has to be between"),
        (["INPUT.FORMAT", "GBR"], "command line: INPUT.FORMAT is 'GBR'; it can be 'BGR', 'RGB'"),
        (["OUTPUT_DIR", ""], "command line: OUTPUT_DIR is empty"),
        (["SOLVER.MAX_ITER", "9"], "{path}: INPUT.CLASSIFICATION.HFLIP is 2.0; it has to be"),
    ],
)
def test_a_value_that_cannot_work_names_the_command_line(tmp_path, overrides, expected):
    own = "INPUT: {CLASSIFICATION: {HFLIP: 2.0}}\n" if "{path}" in expected else ""
    path = write(tmp_path, "a.yaml", own)
    assert message_of(path, overrides).startswith(expected.format(path=path))


def test_a_contradiction_names_the_command_line_by_the_shorter_name_too(tmp_path):
    path = write(tmp_path, "a.yaml", "MODEL: {META_ARCHITECTURE: ImageClassifier}\n")
    message = message_of(path, ["INPUT.CLASSIFICATION.RESIZE_TEST", "200"])
    assert message == (
        "command line: INPUT.CLASSIFICATION.TEST_CROP 224 does not fit into RESIZE_TEST 200"
    )
