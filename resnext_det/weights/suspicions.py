"""Numbers in weights that make one wonder: torn, never trained, converted badly. Engine-neutral."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from resnext_det.weights.heads import Head

TINY_VARIANCE = 1e-8  # vision issue 2599: ResNeXt-101-32x8d with eps 0 gives NaN from such ones
_LARGE_WEIGHT = 1e3  # of a convolution or a linear layer; trained ones stay below 10
_LARGE_NUMBER = 1e8  # of anything; variances behind pixels of 0-255 reach 1e6
_SPREAD = 0.02  # share by which the spread of a few thousand draws differs from its law's
_NORMAL = 0.01  # standard deviation of our classifiers' linear layer before training


@dataclass(frozen=True)
class Suspicion:
    """One kind of odd number.

    Attributes:
        kind: a word for programs: "not-finite", "tiny-variance", …
        names: of the tensors that have it, in the file's order.
        text: what was seen, and what it may mean.
    """

    kind: str
    names: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class _Range:
    """Smallest and largest of a tensor's numbers; NaN where one is."""

    low: float
    high: float

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)


def find_suspicions(tensors: Mapping[str, Tensor], head: Head | None = None) -> list[Suspicion]:
    """Looks at all numbers of all tensors.

    Args:
        tensors: in any names; norms are told by `running_var` and `running_mean`.
        head: of tensors in our names; None where it is not known.
    """
    floats = {k: v for k, v in tensors.items() if v.is_floating_point() and v.numel()}
    ranges = {name: range_of(value) for name, value in floats.items()}
    found = [*(check(floats, ranges) for check in _CHECKS), _untrained_head(floats, head)]
    return [suspicion for suspicion in found if suspicion and suspicion.names]


def range_of(value: Tensor) -> _Range:
    """Returns the smallest and the largest number of a tensor that is not empty."""
    low, high = torch.aminmax(value.detach().float())
    return _Range(float(low), float(high))


_Floats = Mapping[str, Tensor]
_Ranges = Mapping[str, _Range]


def _not_finite(floats: _Floats, ranges: _Ranges) -> Suspicion:
    names = tuple(name for name, found in ranges.items() if not found.is_finite)
    return Suspicion("not-finite", names, "NaN or infinity: a run that diverged wrote it")


def _negative_variance(floats: _Floats, ranges: _Ranges) -> Suspicion:
    names = tuple(name for name, found in ranges.items() if _is_variance(name) and found.low < 0)
    return Suspicion("negative-variance", names, "variances below 0: torn, or converted badly")


def _tiny_variance(floats: _Floats, ranges: _Ranges) -> Suspicion:
    names = tuple(n for n, r in ranges.items() if _is_variance(n) and 0 <= r.low < TINY_VARIANCE)
    number = sum(int(((v := floats[n]) < TINY_VARIANCE).sum()) - int((v < 0).sum()) for n in names)
    text = (
        f"{number:,} running variances below {TINY_VARIANCE:g}, common in ResNeXt-101-32x8d: a "
        "norm's epsilon of 0 would give NaN; ours is 1e-05"
    )
    return Suspicion("tiny-variance", names, text)


def _fresh_statistics(floats: _Floats, ranges: _Ranges) -> Suspicion:
    variances = [name for name in ranges if _is_variance(name)]
    names = tuple(n for n in variances if _is_fresh(n, ranges))
    share = "all" if len(names) == len(variances) else f"{len(names)} of {len(variances)}"
    text = (
        f"{share} BatchNorms have mean 0 and variance 1, as before training: never trained, or "
        "converted without their statistics"
    )
    return Suspicion("fresh-statistics", names, text)


def _all_zero(floats: _Floats, ranges: _Ranges) -> Suspicion:
    names = tuple(
        name for name, r in ranges.items() if name.endswith("weight") and r.low == r.high == 0.0
    )
    return Suspicion("all-zero", names, "weights that are all 0: what they stand in answers 0")


def _constant(floats: _Floats, ranges: _Ranges) -> Suspicion:
    names = tuple(
        name
        for name, r in ranges.items()
        if floats[name].dim() > 1 and floats[name].numel() > 1 and r.low == r.high != 0.0
    )
    return Suspicion("constant", names, "layers whose weights are all one number: never trained")


def _extreme(floats: _Floats, ranges: _Ranges) -> Suspicion:
    def is_extreme(name: str, found: _Range) -> bool:
        limit = _LARGE_WEIGHT if floats[name].dim() > 1 else _LARGE_NUMBER
        return found.is_finite and max(abs(found.low), abs(found.high)) > limit

    names = tuple(name for name, found in ranges.items() if is_extreme(name, found))
    text = f"numbers above {_LARGE_WEIGHT:g} (layers) or {_LARGE_NUMBER:g}: diverging, or torn"
    return Suspicion("extreme", names, text)


def _mixed_dtypes(floats: _Floats, ranges: _Ranges) -> Suspicion:
    counts: dict[torch.dtype, list[str]] = {}
    for name, value in floats.items():
        counts.setdefault(value.dtype, []).append(name)
    usual = max(counts.values(), key=len, default=[])
    names = tuple(name for names in counts.values() if names is not usual for name in names)
    others = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in counts))
    return Suspicion("mixed-dtypes", names, f"numbers of several kinds: {others}")


_CHECKS: tuple[Callable[[_Floats, _Ranges], Suspicion], ...] = (
    _not_finite,
    _negative_variance,
    _tiny_variance,
    _fresh_statistics,
    _all_zero,
    _constant,
    _extreme,
    _mixed_dtypes,
)


def _untrained_head(floats: _Floats, head: Head | None) -> Suspicion | None:
    """A head as it was drawn: one number in all biases, or weights of a known law.

    Source of the laws: torch.nn.Linear, uniform within 1 / sqrt(inputs); detectors start with
    biases of 0, or of one number (RetinaNet's prior).
    """
    weight = floats.get(head.tensor) if head else None
    if head is None or weight is None or weight.dim() < 2:
        return None
    bias = floats.get(head.tensor.removesuffix("weight") + "bias")
    if bias is not None and bias.numel() > 1 and bool((bias == bias[0]).all()):
        why = "its biases are all one number"
    elif _is_first_draw(weight.float()):
        why = "its weights are spread as a first draw"
    else:
        return None
    return Suspicion("untrained-head", (head.tensor,), f"the head looks untrained: {why}")


def _is_first_draw(weight: Tensor) -> bool:
    """Tells PyTorch's uniform law, and the normal one of classifiers here (see modeling/resnet)."""
    bound = 1.0 / math.sqrt(weight[0].numel())
    largest, spread = float(weight.abs().max()), float(weight.std())
    uniform = largest <= bound and abs(spread * math.sqrt(3.0) / bound - 1.0) < _SPREAD
    centred = abs(float(weight.mean())) < 4.0 * _NORMAL / math.sqrt(weight.numel())
    return uniform or (centred and abs(spread / _NORMAL - 1.0) < _SPREAD)


def _is_variance(name: str) -> bool:
    return name.endswith("running_var")


def _is_fresh(name: str, ranges: _Ranges) -> bool:
    mean = ranges.get(name.removesuffix("var") + "mean")
    variance = ranges[name]
    return variance.low == variance.high == 1.0 and mean is not None and mean.low == mean.high == 0
