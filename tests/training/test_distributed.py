"""Starting processes, and what they tell each other. Engine-neutral."""

import argparse
import json
import os
from pathlib import Path

import pytest
import torch

from resnext_det.cli.errors import report_errors
from resnext_det.errors import UserError
from resnext_det.training import distributed
from resnext_det.training.device import check_device, resolve_device
from resnext_det.training.distributed import launch


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
    }
    Path(folder, f"{mine}.json").write_text(json.dumps(learnt))


def refuse() -> None:
    raise UserError("only this line")


def diverge() -> None:
    raise FloatingPointError("iteration 3: loss_cls not finite")


def test_two_processes_on_the_cpu(tmp_path):
    assert launch(exchange, num_gpus=2, args=(str(tmp_path),)) is None
    expected = {"all": [0, 1], "main": 10, "mean": {"a": 0.5}, "world": 2}
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected


def test_a_user_error_in_a_process_comes_back_as_one():
    with pytest.raises(UserError, match=r"^only this line$"):
        launch(refuse, num_gpus=2)


def test_a_diverged_process_comes_back_as_one_line_and_status_3(capsys):
    verb = lambda args: launch(diverge, num_gpus=2) or 0  # noqa: E731
    assert report_errors(verb, argparse.Namespace()) == 3
    assert capsys.readouterr().err == "error: iteration 3: loss_cls not finite\n"


@pytest.mark.parametrize("num_gpus", [0, 1])
def test_one_process_runs_here(num_gpus):
    assert launch(os.getpid, num_gpus=num_gpus) == os.getpid()


def test_alone(tmp_path):
    exchange(str(tmp_path))
    expected = {"all": [0], "main": 10, "mean": {"a": 0.0}, "world": 1}
    assert json.loads((tmp_path / "0.json").read_text()) == expected
    assert distributed.mean_over_processes({}) == {}


def test_torchruns_environment_is_honoured(tmp_path, monkeypatch):
    port = str(distributed._free_port())
    variables = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_PORT": port}
    for name, value in {**variables, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    assert launch(torch.distributed.is_initialized, num_gpus=8) is True
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_gpus": -1}, "--num-gpus -1: it must be 0 or more"),
        ({"num_machines": 2}, "needs --dist-url"),
        ({"num_machines": 2, "machine_rank": 2, "dist_url": "tcp://h:1"}, "--machine-rank 2"),
    ],
)
def test_numbers_that_cannot_be(numbers, message):
    with pytest.raises(UserError, match=message):
        launch(refuse, **numbers)


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="--num-gpus 2: this machine has 1"):
        launch(refuse, num_gpus=2)


def test_a_machine_without_a_gpu_says_so_once(cfg, caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cfg.MODEL.DEVICE == "cuda"
    assert resolve_device(cfg) == torch.device("cpu")
    assert caplog.text.count("runs on the CPU") == 1
    cfg.MODEL.DEVICE = "cpu"
    caplog.clear()
    assert resolve_device(cfg) == torch.device("cpu")
    assert not caplog.records


@pytest.mark.parametrize("name", ["xyz", "", "meta", "xpu"])
def test_a_device_that_cannot_compute_is_refused_with_the_usable_ones(cfg, monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    cfg.MODEL.DEVICE = name
    with pytest.raises(UserError) as error:
        resolve_device(cfg)
    expected = f"MODEL.DEVICE is {name!r}, on which torch cannot compute here; it can be cpu"
    assert str(error.value) == expected


def test_mps_where_there_is_none_and_gpus_by_number(cfg, monkeypatch):
    if torch.backends.mps.is_available():
        pytest.skip("needs a machine without MPS")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cfg.MODEL.DEVICE = "mps"
    with pytest.raises(UserError, match=r"'mps', .* it can be cpu, cuda, cuda:0, cuda:1$"):
        check_device(cfg)
    cfg.MODEL.DEVICE = "cuda:1"
    assert resolve_device(cfg) == torch.device("cuda:1")
