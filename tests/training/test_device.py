"""The device a run computes on. Engine-neutral."""

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.training.device import check_device, check_norms, resolve_device


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


def test_norms_over_processes_need_gpus(cfg, monkeypatch):
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.FPN.NORM = "SyncBN"
    check_norms(cfg)  # one process: the norm is BN
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(UserError, match=r"^MODEL.FPN.NORM is SyncBN, which torch computes among"):
        check_norms(cfg)
    with pytest.raises(ValueError, match="on GPU"):  # torch's own words, in the middle of a run
        torch.nn.SyncBatchNorm(2)(torch.zeros(2, 2, 1, 1))
    cfg.MODEL.DEVICE = "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_norms(cfg)
