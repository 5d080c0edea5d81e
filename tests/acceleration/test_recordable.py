"""What is recorded waits for nothing and copies nothing, shown without a GPU.

Tensors that say they are on a GPU and hold no numbers: an operator whose shape depends on them, or
that the host reads, fails; one that carries numbers between devices is noted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resnext_det.acceleration import apply
from resnext_det.acceleration.batch_selection import select
from resnext_det.acceleration.recorded import Batch, RecordedDetector
from resnext_det.acceleration.setting import acceleration_of_words
from tests.acceleration.tiny import tiny

GPU = "cuda"


class Copies(TorchDispatchMode):
    """Notes the operators that read or write more than one device."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        if len({leaf.device for leaf in leaves if isinstance(leaf, Tensor)}) > 1:
            self.noted.append(str(func))
        return result


@contextmanager
def pretended() -> Iterator[Copies]:
    """Lets tensors made in the block hold no numbers."""
    with FakeTensorMode(allow_non_fake_inputs=True), Copies() as copies, torch.no_grad():
        yield copies


def on_gpu(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=GPU)


def recorded_detector(words: str) -> RecordedDetector:
    """Without Triton's kernel, which runs on a real GPU alone."""
    detector = apply._fast(tiny(), acceleration_of_words(f"{words} cuda_graphs"))
    assert isinstance(detector, RecordedDetector)
    return detector


def move(detector: RecordedDetector) -> None:
    """Puts it on the pretended GPU."""
    for module in detector.modules():
        for name, value in module.named_parameters(recurse=False):
            setattr(module, name, torch.nn.Parameter(on_gpu(value), requires_grad=False))
        for name, value in module.named_buffers(recurse=False):
            setattr(module, name, on_gpu(value))


def batch_of(count: int) -> Batch:
    return Batch(
        torch.empty(count, 3, 64, 96, dtype=torch.uint8, device=GPU),
        torch.empty(count, 2, device=GPU),
        torch.empty(count, 2, device=GPU),
    )


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("words", ["float32", "bfloat16 channels_last fold_norms"])
def test_a_detector_waits_for_nothing(words: str, count: int):
    detector = recorded_detector(words)
    with pretended() as copies:
        move(detector)
        batch = batch_of(count)
        detector._anchors(batch.pixels.shape)  # kept from the run before a recording
        copies.noted.clear()
        answer = detector._run(batch)
    assert answer.numbers.device.type == GPU
    assert answer.numbers.shape == (2 + count,)
    assert copies.noted == []


def test_the_ways_that_wait_are_noticed():
    detector = recorded_detector("float32")
    with pretended():
        move(detector)
        batch = batch_of(1)
        found = detector._predict(batch, rounds=1)
        with pytest.raises(DynamicOutputShapeException):
            select(found, batch.sizes, batch.whole_sizes, detector._limits())
        with pytest.raises(DataDependentOutputException):
            detector._predict(batch, rounds=None)


@pytest.mark.parametrize(
    "work",
    [lambda t: t.cpu(), lambda t: t.new_tensor([1.0]), lambda t: t[torch.tensor([0])]],
    ids=["back", "there", "index"],
)
def test_copies_are_noticed(work: Callable[[Tensor], Tensor]):
    with pretended() as copies:
        tensor = torch.empty(2, device=GPU)
        assert copies.noted == []
        work(tensor)
    assert copies.noted
