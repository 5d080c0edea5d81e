"""Memory, threads, open files and encodings, good and bad. Engine-neutral."""

import resource
import shutil
from types import SimpleNamespace

import pytest

from resnext_det.doctor import memory, text_encoding, threads

GB = 10**9


@pytest.mark.parametrize(
    ("left", "verdict"),
    [(None, "note"), (0, "problem"), (GB, "note"), (4 * GB, "ok")],
)
def test_memory(left, verdict):
    assert memory.judge_memory(left).verdict == verdict


def test_the_containers_limit_counts(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: GB // 2)
    first = next(memory.look())
    assert (first.verdict, first.facts) == ("problem", {"bytes": GB // 2})


@pytest.mark.parametrize(
    ("free", "verdict"), [(64 << 20, "problem"), (GB // 4, "note"), (GB // 2, "ok")]
)
def test_shared_memory(free, verdict, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    finding = memory.judge_shared(tmp_path)
    assert finding.verdict == verdict
    assert ("--shm-size" in finding.advice) == (verdict != "ok")


def test_no_shared_memory(tmp_path):
    assert memory.judge_shared(tmp_path / "no").verdict == "note"


@pytest.mark.parametrize(
    ("stated", "count", "cores", "quota", "verdict", "advice"),
    [
        (None, 4, 4, None, "ok", ""),
        ("4", 4, 4, None, "ok", ""),
        ("4,2", 4, 4, None, "ok", ""),
        ("8", 8, 4, None, "note", "OMP_NUM_THREADS=4"),
        (None, 16, 16, 2.0, "note", "OMP_NUM_THREADS=2"),
        (None, 2, 16, 0.5, "note", "OMP_NUM_THREADS=1"),
        ("1", 1, 8, None, "note", "OMP_NUM_THREADS=8"),
        (None, 1, 1, None, "ok", ""),
        ("many", 4, 4, None, "problem", "Unset it"),
        ("0", 4, 4, None, "problem", "Unset it"),
    ],
)
def test_threads(stated, count, cores, quota, verdict, advice):
    finding = threads.judge_threads(stated, count, cores, quota)
    assert finding.verdict == verdict
    assert advice in finding.advice
    assert finding.facts["quota"] == quota


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_quota_of_version_2(tmp_path):
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
    }
    write(tmp_path, files)
    assert threads.quota(tmp_path) == 1.5


def test_quota_of_version_1(tmp_path):
    files = {
        "proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/a\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "400000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    write(tmp_path, files)
    assert threads.quota(tmp_path) == 4.0


def test_no_quota(tmp_path):
    assert threads.quota(tmp_path) is None


@pytest.mark.parametrize(
    ("limit", "verdict"), [(256, "note"), (1024, "ok"), (resource.RLIM_INFINITY, "ok")]
)
def test_open_files(limit, verdict):
    assert threads.judge_files(limit).verdict == verdict


@pytest.mark.parametrize(
    ("names", "text", "printed", "verdict"),
    [
        ("utf-8", "UTF-8", "utf8", "ok"),
        ("utf-8", "ISO-8859-1", "utf-8", "note"),
        ("utf-8", "UTF-8", "none", "note"),
        ("ascii", "ANSI_X3.4-1968", "ascii", "problem"),
    ],
)
def test_encodings(names, text, printed, verdict):
    finding = text_encoding.judge(names, text, printed)
    assert finding.verdict == verdict
    assert ("LC_ALL" in finding.advice) == (verdict != "ok")
