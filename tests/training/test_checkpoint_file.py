"""What was written is read back, and nothing else passes for it. Engine-neutral."""

import random
from collections import OrderedDict

import pytest
import torch
from torch import nn

from resnext_det.errors import UserError
from resnext_det.training import checkpoint_file
from resnext_det.training.checkpoint_file import (
    DamagedCheckpointError,
    is_whole,
    load_checkpoint,
    write_checkpoint,
)
from resnext_det.whole_files import write_safe
from tests.training.runs import assert_equal


def content():
    torch.manual_seed(0)
    weights = OrderedDict(a=torch.rand(4, 5), b=torch.rand(2, 3, 2, 2).mT, c=torch.tensor(3))
    return {
        "model": weights,
        "iteration": 4,
        "config": "SEED: 1\n",
        "optimizer": {"state": {0: {"momentum": torch.rand(4, 5)}}, "groups": [{"lr": 0.1}]},
        "class_names": ["cat", "\N{DOG}"],
        "best": {"value": None, "spent": False},
    }


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model_0000004.pth"
    write_checkpoint(path, content())
    return path


def test_one_file_that_every_reader_of_torchs_files_reads(path):
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert_equal(load_checkpoint(path), content())
    for mmap in (False, True):
        plain = torch.load(path, weights_only=True, mmap=mmap)
        digest = plain.pop("digest")
        assert digest.startswith("sha256:")
        assert_equal(plain, content())
    assert is_whole(path)


@pytest.mark.d2
def test_detectron2_reads_it(path):
    from detectron2.checkpoint import DetectionCheckpointer

    model = nn.Module()
    for name, value in content()["model"].items():
        model.register_buffer(name, torch.zeros_like(value))
    rest = DetectionCheckpointer(model).load(str(path))
    assert torch.equal(model.a, content()["model"]["a"])
    assert rest["iteration"] == 4


def test_it_is_the_same_file_each_time(path, tmp_path):
    again = tmp_path / "again.pth"
    write_checkpoint(again, content())
    digests = [torch.load(file, weights_only=True)["digest"] for file in (path, again)]
    assert digests[0] == digests[1]


def test_no_flipped_bit_passes_unnoticed(path):
    data = path.read_bytes()
    choose = random.Random(0)
    # Every ninth byte, and each of the last ones, in which the seal is.
    places = {*range(0, len(data), 9), *range(len(data) - 120, len(data))}
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 1 << choose.randrange(8)
        path.write_bytes(changed)
        try:
            load_checkpoint(path)
        except DamagedCheckpointError:
            continue
        pytest.fail(f"byte {place} of {len(data)}")


@pytest.mark.parametrize("keep", [0, 1, 10, 0.3, 0.5, 0.9, -1, -100])
def test_a_file_that_is_cut_off(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else keep])
    with pytest.raises(UserError, match=r"model_0000004\.pth: is (torn|damaged)") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(": take another one, or start the run anew")
    assert not is_whole(path)


def test_a_block_that_the_disk_lost(path):
    data = bytearray(path.read_bytes())
    data[512:1024] = bytes(512)
    path.write_bytes(data)
    with pytest.raises(DamagedCheckpointError):
        load_checkpoint(path)


def test_a_changed_number_in_a_file_saved_again(path):
    changed = torch.load(path, weights_only=True)
    changed["model"]["a"][0, 0] += 1
    write_safe(path, changed)
    with pytest.raises(UserError, match=r"is damaged \(its content is not that of its digest\)"):
        load_checkpoint(path)


@pytest.mark.parametrize("entry", ["digest", "iteration", "class_names"])
def test_an_entry_that_no_run_writes(path, entry):
    changed = torch.load(path, weights_only=True)
    write_safe(path, {**changed, entry: {1, 2}})
    with pytest.raises(UserError, match="its content is not that of its digest"):
        load_checkpoint(path)


def test_the_same_content_saved_again_is_whole_and_this_is_said(path, caplog):
    write_safe(path, torch.load(path, weights_only=True))
    assert_equal(load_checkpoint(path), content())
    [line] = caplog.messages
    assert line == f"{path} was saved again by another program; its content is whole"


def test_an_older_file_loads_and_this_is_said_once(path, caplog):
    write_safe(path, content())
    assert_equal(load_checkpoint(path), content())
    assert caplog.messages == [
        f"{path} has no digest (an older version wrote it): it is used unchecked"
    ]


def test_a_sealed_file_without_its_digest_is_not_an_older_one(path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "DIGEST", "other")
    with pytest.raises(UserError, match=r"is damaged \(it has lost its digest\)"):
        load_checkpoint(path)


def test_code_in_a_file_is_refused(tmp_path):
    torch.save({"model": nn.Linear(1, 1)}, tmp_path / "model_final.pth")
    with pytest.raises(
        UserError, match=r"is torn or no checkpoint \(it holds other things than tensors, num"
    ):
        load_checkpoint(tmp_path / "model_final.pth")


def test_what_is_no_file(tmp_path):
    (tmp_path / "model_final.pth").mkdir()
    with pytest.raises(UserError, match="is torn or no checkpoint"):
        load_checkpoint(tmp_path / "model_final.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds a list, not a checkpoint"):
        load_checkpoint(tmp_path / "list.pth")


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path):
    with pytest.raises(TypeError, match="a function has no digest"):
        write_checkpoint(tmp_path / "a.pth", {"function": lambda: None})
    assert not list(tmp_path.iterdir())
