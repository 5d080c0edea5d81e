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
from resnext_det.acceleration.gpu_pooling import GpuRoIPooler
from resnext_det.acceleration.setting import acceleration_of_words
from resnext_det.engines.portable.pooling import RoIPooler
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
def able(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A machine that has all there is to have; takes what is raised where the kernel is tried."""
    raised: list[object] = []

    def try_it(self: GpuRoIPooler, features: object, boxes: object) -> None:
        for error in raised:
            raise error

    zeros = torch.zeros
    monkeypatch.setattr(gpu_pooling, "find_spec", lambda name: name)
    monkeypatch.setattr(GpuRoIPooler, "forward", try_it)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: zeros(*size))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    return raised


def test_a_gpu_with_all_that_triton_needs_pools_fast(able: list[object]):
    assert can_pool_fast(CUDA)
    check_acceleration(SETTING, CUDA, "inference")


def refused() -> str:
    assert not can_pool_fast(CUDA)
    with pytest.raises(UserError) as error:
        check_acceleration(SETTING, CUDA, "inference")
    start = "acceleration 'float32 channels_last fold_norms fast_pooling' on cuda: fast_pooling "
    assert str(error.value).startswith(start)
    return str(error.value).removeprefix(start)


def test_without_triton(able: list[object], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpu_pooling, "find_spec", lambda name: None)
    message = "needs triton, which is not installed: pip install triton, or leave it out"
    assert refused() == message


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("Failed to find C compiler\nSet CC"), "Failed to find C compiler"),
        (FileNotFoundError(2, "No such file", "/x/cache"), "[Errno 2] No such file: '/x/cache'"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_where_the_kernel_does_not_compile(able: list[object], error: Exception, told: str):
    able.append(error)
    assert refused() == f"needs Triton to compile, which fails here ({told}): leave it out"


def test_in_training(able: list[object]):
    with pytest.raises(UserError, match="fast_pooling is for the CPU alone in training: leave it"):
        check_acceleration(SETTING, CUDA, "training")


def test_without_a_gpu(able: list[object], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused() == "needs a GPU, and torch finds none: leave it out"


def test_on_an_old_gpu(able: list[object], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert refused() == "needs a GPU of compute capability 8.0 or above: leave it out"


def test_on_another_device():
    with pytest.raises(UserError, match="fast_pooling is for the CPU and for CUDA devices"):
        check_acceleration(SETTING, torch.device("mps"), "inference")


@pytest.mark.gpu
def test_the_kernel_on_a_gpu_pools_as_torchvision():
    check(torch.float32, 1e-5, "cuda")
    check(torch.bfloat16, 2**-7, "cuda")
    check(torch.float16, 2**-10, "cuda")


@pytest.mark.gpu
def test_boxes_of_whole_cells_have_as_many_points_as_torchvisions():
    """A quotient that is a whole number must not be rounded up past it."""
    draw = torch.Generator().manual_seed(2)
    feature = torch.randn(1, 5, 160, 160, generator=draw).cuda()
    cells = torch.arange(1.0, 23) * 7
    corners = torch.full((len(cells), 2), 2.0)
    boxes = [torch.cat([corners, corners + cells[:, None]], dim=1).cuda() * 4]
    pooler = RoIPooler(7, (4,))
    found = GpuRoIPooler.of(pooler)([feature], boxes)
    torch.testing.assert_close(found, pooler([feature], boxes), rtol=1e-4, atol=1e-4)


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
