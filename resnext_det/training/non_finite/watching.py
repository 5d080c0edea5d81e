"""Where in a model numbers stop being finite. Engine-neutral."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

_MOST_NESTED = 6


@dataclass(frozen=True)
class FirstModule:
    """Where numbers that are not finite first came out of a module.

    It is the first module to end with such an output. Where its inputs were not finite either, it
    is the one around it that made these: one with parameters of its own, as a convolution
    with its norm inside, or one whose own inputs were finite.

    Attributes:
        name: in the model; "the model itself" for all of it.
        kind: its class.
        inputs_are_finite: whether its inputs were.
        bad_weights: its own parameters and buffers, without those of its parts, that were not
            finite before the pass, which may itself spoil running statistics.
    """

    name: str
    kind: str
    inputs_are_finite: bool
    bad_weights: tuple[str, ...]


class Watch:
    """Watches a forward and a backward pass.

    Args:
        bad_before: names of the model's parameters and buffers that are not finite beforehand.

    Attributes:
        module: the first module whose output is not finite; None where there is none.
        parameter: the first parameter, in the order of the backward pass, whose gradient is not
            finite.
        bad_parameters: all of them, in that order.
    """

    def __init__(self, bad_before: Collection[str] = ()) -> None:
        self._bad_before = frozenset(bad_before)
        self.module: FirstModule | None = None
        self.bad_parameters: list[str] = []
        self._running: list[tuple[str, nn.Module, Any]] = []

    @property
    def parameter(self) -> str | None:
        """See the class."""
        return self.bad_parameters[0] if self.bad_parameters else None

    def begin(self) -> None:
        """Forgets the modules of a forward pass that was broken off."""
        self._running.clear()

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Watches a model while the body runs. A module ends after its parts do."""
        with ExitStack() as stack:
            for name, module in model.named_modules():
                stack.callback(module.register_forward_pre_hook(self._start_hook(name)).remove)
                stack.callback(module.register_forward_hook(self._end).remove)
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    hook = parameter.register_post_accumulate_grad_hook(self._gradient_hook(name))
                    stack.callback(hook.remove)
            yield

    def _start_hook(self, name: str) -> Any:
        def start(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            self._running.append((name, module, inputs))

        return start

    def _end(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if self.module is None and not is_finite(output):
            self.module = self._first()
        self._running.pop()

    def _first(self) -> FirstModule:
        """Describes the module that ends, or the one around it; see `FirstModule`."""
        place = len(self._running) - 1
        while place and not is_finite(self._running[place][2]):
            _, around, inputs = self._running[place - 1]
            has_own = next(around.parameters(recurse=False), None) is not None
            if not has_own and not is_finite(inputs):
                break
            place -= 1
        name, module, inputs = self._running[place]
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        prefix = f"{name}." if name else ""
        bad = tuple(key for key, _ in own if prefix + key in self._bad_before)
        shown = name or "the model itself"
        return FirstModule(shown, type(module).__name__, is_finite(inputs), bad)

    def _gradient_hook(self, name: str) -> Any:
        def look(parameter: Tensor) -> None:
            is_new = name not in self.bad_parameters
            if is_new and parameter.grad is not None and not is_finite(parameter.grad):
                self.bad_parameters.append(name)

        return look


@torch.no_grad()
def is_finite(value: Any, depth: int = 0) -> bool:
    """Tells whether all tensors in nested lists, tuples, dicts and data classes are finite.

    Objects with `get_fields()` or a `tensor`, as Detectron2's have, are looked into, too.
    """
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if depth > _MOST_NESTED:
        return True
    if isinstance(value, Mapping):
        return all(is_finite(item, depth + 1) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_finite(item, depth + 1) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return is_finite(vars(value), depth + 1)
    fields = getattr(value, "get_fields", None)
    held = fields() if callable(fields) else getattr(value, "tensor", None)
    return is_finite(held, depth + 1) if isinstance(held, Mapping | Tensor) else True
