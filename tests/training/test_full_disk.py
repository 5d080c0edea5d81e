"""A disk that takes no more ends a run in one line, and what was whole stays. Engine-neutral."""

import errno
import logging
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import torch

from resnext_det import whole_files
from resnext_det.errors import UserError
from resnext_det.training.boards import TensorBoard
from resnext_det.training.checkpoint import Checkpointer, load_checkpoint
from resnext_det.training.log import start_logging
from resnext_det.training.result import write_result
from resnext_det.training.writers import RunWriter
from resnext_det.whole_files import disk_errors_in_one_line, write_text_safe
from tests.training.conftest import TinyNet

MEND = (
    ": free space or mend the folder, then give the same command again; a training run goes on "
    "with --resume"
)
SIZE = 1 << 18


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root that may mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def no_more_space(folder) -> Iterator[None]:
    """Fills the file system to the last byte."""
    with (folder / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    yield
    (folder / "filling").unlink()


@contextmanager
def no_large_files(folder) -> Iterator[None]:
    """Lets no file grow beyond 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(params=["full", "limit"])
def limited(request, tmp_path):
    """A folder, a context in which it takes no more, and what the system says of it."""
    if request.param == "limit":
        return tmp_path, no_large_files, os.strerror(errno.EFBIG)
    return request.getfixturevalue("small_disk"), no_more_space, os.strerror(errno.ENOSPC)


def one_line(folder, limit, write) -> str:
    """What is said of the first write that the disk refuses, among as many as it takes."""
    with limit(folder), pytest.raises(UserError) as error:
        _write_on(folder, write)
    assert "\n" not in str(error.value)
    assert not list(folder.glob(".*"))
    return str(error.value)


def _write_on(folder, write) -> None:
    with disk_errors_in_one_line(folder):
        for number in range(3000):
            write(number)


def test_a_checkpoint(limited):
    folder, limit, said = limited
    checkpointer = Checkpointer(folder, extra={"more": torch.rand(20_000)})  # 80 kB
    path = checkpointer.save("model_0000004", model=TinyNet(), iteration=4)

    def write(number):
        checkpointer.save("model_0000009", model=TinyNet(), iteration=9)

    message = one_line(folder, limit, write)
    assert message == f"{folder / 'model_0000009.pth'}: cannot be written ({said}){MEND}"
    assert load_checkpoint(path)["iteration"] == 4
    assert (folder / "last_checkpoint").read_text() == path.name
    assert sorted(p.name for p in folder.iterdir()) == ["last_checkpoint", path.name]
    write(9)
    assert (folder / "last_checkpoint").read_text() == "model_0000009.pth"


def test_the_best_weights(limited):
    folder, limit, said = limited
    checkpointer = Checkpointer(folder, extra={"more": torch.rand(20_000)})
    best = {"metric": "AP", "value": 1.0}
    message = one_line(folder, limit, lambda i: checkpointer.save_best(TinyNet(), i, best))
    assert message.startswith(f"{folder / 'model_best.pth'}: cannot be written ({said})")
    assert not list(folder.iterdir())


def test_metrics_json(limited):
    folder, limit, said = limited
    with RunWriter(folder, 0, 10_000) as writer:
        writer.record_evaluation(0, {"AP": 1.0})
        names = {f"a metric of number {number}": 0.5 for number in range(200)}
        message = one_line(folder, limit, lambda i: writer.record_evaluation(i + 1, names))
        assert message == f"{folder / 'metrics.json'}: {said}{MEND}"
    with RunWriter(folder, 1, 10_000) as writer:  # the run goes on from iteration 1
        writer.record_evaluation(1, {"AP": 2.0})
    lines = (folder / "metrics.json").read_text().splitlines()
    assert lines == ['{"AP": 1.0, "iteration": 0}', '{"AP": 2.0, "iteration": 1}']


def test_a_disk_that_has_ended_the_run_is_not_named_again_when_files_are_closed(limited):
    folder, limit, _ = limited
    writer = RunWriter(folder, 0, 10_000, boards=[TensorBoard(folder, 0)])
    with limit(folder):
        with pytest.raises(UserError):
            _write_on(folder, lambda i: writer.record_evaluation(i, {"a name" * 100: 0.5}))
        # Both files still hold what the disk did not take.
        assert not writer.__exit__(KeyError, KeyError(), None)


def test_log_txt(limited):
    folder, limit, said = limited
    start_logging(folder)
    logger = logging.getLogger("resnext_det.anything")
    message = one_line(folder, limit, lambda i: logger.info("%s", "a word " * 500))
    assert message == f"{folder / 'log.txt'}: {said}{MEND}"
    start_logging()


def test_tensorboard(limited, capfd):
    folder, limit, said = limited
    board = TensorBoard(folder, 0)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    message = one_line(folder, limit, lambda i: board.pictures(i, {"noise": noise}))
    assert message == f"{folder}: {said}{MEND}"
    with suppress(OSError):  # as the writer does
        board.close()
    assert "Traceback" not in capfd.readouterr().err


def test_result_json_and_files_of_inference(limited, cfg):
    folder, limit, said = limited
    write_result(folder, cfg=cfg, engine="portable", seed=1, metrics={"AP": 1.0})
    before = (folder / "result.json").read_text()
    more = {"names": ["a class"] * 20_000}

    def write(number):
        write_result(folder, cfg=cfg, engine="portable", seed=1, metrics={}, **more)

    message = one_line(folder, limit, write)
    assert message == f"{folder / 'result.json'}: cannot be written ({said}){MEND}"
    assert (folder / "result.json").read_text() == before


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EIO", "EFBIG", "EROFS"])
def test_what_others_find_full(tmp_path, number):
    code = getattr(errno, number)
    with pytest.raises(UserError) as error, disk_errors_in_one_line(tmp_path):
        raise OSError(code, os.strerror(code), "inference/theirs.json")
    assert str(error.value) == f"inference/theirs.json: {os.strerror(code)}{MEND}"


def test_what_is_not_the_disks_is_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError), disk_errors_in_one_line(tmp_path):
        (tmp_path / "a").read_text()


@pytest.mark.parametrize("number", ["EINVAL", "ENOTSUP"])
def test_a_file_system_that_brings_no_folder_to_the_disk(tmp_path, monkeypatch, number):
    synced = _without_folders(monkeypatch, getattr(errno, number))
    write_text_safe(tmp_path / "a", "text")
    assert (tmp_path / "a").read_text() == "text"
    assert synced == ["file", "folder"]


def test_a_folder_that_the_disk_fails_to_keep(tmp_path, monkeypatch):
    _without_folders(monkeypatch, errno.EIO)
    with pytest.raises(UserError, match=r"a: cannot be written \(Input/output error\)"):
        write_text_safe(tmp_path / "a", "text")


def _without_folders(monkeypatch, code) -> list[str]:
    """Lets folders fail to be brought to the disk; returns what is asked for."""
    real, asked = os.fsync, []

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            asked.append("folder")
            raise OSError(code, os.strerror(code))
        asked.append("file")
        real(descriptor)

    monkeypatch.setattr(whole_files.os, "fsync", fsync)
    return asked
