"""RoIAlign by a Triton kernel: interpreted and compiled anywhere, run on a GPU; what it needs."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from resnext_det.acceleration import gpu_pooling
from resnext_det.acceleration.ability import can_pool_fast, check_acceleration
from resnext_det.acceleration.apply import accelerate
from resnext_det.acceleration.setting import acceleration_of_words
from resnext_det.errors import UserError
from tests.acceleration.interpreted_pooling import check
from tests.acceleration.tiny import assert_near, samples, tiny

CUDA = torch.device("cuda")
SETTING = acceleration_of_words("channels_last fold_norms fast_pooling")


@pytest.mark.skipif(find_spec("triton") is None, reason="needs triton")
@pytest.mark.parametrize(("act", "interpret"), [("run", "1"), ("compile", "0")])
def test_the_kernel_without_a_gpu(act: str, interpret: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceleration.interpreted_pooling", act],
        env=os.environ | {"TRITON_INTERPRET": interpret, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "agreed\n"), done.stderr


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has all there is to have; its headers' folder."""
    (tmp_path / "Python.h").touch()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(gpu_pooling, "find_spec", lambda name: name)
    monkeypatch.setattr(gpu_pooling, "which", lambda name: name)
    monkeypatch.setattr(gpu_pooling.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    return tmp_path


def test_a_gpu_with_all_that_triton_needs_pools_fast(able: Path):
    assert can_pool_fast(CUDA)
    check_acceleration(SETTING, CUDA)


def refused() -> str:
    assert not can_pool_fast(CUDA)
    with pytest.raises(UserError) as error:
        check_acceleration(SETTING, CUDA)
    start = "acceleration 'float32 channels_last fold_norms fast_pooling' on cuda: fast_pooling "
    assert str(error.value).startswith(start)
    return str(error.value).removeprefix(start)


def test_without_triton(able: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu_pooling, "find_spec", lambda name: None)
    message = "needs triton, which is not installed: pip install triton, or leave it out"
    assert refused() == message


def test_without_a_compiler(able: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu_pooling, "which", lambda name: None)
    assert refused() == "needs a C compiler (gcc): install one, or leave it out"
    monkeypatch.setenv("CC", "tcc")
    assert can_pool_fast(CUDA)


def test_without_headers(able: Path):
    (able / "Python.h").unlink()
    assert refused() == f"needs Python's headers ({able}/Python.h): install them, or leave it out"


def test_without_a_gpu(able: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused() == "needs a GPU, and torch finds none: leave it out"


def test_on_an_old_gpu(able: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert refused() == "needs a GPU of compute capability 8.0 or above: leave it out"


def test_on_another_device():
    with pytest.raises(UserError, match="fast_pooling is for the CPU and for CUDA devices"):
        check_acceleration(SETTING, torch.device("mps"))


@pytest.mark.gpu
def test_the_kernel_on_a_gpu_pools_as_torchvision():
    check(torch.float32, 1e-5, "cuda")
    check(torch.bfloat16, 2**-7, "cuda")
    check(torch.float16, 2**-10, "cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("more", ["", " cuda_graphs"])
@torch.no_grad()
def test_a_detector_on_a_gpu_finds_the_same(more: str):
    model, images = tiny().cuda(), samples((64, 96), (50, 70))
    detector = accelerate(model, acceleration_of_words(SETTING.words() + more))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected = model(images)
        for _ in range(3):  # the third is replayed
            assert_near(detector(images), expected)
