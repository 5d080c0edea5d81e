"""What a step costs without a clock: its tensor operations and Python calls. Engine-neutral."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Operation = tuple[str, tuple[int, ...] | None]
"""Name in ATen, and the shape of its result where that is one tensor."""


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Operation] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.found.append((str(func), tuple(result.shape) if isinstance(result, Tensor) else None))
        return result


def operations(step: Callable[[], object]) -> Counter[Operation]:
    """Counts what a step issues, backward pass and update included."""
    with _Recorder() as recorder:
        step()
    return Counter(recorder.found)


def python_calls(step: Callable[[], object]) -> int:
    """Counts the functions that Python calls in a step, its own and those in C.

    Where the tensor operations are the same, only these can make a difference.
    """
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(None)
    return calls - 1  # that of setprofile itself
