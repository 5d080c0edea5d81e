"""Networks that fail, are slow, or compute nonsense. Portable."""

import itertools

import pytest
import torch
from torch import nn

from resnext_det.doctor import forward_pass
from resnext_det.doctor.forward_pass import run


def plain(network, image):
    return [network(image.float())]


def test_both_networks_on_the_cpu():
    before = torch.random.get_rng_state()
    found = list(forward_pass.run_both("cpu"))
    assert [finding.check for finding in found] == ["classifier", "detector"]
    assert all(finding.facts["finite"] for finding in found)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_numbers_that_are_not_finite():
    finding = run("net", nn.Identity, lambda *_: [torch.tensor([1.0, torch.nan])], "cpu")
    assert (finding.verdict, finding.facts["finite"]) == ("problem", False)
    assert finding.text == "not all numbers of a net on cpu are finite"


def test_one_that_fails():
    def fail(*_):
        raise RuntimeError("no kernel image is available\nfor execution")

    finding = run("net", nn.Identity, fail, "cpu")
    assert finding.verdict == "problem"
    assert finding.text == (
        "a net failed on cpu: RuntimeError: no kernel image is available for execution"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there():
    assert "a net failed on cuda:0" in run("net", nn.Identity, plain, "cuda:0").text


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_told_once():
    (finding,) = forward_pass.look("cuda:1")
    assert (finding.verdict, finding.text) == (
        "problem",
        "there is no cuda:1: torch finds no GPU",
    )


def test_a_slow_one(monkeypatch):
    clock = itertools.count(0, 6)
    monkeypatch.setattr(forward_pass.time, "perf_counter", lambda: float(next(clock)))
    finding = run("net", nn.Identity, plain, "cpu")
    assert (finding.verdict, finding.facts["seconds"]) == ("note", 6.0)


def test_nothing_found_is_finite():
    assert run("net", nn.Identity, lambda *_: [torch.zeros(0, 4)], "cpu").verdict == "ok"
