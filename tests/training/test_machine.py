"""Cores and network interfaces. Engine-neutral."""

import os
import platform
import socket
import sys

import pytest
import torch

from resnext_det.training.machine import (
    cores,
    keep_freed_memory,
    name_interface,
    share_cores,
)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch):
    threads = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "GLOO_SOCKET_IFNAME"):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.pop("GLOO_SOCKET_IFNAME", None)
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("processes", "threads"), [(1, 8), (3, 2), (16, 1)])
def test_cores_are_shared(processes, threads, monkeypatch):
    monkeypatch.setattr("resnext_det.training.machine.cores", lambda: 8)
    share_cores(processes)
    assert torch.get_num_threads() == threads


def test_what_the_user_or_slurm_says_is_kept(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    share_cores(2)
    assert torch.get_num_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    share_cores(1)
    assert torch.get_num_threads() == 3


def test_there_is_a_core():
    assert cores() >= 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
def test_the_interface_that_leads_there(monkeypatch):
    name_interface(("127.0.0.1", 1))
    assert os.environ["GLOO_SOCKET_IFNAME"] in {name for _, name in socket.if_nameindex()}
    assert os.environ["GLOO_SOCKET_IFNAME"].startswith("lo")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "mine0")
    name_interface(("127.0.0.1", 1))
    assert os.environ["GLOO_SOCKET_IFNAME"] == "mine0"


def test_freed_memory_is_kept_where_glibc_is():
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
    assert keep_freed_memory() == keep_freed_memory()  # a second time does no harm
    assert torch.ones(2**23).sum() == 2**23


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
