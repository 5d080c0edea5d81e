"""Mismatches of card, driver and torch, from facts as they would be. Engine-neutral."""

from dataclasses import replace

import pytest

from resnext_det.doctor import cuda
from resnext_det.doctor.cuda import Card, CudaFacts, judge
from resnext_det.doctor.findings import Verdict

SOUND = CudaFacts(
    driver_is_visible=True,
    driver_cuda=(13, 2),
    torch_version="2.15.0+cu132",
    torch_cuda="13.2",
    is_available=True,
    architectures=("sm_75", "sm_80", "sm_90"),
    cards=(Card("NVIDIA H100", (9, 0)),),
)
BLIND = replace(SOUND, is_available=False, cards=())


def only(facts):
    (finding,) = judge(facts)
    return finding


def test_a_gpu_that_is_covered():
    first, card = judge(SOUND)
    assert first.text == "torch 2.15.0+cu132 is built for CUDA 13.2, and finds 1 GPU(s)"
    assert first.facts == {
        "torch_cuda": "13.2",
        "driver_cuda": "13.2",
        "available": True,
        "cards": ["NVIDIA H100"],
    }
    assert (card.verdict, card.text) == ("ok", "NVIDIA H100 (sm_90) is covered by this torch")


def test_no_driver():
    finding = only(replace(BLIND, driver_is_visible=False, driver_cuda=None))
    assert finding.verdict is Verdict.NOTE
    assert "no NVIDIA driver is visible: runs use the CPU" in finding.text


def test_a_torch_without_cuda_beside_a_driver():
    finding = only(replace(BLIND, torch_cuda=None, torch_version="2.15.0+cpu"))
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text == "torch 2.15.0+cpu is built without CUDA, but an NVIDIA driver is there"
    assert "make setup TORCH=" in finding.advice


@pytest.mark.parametrize("visible", ["", "-1", "-1,0"])
def test_hidden_cards(visible):
    finding = only(replace(BLIND, visible_devices=visible))
    assert finding.verdict is Verdict.NOTE
    assert f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU" in finding.text


def test_an_old_driver():
    finding = only(replace(BLIND, driver_cuda=(12, 4)))
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text == (
        "torch 2.15.0+cu132 is built for CUDA 13.2, but the driver takes CUDA 12.4 at most"
    )
    assert finding.advice.startswith("Update the driver, or take a torch built for it")


def test_a_driver_that_torch_cannot_use():
    facts = replace(BLIND, complaint="Error 802: system not yet initialized", visible_devices="0")
    finding = only(facts)
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text.endswith("torch cannot use it: Error 802: system not yet initialized")
    assert only(BLIND).text.endswith("torch cannot use it")


@pytest.mark.parametrize(
    ("capability", "architectures", "verdict"),
    [
        ((8, 6), ("sm_80",), "ok"),
        ((8, 0), ("sm_86",), "problem"),
        ((6, 1), ("sm_75", "sm_80"), "problem"),
        ((9, 0), ("sm_90a",), "ok"),
        ((12, 0), ("sm_90", "compute_90"), "note"),
        ((12, 0), ("sm_100", "sm_120"), "ok"),
        ((7, 0), (), "problem"),
    ],
)
def test_cards_and_code(capability, architectures, verdict):
    facts = replace(SOUND, cards=(Card("card", capability),), architectures=architectures)
    finding = list(judge(facts))[1]
    assert finding.verdict == verdict
    assert f"sm_{capability[0]}{capability[1]}" in finding.text


def test_rocm(monkeypatch):
    monkeypatch.setattr(cuda.torch.version, "hip", "6.4")
    (finding,) = cuda.look()
    assert finding.verdict is Verdict.NOTE
    assert "ROCm 6.4" in finding.text


def test_this_machine():
    assert cuda.collect().torch_version == cuda.torch.__version__
