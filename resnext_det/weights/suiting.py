"""Whether weights suit a model beyond their names: widths, norm, stride. Engine-neutral."""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.weights.architecture import Architecture
from resnext_det.weights.naming.detectron2 import is_backbone_key
from resnext_det.weights.sources import Weights

FROZEN = "FrozenBN"
_IDENTITY = 1.0 - 1e-5  # the variance that makes FrozenBN the identity before scale and bias
_STRIDED = re.compile(r"(?:^|\.)res3\.0\.conv([123])$")


def check_architecture(
    theirs: Architecture | None, ours: Architecture | None, source: str, whose: str = "the config"
) -> None:
    """Refuses weights of another depth, cardinality or width than the network's.

    Args:
        theirs: the weights', None where it cannot be told.
        ours: the network's.
        source: of the weights.
        whose: who asks for ours, for the message.

    Raises:
        UserError: they differ; both are named.
    """
    if theirs and ours and not theirs.fits(ours):
        key = f"MODEL.RESNETS.VARIANT {theirs.variant}" if theirs.variant else "MODEL.RESNETS to it"
        raise UserError(
            f"{source} is {theirs}, {whose} says {ours}: set {key}, or name other weights"
        )


def norm_of_weights(weights: Weights) -> str:
    """Returns "BN", "affine" or "GN", as the side-car says or the tensors show; "" for none.

    BatchNorm that was folded into scale and bias has mean 0 everywhere, and the variance that
    FrozenBN takes for 1. Names alone, from which "BN" may come, do not tell the two apart.
    """
    if weights.side_car.norm not in ("", "BN"):
        return weights.side_car.norm
    norms = {k: v for k, v in weights.state.items() if is_backbone_key(k) and ".norm." in k}
    statistics = {k: v for k, v in norms.items() if ".running_" in k}
    if not statistics:
        return "GN" if norms else ""
    is_idle = all(_is_idle(k, v) for k, v in statistics.items())
    return "affine" if is_idle and not _is_fresh(norms) else "BN"


def norms_of_model(model: nn.Module) -> set[str]:
    """Returns the kinds of norm in a model's backbone: FrozenBN, BN, SyncBN, GN."""
    return set(_norms(model))


def check_norm(model: nn.Module, weights: Weights) -> None:
    """Refuses weights whose norms mean something else in the model.

    Args:
        model: a classifier, a backbone or a detector with our names.
        weights: with their norm, or tensors that show it.

    Raises:
        UserError: BatchNorm folded into scale and bias, which only FrozenBN keeps, meets BN or
            SyncBN; GroupNorm meets BatchNorm; or one of the two has no norm. Both are named.
    """
    theirs, ours = norm_of_weights(weights), norms_of_model(model)
    if not any(map(is_backbone_key, weights.state)) or _are_suited(theirs, ours):
        return
    said = {"": "has no norm", "affine": "has norm affine (BatchNorm folded into scale and bias)"}
    mend = {"": "''", "affine": FROZEN, "BN": "FrozenBN, BN or SyncBN"}.get(theirs, theirs)
    raise UserError(
        f"{weights.source} {said.get(theirs, f'has norm {theirs}')} in its backbone, the model has "
        f"{' and '.join(sorted(ours)) or 'none'}: set MODEL.RESNETS.NORM {mend}, or name other "
        "weights"
    )


def check_stride(model: nn.Module, weights: Weights) -> None:
    """Refuses weights that were trained with the stride in another convolution of the blocks.

    Args:
        model: a classifier, a backbone or a detector with our names.
        weights: where their convention is not known, they pass.

    Raises:
        UserError: the model has it elsewhere; both places are named.
    """
    ours = stride_is_in_1x1(model)
    if weights.convention is None or ours is None:
        return
    theirs = weights.convention.stride_in_1x1
    if theirs != ours:
        places = {True: "first 1x1", False: "3x3"}
        raise UserError(
            f"{weights.source} was trained with the stride in the {places[theirs]} convolution of "
            f"its blocks, the model has it in the {places[ours]}: set "
            f"MODEL.RESNETS.STRIDE_IN_1X1 {theirs}"
        )


def stride_is_in_1x1(model: nn.Module) -> bool | None:
    """Tells where res3's first block strides; None without a bottleneck block there."""
    strides: Mapping[str, tuple[int, ...]] = {
        match[1]: getattr(module, "stride", ())
        for name, module in model.named_modules()
        if (match := _STRIDED.search(name))
    }
    if "3" not in strides:
        return None
    return strides["1"] == (2, 2) if (2, 2) in (strides["1"], strides["2"]) else None


def _are_suited(theirs: str, ours: set[str]) -> bool:
    if theirs == "affine":
        return ours == {FROZEN}
    if theirs == "GN":
        return ours == {"GN"}
    return not ours if theirs == "" else bool(ours) and "GN" not in ours


def _norms(model: nn.Module) -> Iterator[str]:
    for name, module in model.named_modules():
        if not is_backbone_key(f"{name}."):
            continue
        if isinstance(module, nn.GroupNorm):
            yield "GN"
        elif isinstance(module, nn.SyncBatchNorm):
            yield "SyncBN"
        elif isinstance(module, nn.BatchNorm2d):
            yield "BN"
        elif "FrozenBatchNorm" in type(module).__name__:  # ours, Detectron2's, torchvision's
            yield FROZEN


def _is_fresh(norms: Mapping[str, Tensor]) -> bool:
    """Tells FrozenBN as it is built: nobody folded anything into scale and bias."""
    scales = (value for key, value in norms.items() if key.endswith("weight"))
    return all(bool((value == 1.0).all()) for value in scales)


def _is_idle(name: str, value: Tensor) -> bool:
    if value.is_meta or value.dtype not in (torch.float32, torch.float64):
        return False  # without numbers, or where the variance would be rounded to 1
    wanted = 0.0 if name.endswith("running_mean") else torch.tensor(_IDENTITY, dtype=value.dtype)
    return bool((value == wanted).all())
