"""One run at a time in a folder, and nothing of a killed one left there. Engine-neutral."""

import errno
import json
import os
import socket
import subprocess
import sys

import pytest
import torch.distributed as dist

from resnext_det import folder_locks
from resnext_det.errors import UserError
from resnext_det.training import restarts, run_folder
from resnext_det.training.run_directory import open_run
from resnext_det.training.run_folder import hold_run_folder

HOLD = """
import fcntl, json, os, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
json.dump({"pid": os.getpid(), "host": sys.argv[2]}, file)
file.flush()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that runs in the folder."""
    (tmp_path / "run").mkdir()
    words = [tmp_path / "run/run.lock", socket.gethostname()]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_by_number_and_machine(other, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(UserError) as error, hold_run_folder(folder):
        pass
    assert str(error.value) == (
        f"{folder} is in use by process {other.pid} on {socket.gethostname()}: wait for that run, "
        "end it, or choose another OUTPUT_DIR"
    )
    with hold_run_folder(tmp_path / "another"):
        pass
    other.kill()
    other.wait()
    with hold_run_folder(folder):
        assert json.loads((folder / "run.lock").read_text())["pid"] == os.getpid()
    assert not (folder / "run.lock").exists()


@pytest.mark.parametrize("knows", ["torchrun's count", "its store"])
def test_after_a_restart_by_torchrun_the_processes_before_may_still_be_ending(
    knows, other, tmp_path, monkeypatch
):
    def ends(seconds):
        other.kill()
        other.wait()

    # On a machine whose processes were well the count stays 0.
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(int(knows == "torchrun's count")))
    monkeypatch.setattr(restarts, "_is_restarted", knows == "its store")
    monkeypatch.setattr(run_folder.time, "sleep", ends)
    with hold_run_folder(tmp_path / "run"):
        assert other.returncode


def test_it_is_given_back_however_the_run_ends(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), hold_run_folder(tmp_path):
            raise KeyError
    mine = f"in use by process {os.getpid()}"
    with hold_run_folder(tmp_path), pytest.raises(UserError, match=mine):
        hold_run_folder(tmp_path).__enter__()


@pytest.mark.parametrize("written", [True, False])
def test_a_run_that_wrote_nothing_leaves_no_folder(tmp_path, written):
    held = hold_run_folder(tmp_path / "run")
    held.__enter__()
    if written:
        (tmp_path / "run/log.txt").write_text("")
    assert not held.__exit__(UserError, UserError(), None)
    assert (tmp_path / "run").exists() is written


def test_a_run_of_another_machine_that_ended_without_a_word_is_named(tmp_path, caplog):
    (tmp_path / "run.lock").write_text('{"pid": 12, "host": "elsewhere"}')
    with hold_run_folder(tmp_path):
        assert caplog.messages == [
            f"{tmp_path}: the run of process 12 on elsewhere ended without a word"
        ]


def test_without_locks_the_word_of_another_machine_counts(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folder_locks.fcntl, "flock", refuse)
    mine = f"in use by process {os.getpid()}"
    with hold_run_folder(tmp_path), pytest.raises(UserError, match=mine):
        hold_run_folder(tmp_path).__enter__()
    (tmp_path / "run.lock").write_text('{"pid": 12, "host": "elsewhere"}')
    with pytest.raises(UserError) as error:
        hold_run_folder(tmp_path).__enter__()
    assert str(error.value) == (
        f"{tmp_path} is in use by process 12 on elsewhere, whose locks are not seen from here: "
        f"end it, or where it is gone remove {tmp_path / 'run.lock'}"
    )
    assert "elsewhere" in (tmp_path / "run.lock").read_text()
    monkeypatch.setattr(restarts, "_runs", dist.HashStore())
    restarts.note_opened(tmp_path)  # by an attempt of the same torchrun, which has ended it
    with hold_run_folder(tmp_path):
        assert "elsewhere" not in (tmp_path / "run.lock").read_text()


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file; name a folder"):
        hold_run_folder(tmp_path / "file").__enter__()
    (tmp_path / "run/run.lock").mkdir(parents=True)
    with pytest.raises(UserError, match=r"run.lock cannot be written there \(Is a directory\)"):
        hold_run_folder(tmp_path / "run").__enter__()


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path):
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "run.lock").symlink_to(tmp_path / "kept")
    expected = rf"OUTPUT_DIR {tmp_path}: run\.lock cannot be written there \(a link\): "
    with pytest.raises(UserError, match=expected), hold_run_folder(tmp_path):
        pass
    assert (tmp_path / "kept").read_text() == "kept"


def test_what_a_killed_run_left_half_written_goes(cfg, tmp_path, caplog):
    folder = tmp_path / "run"
    (folder / "inference/mine").mkdir(parents=True)
    gone = [".model_0000004.pth.a1b2.partial", "inference/.x.json.c3.partial"]
    stays = [".hidden", "model.partial", "inference/mine/.y.json.d4.partial"]
    for name in gone + stays:
        (folder / name).write_text("")
    caplog.set_level("INFO")
    open_run(cfg, folder, resume=False, engine="portable")
    assert [name for name in gone + stays if (folder / name).exists()] == stays
    assert (
        "Removed what a killed run left half written: .model_0000004.pth.a1b2.partial, "
        ".x.json.c3.partial"
    ) in caplog.messages
