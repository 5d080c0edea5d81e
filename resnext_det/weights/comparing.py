"""Two weights files beside each other, whatever names each has. Engine-neutral."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from resnext_det.weights.convention import Convention
from resnext_det.weights.naming.detectron2 import backbone_ending, is_backbone_key
from resnext_det.weights.opening import Opened, known_fields, open_weights

_COUNTER = re.compile(r"(?:^|\.)num_batches_tracked$")
_DIGESTS = ("sha256", "origin_sha256", "outputs")  # follow from the rest
_MEANINGS = ("convention", "norm_eps", "class_names")  # change what the same numbers answer


@dataclass(frozen=True)
class Differing:
    """One tensor that is in both, with other numbers.

    Attributes:
        name: ours, or the files' where nobody knows their names.
        largest: largest absolute difference; infinite where one side alone is no number (NaN).
        relative: that, as a share of the largest number of A's.
        count: of numbers that differ.
        total: of numbers.
    """

    name: str
    largest: float
    relative: float
    count: int
    total: int


@dataclass(frozen=True)
class Comparison:
    """What is in A and what is in B.

    Attributes:
        a: the path or address that the user gave.
        b: likewise.
        only_a: names that B does not have.
        only_b: names that A does not have.
        reshaped: name -> the two shapes.
        retyped: name -> the two dtypes, with numbers that are equal.
        equal: names of tensors that are equal to the bit.
        within: names of tensors that differ by no more than the tolerance.
        differing: the others, the worst first.
        fields: field of the side-car -> the two values that differ; None where it is not known.
        ignored: counters of BatchNorm, which are no weights, that are not equal in both.
    """

    a: str
    b: str
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    reshaped: Mapping[str, tuple[list[int], list[int]]]
    retyped: Mapping[str, tuple[str, str]]
    equal: tuple[str, ...]
    within: tuple[str, ...]
    differing: tuple[Differing, ...]
    fields: Mapping[str, tuple[Any, Any]]
    ignored: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Both answer the same: no tensor differs, and no meaning that both sides state."""
        contradict = any(None not in self.fields.get(field, (None,)) for field in _MEANINGS)
        return not contradict and not self._odd_ones()

    @property
    def backbone_is_same(self) -> bool:
        """Likewise, of the tensors of stem and stages alone; False where none is in both."""
        both = [*self.equal, *self.within, *self.retyped]
        return any(map(is_backbone_key, both)) and not any(map(is_backbone_key, self._odd_ones()))

    def _odd_ones(self) -> list[str]:
        differing = [tensor.name for tensor in self.differing]
        return [*self.only_a, *self.only_b, *self.reshaped, *differing]

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain values; a difference that is infinite is null."""
        content = asdict(self)
        for row in content["differing"]:
            for key in ("largest", "relative"):
                row[key] = row[key] if math.isfinite(row[key]) else None
        return content | {"same": self.is_same, "backbone_same": self.backbone_is_same}


def compare_weights(a: str, b: str, *, tolerance: float = 0.0) -> Comparison:
    """Compares two files, or what two names stand for, under our names.

    Args:
        a: whatever MODEL.WEIGHTS takes, but "".
        b: likewise.
        tolerance: absolute difference of two numbers that counts as none.

    Raises:
        UserError: one is not there, cannot be fetched, or is no weights file.
    """
    opened = open_weights(a), open_weights(b)
    ours, theirs = map(_tensors, opened)
    both = [name for name in ours if name in theirs]
    odd = {name for name in {*ours, *theirs} if name not in ours or name not in theirs}
    pairs = {name: (ours[name], theirs[name]) for name in both}
    reshaped = {n: (list(x.shape), list(y.shape)) for n, (x, y) in pairs.items() if _odd(x, y)}
    pairs = {name: pair for name, pair in pairs.items() if name not in reshaped}
    equal = {name for name, (x, y) in pairs.items() if _same_bits(x, y)}
    counters = {name for name in {*odd, *pairs} - equal if _COUNTER.search(name)}
    compared = [
        _difference(name, *pair)
        for name, pair in pairs.items()
        if name not in equal and name not in counters
    ]
    near = [tensor for tensor in compared if tensor.largest <= tolerance]
    retyped = {
        t.name: (_dtype(ours[t.name]), _dtype(theirs[t.name]))
        for t in near
        if ours[t.name].dtype != theirs[t.name].dtype
    }
    far = [tensor for tensor in compared if tensor.largest > tolerance]
    return Comparison(
        a=a,
        b=b,
        only_a=tuple(n for n in ours if n in odd and n not in counters),
        only_b=tuple(n for n in theirs if n in odd and n not in counters),
        reshaped=reshaped,
        retyped=retyped,
        equal=tuple(name for name in both if name in equal),
        within=tuple(tensor.name for tensor in near if tensor.name not in retyped),
        differing=tuple(sorted(far, key=lambda tensor: (-tensor.largest, tensor.name))),
        fields=_fields(*opened),
        ignored=tuple(sorted(counters)),
    )


def _tensors(opened: Opened) -> dict[str, Tensor]:
    """By our names without a detector's prefix, so that backbones meet."""
    state = opened.renamed.state if opened.renamed else opened.content.tensors
    endings = {name: backbone_ending(name) or name for name in state}
    often = Counter(endings.values())
    return {e if often[e] == 1 else name: state[name] for name, e in endings.items()}


def _fields(a: Opened, b: Opened) -> dict[str, tuple[Any, Any]]:
    pairs = {f: (_plain(a, f), _plain(b, f)) for f in known_fields() if f not in _DIGESTS}
    return {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}


def _plain(opened: Opened, field: str) -> Any:
    """A field's value as JSON has it; None where it is not known."""
    if opened.said.who_says(field) is None:
        return None
    value = getattr(opened.known, field)
    if isinstance(value, Convention):
        return asdict(value)
    return list(value) if isinstance(value, tuple) else value


def _odd(x: Tensor, y: Tensor) -> bool:
    return x.shape != y.shape


def _same_bits(x: Tensor, y: Tensor) -> bool:
    if x.dtype != y.dtype:
        return False
    return torch.equal(*(t.contiguous().reshape(-1).view(torch.uint8) for t in (x, y)))


def _difference(name: str, x: Tensor, y: Tensor) -> Differing:
    """Compares in float64; two NaN are equal, and one is infinitely far from any number."""
    a, b = x.double(), y.double()
    same = (a == b) | (a.isnan() & b.isnan())
    off = torch.where(same, 0.0, (a - b).abs().nan_to_num(nan=math.inf))
    largest = float(off.max()) if off.numel() else 0.0
    scale = float(a.abs().nan_to_num(nan=0.0, posinf=0.0).max()) if a.numel() else 0.0
    relative = largest / scale if scale else math.inf if largest else 0.0
    return Differing(name, largest, relative, int((~same).sum()), a.numel())


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
