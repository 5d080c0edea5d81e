"""Checkpoint files: whole, safe, and found again. Engine-neutral."""

import errno
import os

import pytest
import torch
from torch import nn

from resnext_det.errors import UserError
from resnext_det.training.checkpoint import (
    Checkpointer,
    checkpoint_name,
    load_checkpoint,
    restore_model,
)
from resnext_det.training.newest import latest_checkpoint
from resnext_det.whole_files import write_safe


def test_names_are_detectron2s():
    assert checkpoint_name(4999) == "model_0004999"


def test_round_trip_without_pickled_code(tmp_path, tiny_net):
    checkpointer = Checkpointer(tmp_path, config="SEED: 1\n", class_names=["cat"], extra={"x": 1})
    path = checkpointer.save("model_0000004", model=tiny_net, iteration=4)
    content = torch.load(path, weights_only=True)
    assert content.keys() == {"model", "iteration", "config", "class_names", "x", "digest"}
    assert checkpointer.latest() == latest_checkpoint(tmp_path) == path
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000004.pth"
    other = type(tiny_net)()
    restore_model(other, load_checkpoint(path), path)
    for key, value in tiny_net.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model_final.pth"
    write_safe(path, {"iteration": 1})

    def torn(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.save", torn)
    with pytest.raises(KeyboardInterrupt):
        write_safe(path, {"iteration": 2})
    assert load_checkpoint(path) == {"iteration": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["model_final.pth"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(content, file):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:  # as torch does, whose writer loses the cause
            raise RuntimeError(
                "[enforce fail at inline_container.cc:671] . unexpected pos"
            ) from None

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(UserError, match=r"a\.pth: cannot be written \(No space left on device\)"):
        write_safe(tmp_path / "a.pth", {})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match=r"a\.pth: cannot be written \(.*\): .* the same command"):
        write_safe(tmp_path / "run" / "a.pth", {})


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path):
    with pytest.raises(AttributeError, match="local object"):
        write_safe(tmp_path / "a.pth", {"function": lambda: None})


def test_missing_files(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    with pytest.raises(UserError, match="model_final.pth: is not there: take another one"):
        load_checkpoint(tmp_path / "model_final.pth")


def test_another_model_is_refused(tmp_path, tiny_net):
    with pytest.raises(UserError, match="does not fit the model"):
        restore_model(tiny_net, {"model": nn.Linear(1, 1).state_dict()}, "x.pth")
