"""Folders of runs: absent, not writable, not locked; room on disks. Engine-neutral."""

import errno
import os
import shutil
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
