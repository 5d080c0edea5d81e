"""Detectron2's own ResNet beside ours: the cases, weights, and how far apart they are. Detectron2.

    python -m tests.modeling.d2_reference

prints the largest differences over all cases: see `Gap`.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnext_det.modeling import ResNet

FEATURES = ("stem", "res2", "res3", "res4", "res5")
NORMS = ("FrozenBN", "BN", "SyncBN", "GN", "")
# Narrow, so that hundreds of cases take seconds; 32 channels are the fewest that GN takes.
NARROW = {"stem_out_channels": 32, "res2_out_channels": 32}
PLAIN = {"depth": 50, "width_per_group": 32, **NARROW}
GROUPED = {"depth": 50, "num_groups": 8, "width_per_group": 4, **NARROW}
# Detectron2 demands 64 channels of these.
BASIC = tuple({"depth": depth, "res2_out_channels": 64} for depth in (18, 34))
DEFORMABLE = tuple(
    {
        **GROUPED,
        "deform_on_per_stage": [False, True, False, True],
        "deform_modulated": modulated,
        "deform_num_groups": groups,
    }
    for modulated, groups in ((False, 1), (True, 2))
)


@dataclass(frozen=True)
class Gap:
    """Largest differences of one case: max |ours - theirs| of a tensor over its max |theirs|.

    Attributes:
        features: over all feature maps.
        gradients: over all parameters and the images.
        statistics: over the running averages of BN after the step.
    """

    features: float
    gradients: float
    statistics: float

    def __str__(self) -> str:
        return (
            f"features {self.features:.3g}, gradients {self.gradients:.3g}, "
            f"running averages {self.statistics:.3g}"
        )


def cases() -> Iterator[dict[str, Any]]:
    """Every norm, dilation and place of the stride, with groups and without; depths 18 and 34."""
    for norm, dilation, in_1x1, net in itertools.product(
        NORMS, (1, 2), (False, True), (PLAIN, GROUPED)
    ):
        yield {**net, "res5_dilation": dilation, "stride_in_1x1": in_1x1, "norm": norm}
    for norm, in_1x1, net in itertools.product(NORMS, (False, True), BASIC):
        yield {**net, "stride_in_1x1": in_1x1, "norm": norm}


def build_reference(freeze_at: int = 0, **kwargs: Any) -> nn.Module:
    """Detectron2's ResNet by its own builder; kwargs: those of ours."""
    from detectron2.config import get_cfg
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.backbone.resnet import build_resnet_backbone

    cfg = get_cfg()
    cfg.MODEL.BACKBONE.FREEZE_AT = freeze_at
    cfg.MODEL.RESNETS.OUT_FEATURES = list(FEATURES)
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    for key, value in kwargs.items():
        cfg.MODEL.RESNETS[key.upper()] = value
    return build_resnet_backbone(cfg, ShapeSpec(channels=3))


def build_pair(case: Mapping[str, Any]) -> tuple[ResNet, nn.Module]:
    """Ours and Detectron2's with the same weights."""
    theirs = build_reference(**case)
    state = calibrate(theirs)
    ours = ResNet(out_features=FEATURES, **case)
    ours.load_state_dict(state)
    return ours, theirs


def calibrate(network: nn.Module) -> dict[str, Tensor]:
    """Random norm values for which activations stay near 1, as a state dict.

    Each norm is set, in order of execution, to standardise what it receives. Without norms,
    the last convolution of each branch is made small instead. Offsets of deformable
    convolutions leave their start at zero.
    """

    def hook(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        dims = (0, 2, 3)
        norm.running_mean.copy_(inputs[0].mean(dims) + 0.1 * torch.randn(norm.num_features))
        norm.running_var.copy_(inputs[0].var(dims) * torch.empty_like(norm.bias).uniform_(0.8, 1.2))

    handles = []
    disturb_offsets(network)
    for name, module in network.named_modules():
        if hasattr(module, "eps"):
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(std=0.1)
            if hasattr(module, "running_var"):
                handles.append(module.register_forward_pre_hook(hook))
        elif getattr(module, "norm", 0) is None and name.endswith(("conv2", "conv3")):
            module.weight.data *= 0.3
    with torch.no_grad():
        network.eval()(torch.randn(4, 3, 64, 64))
    for handle in handles:
        handle.remove()
    return network.state_dict()


def disturb_offsets(network: nn.Module) -> None:
    """Moves the taps of deformable convolutions, some of them out of the map."""
    for name, parameter in network.named_parameters():
        if "conv2_offset" in name:
            nn.init.normal_(parameter, std=1.0 if name.endswith("bias") else 0.05)


def differences(case: Mapping[str, Any]) -> Iterator[Gap]:
    """Freezes one stage more at a time; at each level a forward and backward of both networks.

    BatchNorms run once in training mode, with a gradient for the images, and once in evaluation
    mode without: FrozenBN computes in another way where nothing below it is trained.

    Raises:
        AssertionError: names, or what is trained, differ, or numbers are not finite.
    """
    ours, theirs = build_pair(case)
    modes = (True, False) if case["norm"].endswith("BN") else (True,)
    for freeze_at, training in itertools.product(range(6), modes):
        for network in (ours, theirs):
            network.freeze(freeze_at).train(training).zero_grad()
        yield _difference(ours, theirs, image_gradient=training)


def _difference(ours: nn.Module, theirs: nn.Module, *, image_gradient: bool) -> Gap:
    images = torch.randn(2, 3, 32, 64)
    features, gradients = [], []
    for network in (ours, theirs):
        mine = images.clone().requires_grad_(image_gradient)
        features.append(network(mine))
        loss = torch.stack([value.square().mean() for value in features[-1].values()]).sum()
        if loss.requires_grad:
            loss.backward()
        trained = {k: p.grad for k, p in network.named_parameters() if p.requires_grad}
        gradients.append(trained | ({"images": mine.grad} if image_gradient else {}))
    assert 0.05 < features[1]["res5"].abs().max() < 1000
    buffers = [dict(network.named_buffers()) for network in (ours, theirs)]
    return Gap(*(relative(*pair) for pair in (features, gradients, buffers)))


def relative(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The largest, over all tensors, of max |ours - theirs| / max |theirs|.

    Raises:
        AssertionError: names or their order differ, or a number is not finite.
    """
    assert list(ours) == list(theirs)
    largest = 0.0
    for name, value in theirs.items():
        gap = (ours[name] - value).abs().max().item()
        assert math.isfinite(gap), name
        largest = max(largest, gap / value.abs().max().item() if gap else 0.0)
    return largest


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    found = [gap for case in cases() for gap in differences(case)]
    fields = zip(*((gap.features, gap.gradients, gap.statistics) for gap in found), strict=True)
    print(f"{len(found)} cases: {Gap(*map(max, fields))}")
