"""The newest checkpoint that is whole is found, whatever happened to others. Engine-neutral."""

import logging
import os
import shutil

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.training.checkpoint_file import write_checkpoint
from resnext_det.training.newest import checkpoints, holds_run, latest_checkpoint
from resnext_det.training.run_directory import open_run, trained_weights
from resnext_det.training.usable import newest_usable


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def missing(path):
    path.unlink()


def folder_instead(path):
    path.unlink()
    path.mkdir()


def of_no_run(path):
    write_checkpoint(path, {"model": "x", "iteration": 1})


DAMAGES = {
    half: "is damaged (its end is cut off or changed)",
    flip: "is damaged (",
    empty: "is torn or no checkpoint",
    missing: "which is not there",
    folder_instead: "which is not there",
    of_no_run: "has an entry 'model' that is a str, which no run writes",
}


@pytest.fixture
def run(tmp_path):
    """A folder with checkpoints of iterations 2, 5 and 8, the last of which is named."""
    folder = tmp_path / "run"
    for iteration in (2, 5, 8):
        save(folder, f"model_{iteration:07d}", iteration)
    save(folder, "model_best", 7)
    mark(folder, "model_0000008.pth")
    return folder


def save(folder, name, iteration):
    state = {"model": {"w": torch.rand(40)}, "iteration": iteration, "seed": 3}
    write_checkpoint(folder / f"{name}.pth", state)


def mark(folder, name):
    (folder / "last_checkpoint").write_text(name)


def test_the_named_one_is_used_although_there_is_a_newer_one(run):
    mark(run, "model_0000005.pth\n")
    found = newest_usable(run)
    assert (found.path.name, found.iteration, found.refused) == ("model_0000005.pth", 5, ())


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_newest_one_is_said_and_the_one_before_is_used(run, damage):
    newest = run / "model_0000008.pth"
    damage(newest)
    # The older file is younger: what counts is the iteration.
    os.utime(run / "model_0000002.pth", (2e9, 2e9))
    found = newest_usable(run)
    assert found.path.name == "model_0000005.pth"
    line = found.line
    assert line.startswith("Not used: ")
    assert line.endswith("; the run goes on from model_0000005.pth, at iteration 6")
    assert "model_0000008.pth" in line
    assert DAMAGES[damage] in line
    assert "\n" not in line


def test_several_damaged_ones(run):
    half(run / "model_0000008.pth")
    empty(run / "model_0000005.pth")
    found = newest_usable(run)
    assert found.path.name == "model_0000002.pth"
    assert [text.split()[0] for text in found.refused] == ["model_0000008.pth", "model_0000005.pth"]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "names no file"),
        (b" \n", "names no file"),
        (b"\xff\xfe\x00", "names no file"),
        (b"a\nb", "names no file"),
        (b"\x00" * 17, "names no file"),
        (b"model_00000", "names model_00000, which is no name of a run's checkpoint"),
        (b"model_best.pth", "names model_best.pth, which is no name of a run's checkpoint"),
        (b"model_0000005", "names model_0000005, which is no name of a run's checkpoint"),
        (b"n" * 300, "names no file"),
        (b"n" * 500, "is larger than 400 bytes"),
        (b"model_%090d.pth" % 5, "names model_" + "0" * 89 + "5.pth, which is not there"),
        (b"model_0000009.pth", "names model_0000009.pth, which is not there"),
        (b".", "names ., which is no name of a run's checkpoint"),
        (None, "is not there"),
    ],
)
def test_a_last_checkpoint_that_names_none(run, content, wrong):
    (run / "last_checkpoint").unlink()
    if content is not None:
        (run / "last_checkpoint").write_bytes(content)
    found = newest_usable(run)
    assert found.path.name == "model_0000008.pth"
    assert found.refused == (f"last_checkpoint {wrong}",)
    assert holds_run(run)
    assert latest_checkpoint(run).name == "model_0000008.pth"


def test_a_checkpoint_of_another_folder_is_not_gone_on_from(run, tmp_path):
    save(tmp_path / "other", "model_0000009", 9)
    for name in ("../other/model_0000009.pth", str(tmp_path / "other/model_0000009.pth")):
        mark(run, name)
        found = newest_usable(run)
        assert (found.path.name, found.path.parent) == ("model_0000008.pth", run)
        wrong = f"names {name}, which is no name of a run's checkpoint"
        # The other one's path may be long, too: then it names no file.
        assert found.refused in (
            (f"last_checkpoint {wrong}",),
            ("last_checkpoint names no file",),
        )


def test_pipes_are_not_waited_on(run):
    (run / "last_checkpoint").unlink()
    os.mkfifo(run / "last_checkpoint")
    os.mkfifo(run / "model_0000009.pth")
    found = newest_usable(run)
    assert found.path.name == "model_0000008.pth"
    assert found.refused == (
        "last_checkpoint cannot be read (not a plain file)",
        "model_0000009.pth is not a plain file",
    )


@pytest.mark.parametrize(
    ("final", "newest", "used"),
    [
        pytest.param(5, 8, "model_0000008.pth", id="of a shorter schedule"),
        pytest.param(8, 8, "model_final.pth", id="of the same iteration"),
    ],
)
def test_the_final_one_counts_by_its_iteration(run, final, newest, used):
    save(run, "model_final", final)
    mark(run, "")
    assert checkpoints(run)[0].name == "model_final.pth"
    assert newest_usable(run).path.name == used
    if used != "model_final.pth":
        half(run / used)
        assert newest_usable(run).path.name == "model_final.pth"


def test_a_new_folder_and_an_empty_one(tmp_path):
    assert newest_usable(tmp_path / "new") is None
    assert newest_usable(tmp_path) is None
    save(tmp_path, "model_best", 7)
    save(tmp_path, "model_mine", 7)
    assert newest_usable(tmp_path) is None
    assert not holds_run(tmp_path)


def test_without_a_whole_one_it_is_an_error(run):
    for name in ("model_0000002", "model_0000005", "model_0000008"):
        half(run / f"{name}.pth")
    with pytest.raises(UserError) as error:
        newest_usable(run)
    message = str(error.value)
    assert message.startswith(
        f"{run}: no checkpoint there can be used: model_0000008.pth is damaged"
    )
    assert message.endswith(
        ": start the run anew in another OUTPUT_DIR "
        f"(MODEL.WEIGHTS {run / 'model_best.pth'} starts from the best weights)"
    )
    assert "\n" not in message


def test_a_marker_alone_is_an_error(tmp_path):
    mark(tmp_path, "model_0000008.pth")
    with pytest.raises(UserError) as error:
        newest_usable(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: no checkpoint there can be used: last_checkpoint names model_0000008.pth, "
        "which is not there: start the run anew in another OUTPUT_DIR"
    )


def test_weights_alone_are_passed_over_and_a_mistake_where_there_is_nothing_else(run):
    write_checkpoint(run / "model_0000005.pth", {"w": torch.rand(3)})
    half(run / "model_0000008.pth")
    assert newest_usable(run).path.name == "model_0000002.pth"
    mark(run, "model_0000005.pth")
    found = newest_usable(run)
    assert found.path.name == "model_0000002.pth"
    assert found.refused[0] == "model_0000005.pth is no checkpoint of a run"
    half(run / "model_0000002.pth")
    with pytest.raises(UserError, match=r"0005\.pth: is no checkpoint of a run .*entry 'model'"):
        newest_usable(run)


def test_a_run_is_opened_at_the_one_that_is_used_and_the_log_says_so(cfg, run, caplog):
    half(run / "model_0000008.pth")
    cfg.SOLVER.MAX_ITER = 20
    start = open_run(cfg, run, resume=True, engine="portable")
    assert (start.start_iteration, start.checkpoint.name) == (6, "model_0000005.pth")
    [line] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert line.getMessage().startswith("Not used: model_0000008.pth is damaged (its end is")
    assert line.getMessage() in (run / "log.txt").read_text()
    assert (run / "last_checkpoint").read_text() == "model_0000005.pth"


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_without_its_marker_holds_a_run(cfg, run, resume):
    (run / "last_checkpoint").unlink()
    if resume:
        assert open_run(cfg, run, resume=True, engine="portable").start_iteration == 9
        return
    with pytest.raises(UserError, match=r"already holds a run \(model_0000008.pth\): add --resume"):
        open_run(cfg, run, resume=False, engine="portable")


def test_evaluation_takes_the_same_one_and_changes_nothing(cfg, run, caplog):
    flip(run / "model_0000008.pth")
    assert trained_weights(cfg, resume=True) == str(run / "model_0000005.pth")
    assert "Not used: model_0000008.pth is damaged" in caplog.text
    assert (run / "last_checkpoint").read_text() == "model_0000008.pth"
    shutil.rmtree(run)
    with pytest.raises(UserError, match="--eval-only --resume: .*run holds no checkpoint"):
        trained_weights(cfg, resume=True)


def test_a_finished_run_whose_final_file_is_torn_is_not_finished(cfg, run):
    save(run, "model_0000009", 9)
    save(run, "model_final", 9)
    mark(run, "model_final.pth")
    (run / "result.json").write_text('{"iteration": 9}')
    assert open_run(cfg, run, resume=True, engine="portable").finished
    half(run / "model_final.pth")
    start = open_run(cfg, run, resume=True, engine="portable")
    assert (start.start_iteration, start.finished) == (10, False)


@pytest.mark.parametrize("text", ["", "[1]", '{"iteration": 5}', '{"iter'])
def test_a_result_of_something_else_does_not_finish_a_run(cfg, run, text):
    save(run, "model_final", 9)
    mark(run, "model_final.pth")
    (run / "result.json").write_text(text)
    assert not open_run(cfg, run, resume=True, engine="portable").finished
