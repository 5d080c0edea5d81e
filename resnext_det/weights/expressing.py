"""The same network for images that are normalised otherwise. Engine-neutral.

Only tensors change, no outputs: the stem's input channels are reordered and scaled, and an
epsilon of the norms moves into their variances.
"""

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from resnext_det.weights.convention import Convention

NORM_EPS = 1e-5  # of torch's BatchNorm, of Detectron2's and of our norms

_STEM = re.compile(r"(?:.*\.)?stem\.conv1\.weight")
_TOLERANCE = 1e-3  # 0-255 units, as where a config's values are compared


class NotExpressible(ValueError):
    """The network gives other outputs in the convention asked for; the text says why."""


def express(state: Mapping[str, Tensor], from_: Convention, to: Convention) -> dict[str, Tensor]:
    """Rewrites weights trained in one convention for images that come in another.

    With x the pixels of a channel, w its weights in the stem and m the mean, a convolution sees
    w (x - m) / std: for another std, w · std_to / std_from gives the same. Padding is zeros in
    either, the mean's colour, so the equality holds at the border, too; with another mean it
    would not.

    Args:
        state: our names, a classifier's, a backbone's or a detector's.
        from_: what the weights were trained with.
        to: what is asked for.

    Returns:
        The same tensors, but for the stem's weights where they had to change; scaled ones are
        of half precision no longer.

    Raises:
        NotExpressible: the means or the place of the strides differ.
    """
    order = [from_.format.index(channel) for channel in to.format]
    mean, std = ([values[i] for i in order] for values in (from_.mean, from_.std))
    if not _are_near(mean, to.mean):
        raise NotExpressible(
            f"the mean is {_shown(from_.mean)} ({from_.format}), not {_shown(to.mean)} "
            f"({to.format}), which no change of the weights makes up for where images are padded"
        )
    if from_.stride_in_1x1 != to.stride_in_1x1 and has_strided_bottleneck(state):
        places = ("3x3", "1x1")
        raise NotExpressible(
            f"its stages stride in the {places[from_.stride_in_1x1]}, not in the "
            f"{places[to.stride_in_1x1]}, which no change of the weights makes up for"
        )
    scales = [1.0] * 3  # to the bit where the std differs by its rounding alone
    if not _are_near(std, to.std):
        scales = [new / old for new, old in zip(to.std, std, strict=True)]
    elif from_.format == to.format:
        return dict(state)
    scale = torch.tensor(scales, dtype=torch.float64)
    return {
        key: _fitted(tensor, order, scale) if _STEM.fullmatch(key) else tensor
        for key, tensor in state.items()
    }


def fold_norm_eps(
    state: Mapping[str, Tensor], eps: float | None, to: float = NORM_EPS
) -> dict[str, Tensor]:
    """Moves the difference of two epsilons into the variances: var + eps stays what it was.

    Args:
        state: any names; tensors called `running_var` change.
        eps: that the weights were trained with; None or equal to `to` changes nothing.
        to: that they will be used with.

    Returns:
        The same tensors, but for variances, which are of half precision no longer.
    """
    if eps is None or eps == to:
        return dict(state)
    return {
        key: (t.double() + (eps - to)).to(_wide(t)) if key.endswith("running_var") else t
        for key, t in state.items()
    }


def has_strided_bottleneck(state: Mapping[str, Tensor]) -> bool:
    """Tells networks in which it matters where the stages stride: basic blocks have no 1x1."""
    return any(re.search(r"(?:^|\.)res\d\.\d+\.conv3\.", key) for key in state)


def _wide(tensor: Tensor) -> torch.dtype:
    """At least float32: half precision would round the difference of two epsilons away."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _fitted(weight: Tensor, order: Sequence[int], scale: Tensor) -> Tensor:
    """weight: (C, 3, k, k); scale: (3,), in the new order."""
    ordered = weight[:, order]
    if bool((scale == 1.0).all()):
        return ordered.contiguous()
    scaled = ordered.double() * scale.reshape(1, -1, 1, 1)
    return scaled.to(_wide(weight)).contiguous()


def _are_near(first: Sequence[float], second: Sequence[float]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(math.isclose(a, b, abs_tol=_TOLERANCE) for a, b in pairs)


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
