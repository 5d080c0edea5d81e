"""Normalisation layers by Detectron2's names: FrozenBN, BN, SyncBN, GN. Engine-neutral."""

import operator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.errors import UserError

NORMS = ("FrozenBN", "BN", "SyncBN", "GN", "")
GN_GROUPS = 32  # Group Normalization (Wu and He, 2018), Section 4; Detectron2's get_norm


class _ScaleAndShift(NamedTuple):
    """What a frozen layer computes, and the buffers and their versions that it follows from."""

    buffers: tuple[Tensor, ...]
    versions: tuple[int, ...]
    result: tuple[Tensor, Tensor]


class FrozenBatchNorm2d(nn.Module):
    """BatchNorm whose statistics and affine terms are constants, kept as buffers.

    Buffers, epsilon and their starting values are those of Detectron2's layer of the same
    name (detectron2/layers/batch_norm.py), so a state dict of either loads in the other.

    Attributes:
        weight, bias, running_mean, running_var: (C,) float32 buffers.
        eps: added to the variance. Never 0: some public ResNeXt-101-32x8d weights hold
            variances near zero, which gives NaN.
    """

    _version = 3  # Detectron2's: below 2, a state dict may lack the running statistics

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor | None
    _kept: "_ScaleAndShift | None" = None

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        # Less eps, so that a layer never loaded is exactly the identity.
        self.register_buffer("running_var", torch.ones(num_features) - eps)
        self.register_buffer("num_batches_tracked", None)

    def forward(self, x: Tensor) -> Tensor:
        """Normalises x: (N, C, H, W) to the same shape and dtype."""
        if not x.requires_grad:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        # The fused layer would keep x to differentiate the constants: two plain operations
        # keep nothing of the size of x.
        scale, shift = self.scale_and_shift() if x.is_cuda else self._scale_and_shift()
        shape = (1, -1, 1, 1)
        return x * scale.reshape(shape).to(x.dtype) + shift.reshape(shape).to(x.dtype)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Returns what the layer computes, x * scale + shift, as two (C,) tensors.

        They are kept until a buffer changes: five operations on a few numbers take a GPU as long
        as one on a map.
        """
        buffers = (self.weight, self.bias, self.running_mean, self.running_var)
        if torch.compiler.is_compiling() or any(b.is_inference() for b in buffers):
            return self._scale_and_shift()
        versions = tuple(buffer._version for buffer in buffers)
        kept = self._kept
        if kept and kept.versions == versions and all(map(operator.is_, kept.buffers, buffers)):
            return kept.result
        result = self._scale_and_shift()
        if not torch.is_inference_mode_enabled():
            self._kept = _ScaleAndShift(buffers, versions, result)
        return result

    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Fills what old files lack, and passes over the batch counter of a plain BatchNorm."""
        if (local_metadata.get("version") or 0) < 2:
            state_dict.setdefault(prefix + "running_mean", torch.zeros_like(self.running_mean))
            state_dict.setdefault(prefix + "running_var", torch.ones_like(self.running_var))
        if self.num_batches_tracked is None:
            state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def extra_repr(self) -> str:
        """Returns the arguments, for printing a model."""
        return f"{self.num_features}, eps={self.eps}"


def build_norm(name: str, channels: int, gn_groups: int = GN_GROUPS) -> nn.Module | None:
    """Builds one normalisation layer.

    Args:
        name: "FrozenBN", "BN", "SyncBN", "GN", or "" for none.
        channels: channels C of the (N, C, H, W) input.
        gn_groups: groups of a GN layer.

    Raises:
        UserError: if the name is unknown or GN cannot divide the channels.
    """
    if name not in NORMS:
        known = ", ".join(NORMS[:-1])
        raise UserError(f"unknown norm {name!r}: choose one of {known}, or '' for none")
    if name == "GN":
        if channels % gn_groups:
            raise UserError(
                f"norm GN cannot divide {channels} channels into {gn_groups} groups; "
                f"choose widths that are multiples of {gn_groups}, or norm BN"
            )
        return nn.GroupNorm(gn_groups, channels)
    builders = {"FrozenBN": FrozenBatchNorm2d, "BN": nn.BatchNorm2d, "SyncBN": nn.SyncBatchNorm}
    return builders[name](channels) if name else None


def freeze_batch_norm(module: nn.Module) -> nn.Module:
    """Replaces every BN and SyncBN below a module by a FrozenBatchNorm2d of the same values.

    Returns:
        The module itself, or the new layer if the module was itself a BatchNorm. The batch
        counter stays in the state dict, as with Detectron2.
    """
    if isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
        return _frozen_copy(module)
    for name, child in module.named_children():
        frozen = freeze_batch_norm(child)
        if frozen is not child:
            setattr(module, name, frozen)
    return module


def _frozen_copy(layer: nn.BatchNorm2d | nn.SyncBatchNorm) -> FrozenBatchNorm2d:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    with torch.device(layer.running_mean.device):
        frozen = FrozenBatchNorm2d(layer.num_features, layer.eps)
    if layer.affine:
        frozen.weight = layer.weight.detach().clone()
        frozen.bias = layer.bias.detach().clone()
    frozen.running_mean = layer.running_mean.detach().clone()
    frozen.running_var = layer.running_var.detach().clone()
    frozen.num_batches_tracked = layer.num_batches_tracked
    return frozen.train(layer.training)
