"""A lock that ends with its process, however that ends. Engine-neutral."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resnext_det import folder_locks
from resnext_det.folder_locks import Holder, read_holder, release, try_lock, write_holder

# Loaded by its path: the package would import torch, which takes seconds.
START = f"""
import importlib.util, os, sys, time
spec = importlib.util.spec_from_file_location("folder_locks", {folder_locks.__file__!r})
locks = importlib.util.module_from_spec(spec)
sys.modules["folder_locks"] = locks
spec.loader.exec_module(locks)
from pathlib import Path
path = Path(sys.argv[1])
lock = locks.try_lock(path)
locks.write_holder(lock, os.getpid())
"""
HOLD = START + "print('held', flush=True)\nsys.stdin.read()\n"
FORK = (
    START
    + """
if "kept" in sys.argv:
    locks.keep_from_children(lock)
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.01)
    print("held", flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), 9)
"""
)


@contextmanager
def process(code: str, *words: object) -> Iterator["subprocess.Popen[str]"]:
    """Runs code that says when it holds the lock, and ends when its input does."""
    command = [sys.executable, "-c", code, *(str(word) for word in words)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout
        assert started.stdin
        assert started.stdout.readline() == "held\n"
        yield started
        started.stdin.close()
        started.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "run.lock"


def test_one_at_a_time(path: Path) -> None:
    lock = try_lock(path)
    assert lock is not None
    assert try_lock(path) is None
    release(lock)
    again = try_lock(path)
    assert again is not None
    release(again)


def test_the_file_names_who_holds_it(path: Path) -> None:
    with process(HOLD, path) as other:
        assert try_lock(path) is None
        holder = read_holder(path)
        assert holder
        assert (holder.pid, holder.host) == (other.pid, socket.gethostname())
        assert str(holder) == f"process {other.pid} on {socket.gethostname()}"
        assert holder.is_alive
        assert not holder.is_this_process
        other.kill()
        other.wait()
        assert not holder.is_alive
        lock = try_lock(path)
        assert lock is not None
        write_holder(lock, os.getpid())
        mine = read_holder(path)
        assert mine
        assert mine.is_this_process
        release(lock)
        assert read_holder(path) is None


@pytest.mark.parametrize("kept", [True, False])
def test_whether_children_hold_it_on(path: Path, kept: bool) -> None:
    with process(FORK, path, "kept" if kept else "inherited"):
        lock = try_lock(path)  # its holder is dead, a child of it lives
        assert (lock is not None) is kept
        if lock is not None:
            release(lock)


def test_a_removed_file_is_not_mistaken_for_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, first = os.open, try_lock(path)
    assert first is not None

    def opens_just_before_it_is_removed(name: Path, *more: int) -> int:
        descriptor = real(name, *more)
        monkeypatch.setattr(os, "open", real)
        release(first, remove=path)
        return descriptor

    monkeypatch.setattr(os, "open", opens_just_before_it_is_removed)
    lock = try_lock(path)
    assert lock is not None
    assert try_lock(path) is None
    release(lock, remove=path)
    assert not path.exists()


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no locks."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(folder_locks.fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_word_of_a_living_process_counts(path: Path) -> None:
    with process(HOLD, path) as other:
        assert try_lock(path) is None
        other.kill()
        other.wait()
        lock = try_lock(path)
        assert lock is not None
        release(lock)


@pytest.mark.usefixtures("no_locks")
def test_a_later_process_of_the_same_number_is_another(path: Path) -> None:
    lock = try_lock(path)
    assert lock is not None
    write_holder(lock, os.getpid())
    written = json.loads(path.read_text())
    assert try_lock(path) is None
    path.write_text(json.dumps({**written, "started": "an earlier boot 1"}))
    again = try_lock(path)
    assert again is not None
    release(again)
    release(lock)


@pytest.mark.parametrize(
    ("kind", "options", "seen"),
    [
        ("ext4", "rw,discard", True),
        ("nfs4", "rw,vers=4.2,local_lock=none,addr=10.0.0.1", True),
        ("nfs", "rw,vers=3,local_lock=all", False),
        ("nfs", "rw,nolock", False),
        ("lustre", "rw,flock", True),
        ("lustre", "rw,localflock", False),
        ("beegfs", "rw", False),
    ],
)
def test_which_file_systems_have_locks_that_other_machines_see(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str, seen: bool
) -> None:
    lock = try_lock(path)
    assert lock is not None
    device = os.fstat(lock).st_dev
    mounts = path.parent / "mountinfo"
    own = f"{os.major(device)}:{os.minor(device)}"
    mounts.write_text(
        "20 1 0:999 / /proc rw - proc proc rw\n"
        f"36 35 {own} / /data\\040x rw,noatime shared:1 - {kind} host:/data {options}\n"
    )
    monkeypatch.setattr(folder_locks, "_MOUNTS", mounts)
    assert folder_locks.is_seen_elsewhere(lock) is seen
    monkeypatch.setattr(folder_locks, "_MOUNTS", path.parent / "none")
    assert folder_locks.is_seen_elsewhere(lock)
    release(lock)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_none_is_seen(path: Path) -> None:
    lock = try_lock(path)
    assert lock is not None
    assert not folder_locks.is_seen_elsewhere(lock)
    release(lock)


def test_other_errors_are_not_taken_for_a_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(folder_locks.fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        try_lock(path)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[1]", '{"pid": 1}', "\0"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("[" * 4000, id="deep and short"),
        *('{"pid": 1, "host": 3}', '{"pid": 1, "host": "a\\nb"}', '{"pid": "1", "host": "a"}'),
        *('{"pid": -1, "host": "a"}', '{"pid": 0, "host": "a"}', '{"pid": true, "host": "a"}'),
        *('{"pid": 1e9, "host": "a"}', '{"pid": 1, "host": "a", "started": []}'),
    ],
)
def test_a_file_that_names_nobody(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert read_holder(path) is None


def test_a_link_is_not_followed(path: Path) -> None:
    path.parent.mkdir()
    kept = path.with_name("kept")
    kept.write_text('{"pid": 1, "host": "a"}')
    path.symlink_to(kept)
    with pytest.raises(OSError, match="a link"):
        try_lock(path)
    assert read_holder(path) is None
    assert kept.read_text() == '{"pid": 1, "host": "a"}'


def test_a_pipe_is_not_waited_on(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a plain file"):
        try_lock(path)
    assert read_holder(path) is None


def test_a_file_of_before_there_were_starts() -> None:
    holder = Holder(os.getpid(), socket.gethostname())
    assert holder.is_alive
    assert not Holder(os.getpid(), "elsewhere").is_alive
