"""What processes tell each other. Engine-neutral."""

import json
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.training import distributed
from resnext_det.training.launch import launch
from resnext_det.training.place import Request


def exchange(folder: str) -> None:
    """Runs in each process: writes what it learnt from the others."""
    mine = distributed.rank()
    with distributed.main_first():
        pass
    learnt = {
        "all": distributed.all_gather_objects(mine),
        "main": distributed.broadcast_object(mine + 10),
        "mean": distributed.mean_over_processes({"a": torch.tensor(float(mine))}),
        "world": distributed.world_size(),
        "here": [distributed.local_rank(), distributed.local_world_size()],
    }
    Path(folder, f"{mine}.json").write_text(json.dumps(learnt))


def test_two_processes_on_the_cpu(tmp_path):
    assert launch(exchange, Request(num_gpus=2), (str(tmp_path),)) is None
    expected = {"all": [0, 1], "main": 10, "mean": {"a": 0.5}, "world": 2}
    for rank in (0, 1):
        learnt = json.loads((tmp_path / f"{rank}.json").read_text())
        assert learnt == expected | {"here": [rank, 2]}


def test_alone(tmp_path):
    exchange(str(tmp_path))
    expected = {"all": [0], "main": 10, "mean": {"a": 0.0}, "world": 1, "here": [0, 1]}
    assert json.loads((tmp_path / "0.json").read_text()) == expected
    assert distributed.mean_over_processes({}) == {}


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    assert [distributed.gpu_of(number) for number in (0, 1)] == [0, 1]
    with pytest.raises(UserError, match="process 2 of this machine finds no GPU: there are 2"):
        distributed.gpu_of(2)
    monkeypatch.setenv("LOCAL_RANK", "1")  # left over, and this process is alone
    assert distributed.own_gpu() == 0


def test_slurm_may_show_each_process_its_one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    assert distributed.gpu_of(3) == 0
