"""Folders of runs: absent, not writable, not locked; room on disks. Engine-neutral."""

import errno
import json
import os
import shutil
import socket
from types import SimpleNamespace

import pytest

from resnext_det.doctor import disk, output_folder
from resnext_det.doctor.findings import Verdict
from resnext_det.doctor.places import nearest_folder, refusal_to_write

GB = 10**9


def test_nearest(tmp_path):
    assert nearest_folder(tmp_path) == tmp_path
    assert nearest_folder(tmp_path / "a" / "b") == tmp_path


def test_refusals(tmp_path):
    assert refusal_to_write(tmp_path) == ""
    missing = tmp_path / "a"
    assert refusal_to_write(missing) == f"{missing} cannot be written (No such file or directory)"


def test_a_folder_to_be_made(tmp_path):
    written, locks = output_folder.look(tmp_path / "runs")
    assert written.text == f"{tmp_path / 'runs'} can be written, once it is made"
    assert locks.facts == {"seen": True}
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "runs").write_text("")
    (finding,) = output_folder.look(tmp_path / "runs")
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text == f"{tmp_path / 'runs'} is a file"


def test_room_is_not_told_of_a_file(tmp_path):
    (tmp_path / "runs").write_text("")
    assert [finding.check for finding in disk.look(tmp_path / "runs")] == ["free for weights"]


def hold(folder, pid, host):
    (folder / "run.lock").write_text(json.dumps({"pid": pid, "host": host}))


def test_a_run_that_has_the_folder(tmp_path):
    hold(tmp_path, os.getpid(), socket.gethostname())
    *_, finding = output_folder.look(tmp_path)
    assert finding.verdict is Verdict.NOTE
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    assert finding.text == f"{tmp_path} is in use by {holder}"
    hold(tmp_path, 7, "elsewhere.invalid")
    *_, finding = output_folder.look(tmp_path)
    assert finding.text.endswith(
        "is in use by process 7 on elsewhere.invalid, or was when that run ended without a word"
    )


def test_a_run_that_was_killed_has_the_folder_no_more(tmp_path):
    hold(tmp_path, 2**22 + 1, socket.gethostname())  # beyond Linux's largest process number
    assert [finding.check for finding in output_folder.look(tmp_path)] == [
        "output folder",
        "locks",
    ]


def test_a_folder_that_refuses(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(output_folder.tempfile, "TemporaryDirectory", refuse)
    (finding,) = output_folder.look(tmp_path)
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text == f"{tmp_path} cannot be written (Read-only file system)"


def test_locks_that_others_do_not_see(tmp_path, monkeypatch):
    monkeypatch.setattr(output_folder, "is_seen_elsewhere", lambda _: False)
    _, finding = output_folder.look(tmp_path)
    assert (finding.verdict, finding.facts) == ("note", {"seen": False})
    assert "different folders" in finding.advice


def test_a_lock_that_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(output_folder, "try_lock", lambda _: None)
    _, finding = output_folder.look(tmp_path)
    assert finding.verdict is Verdict.PROBLEM


@pytest.mark.parametrize(
    ("free", "verdict"), [(GB - 1, "problem"), (GB, "note"), (10 * GB - 1, "note"), (10 * GB, "ok")]
)
def test_room(free, verdict, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    finding = disk.judge("free", tmp_path)
    assert finding.verdict == verdict
    assert finding.facts == {"folder": str(tmp_path), "bytes": free}


def test_no_more_files(tmp_path, monkeypatch):
    blocks = {"f_frsize": 1, "f_blocks": 100 * GB, "f_bfree": 50 * GB, "f_bavail": 50 * GB}
    numbers = SimpleNamespace(f_files=100, f_favail=0, **blocks)
    monkeypatch.setattr(os, "statvfs", lambda _: numbers)
    finding = disk.judge("free", tmp_path)
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text == f"{tmp_path}: no further file can be made"
