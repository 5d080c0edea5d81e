"""A study's folder: whose it is, and one process at a time."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from projects.studies import grid as grids
from projects.studies.folders import study_folder
from projects.studies.folders.study_folder import check_study, hold_folder, mark_study
from resnext_det import folder_locks
from resnext_det.errors import UserError
from resnext_det.folder_locks import read_holder, release, try_lock

HERE = Path(__file__).parents[4]


def grid(output: Path) -> grids.Grid:
    return grids.Grid(
        "A study", "detection", "mini", output, (), (), grids.TestSet(f"{output}/data/a:b")
    )


@contextmanager
def open_study(study: grids.Grid) -> Iterator[None]:
    """Holds a study's folder and marks it, as its command does."""
    with hold_folder(study.output):
        mark_study(study)
        yield


@contextmanager
def another_process(output: Path) -> Iterator[subprocess.Popen[str]]:
    """Holds the lock of a folder elsewhere."""
    code = f"""
import os, sys
from pathlib import Path
from resnext_det.folder_locks import try_lock, write_holder
lock = try_lock(Path({str(output)!r}) / "study.lock")
write_holder(lock, os.getpid())
print("held", flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_new_folder_gets_the_study_s_marker(tmp_path: Path) -> None:
    output = tmp_path / "new" / "study"
    with open_study(grid(output)):
        marker = json.loads((output / "study.json").read_text())
        assert {k: marker[k] for k in ("title", "scale", "kind")} == {
            "title": "A study", "scale": "mini", "kind": "detection",
        }  # fmt: skip
    with open_study(grid(output)):
        assert json.loads((output / "study.json").read_text()) == marker


def test_data_may_have_been_made_before(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with open_study(grid(tmp_path)):
        pass


def test_a_foreign_folder_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UserError) as caught, open_study(grid(tmp_path)):
        pass
    assert str(caught.value) == (
        f"{tmp_path} is no study's folder (it holds thesis.tex and no study.json, which studies of "
        "older versions lack, too): give another --output, or remove this folder if nothing in it "
        "is needed"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match="a is a file: give another --output"):
        open_study(grid(tmp_path / "a")).__enter__()


def test_another_study_is_refused(tmp_path: Path) -> None:
    first = grid(tmp_path)
    with open_study(first):
        pass
    for other, words in (
        (replace(first, scale="coco"), "holds the study 'A study' at scale mini, not 'A study' at"),
        (replace(first, title="B"), "holds the study 'A study' at scale mini, not 'B' at scale"),
        (replace(first, test_set=grids.TestSet("c:d")), "with another test set or other settings"),
        (replace(first, compared=("SEED",)), "with another test set or other settings"),
    ):
        with pytest.raises(UserError, match=words), open_study(other):
            pass


def test_a_moved_study_is_the_same(tmp_path: Path) -> None:
    with open_study(grid(tmp_path / "a")):
        pass
    (tmp_path / "a").rename(tmp_path / "b")
    with open_study(grid(tmp_path / "b")):
        pass


@pytest.mark.parametrize("text", ["", "[1]"])
def test_a_damaged_marker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(UserError, match="give another --output"), open_study(grid(tmp_path)):
        pass


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        words = f"is in use by process {process.pid} on {socket.gethostname()}: wait for it"
        with pytest.raises(UserError, match=words), open_study(grid(tmp_path)):
            pass
        process.kill()
        process.wait()
        with open_study(grid(tmp_path)):
            assert read_holder(tmp_path / "study.lock").pid == os.getpid()
    assert read_holder(tmp_path / "study.lock") is None


def test_a_lock_of_another_machine_is_never_taken_over(tmp_path: Path) -> None:
    (tmp_path / "study.lock").write_text('{"pid": 1, "host": "elsewhere"}')
    words = r"in use by process 1 on elsewhere: .* where it is gone, remove .*study\.lock"
    for _ in range(2):
        with pytest.raises(UserError, match=words), open_study(grid(tmp_path)):
            pass


def test_a_failed_study_gives_its_folder_back(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_study(grid(tmp_path)):
        raise RuntimeError
    lock = try_lock(tmp_path / "study.lock")
    assert lock is not None
    release(lock)


def refuse(output: Path, *, begun: str = "") -> None:
    """A command that makes data, marks the folder, and is refused."""

    def command() -> None:
        with hold_folder(output):
            (output / "data").mkdir(exist_ok=True)
            (output / "data" / "0.png").write_text("")
            mark_study(grid(output))
            (output / "test_set.json").write_text("{}")
            (output / "training_inputs.json").write_text("{}")
            if begun:
                (output / begun).mkdir(exist_ok=True)
            raise UserError("no such row")

    with pytest.raises(UserError, match="no such row"):
        command()


def test_a_refused_command_leaves_what_was_there_before(tmp_path: Path) -> None:
    refuse(tmp_path / "new" / "study")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty")
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]
    (tmp_path / "study" / "data").mkdir(parents=True)
    refuse(tmp_path / "study")
    assert {path.name for path in (tmp_path / "study").rglob("*")} == {"data", "0.png"}


def test_a_refused_command_keeps_a_study_that_was_begun(tmp_path: Path) -> None:
    names = {"study.json", "test_set.json", "training_inputs.json", "study.lock", "data", "0.png"}
    names |= {"R_50"}
    refuse(tmp_path / "a", begun="R_50")
    assert {path.name for path in (tmp_path / "a").rglob("*")} == names
    (tmp_path / "a" / "study.lock").unlink()
    refuse(tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").rglob("*")} == names - {"study.lock"}


def test_an_interrupted_command_keeps_what_it_made(tmp_path: Path) -> None:
    holding = hold_folder(tmp_path / "a")
    holding.__enter__()
    (tmp_path / "a" / "data").mkdir()
    assert not holding.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)  # it goes on up
    assert (tmp_path / "a" / "data").is_dir()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.lock"
    calls = []

    def remove_first(descriptor: int, how: int) -> None:
        if not calls:
            path.unlink()
        calls.append(how)
        flock(descriptor, how)

    flock = folder_locks.fcntl.flock
    monkeypatch.setattr(folder_locks.fcntl, "flock", remove_first)
    lock = try_lock(path)
    assert lock is not None
    assert len(calls) == 2
    assert try_lock(path) is None  # it is the file's that is there now
    release(lock)


def test_a_folder_is_held_before_it_is_known_whose_it_is(tmp_path: Path) -> None:
    output = tmp_path / "new"
    with hold_folder(output):
        (output / "data").mkdir()
        mark_study(grid(output))
        assert read_holder(output / "study.lock").pid == os.getpid()
    assert read_holder(output / "study.lock") is None
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="is no study's folder"), hold_folder(tmp_path):
        pass
    with another_process(output), pytest.raises(UserError, match="is in use by process"):
        hold_folder(output).__enter__()


def test_a_folder_is_held_once_whatever_its_file_says_of_the_process(tmp_path: Path) -> None:
    """Of two containers of one host name, each may be its process 1."""
    with another_process(tmp_path):
        lock = tmp_path / "study.lock"
        lock.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        with pytest.raises(UserError, match=f"in use by process {os.getpid()} on"):
            hold_folder(tmp_path).__enter__()


def test_another_study_is_known_before_its_grid(tmp_path: Path) -> None:
    mine = {"title": "A study", "kind": "detection", "scale": "mini"}
    check_study(tmp_path / "none", **mine)
    with open_study(grid(tmp_path)):
        pass
    check_study(tmp_path, **mine)
    for other in ({"title": "B"}, {"scale": "coco"}, {"kind": "classification"}):
        with pytest.raises(UserError, match=r"holds the study 'A study' at scale mini, not '.* at"):
            check_study(tmp_path, **(mine | other))


def test_what_another_command_made_while_this_one_came_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "study"

    def try_late(path: Path) -> int | None:
        monkeypatch.undo()
        with open_study(grid(output)):
            (output / "data").mkdir()
        return try_lock(path)

    monkeypatch.setattr(study_folder, "try_lock", try_late)
    with pytest.raises(UserError, match="no such row"), hold_folder(output):
        raise UserError("no such row")
    assert {path.name for path in output.iterdir()} == {"data", "study.json"}


def test_a_link_to_data_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0.png").touch()
    holding = hold_folder(tmp_path / "study")
    holding.__enter__()
    (tmp_path / "study" / "data").symlink_to(tmp_path / "mine")
    error = UserError("no such row")
    assert not holding.__exit__(UserError, error, None)  # it goes on up
    assert (tmp_path / "study" / "data" / "0.png").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match=r"study.lock: cannot be written \(Permission denied"):
            hold_folder(tmp_path).__enter__()
    finally:
        tmp_path.chmod(0o700)
