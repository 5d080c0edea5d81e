"""Our backbone and frozen norm against Detectron2's own, live, with the same weights."""

import pytest
import torch
from torch import Tensor

from resnext_det.modeling import ResNet
from resnext_det.modeling.norms import FrozenBatchNorm2d

pytestmark = pytest.mark.d2

FEATURES = ["stem", "res2", "res3", "res4", "res5"]
R50 = {"depth": 50}
X50 = {"depth": 50, "num_groups": 32, "width_per_group": 4}
R18 = {"depth": 18, "res2_out_channels": 64}
CASES = [
    *((arch, {"norm": n}) for arch in (R50, X50, R18) for n in ("FrozenBN", "GN", "BN")),
    *((arch, {"res5_dilation": 2}) for arch in (R50, X50)),
    *((arch, {"stride_in_1x1": True}) for arch in (R50, X50, R18)),
    *((arch, {"res5_dilation": 2, "stride_in_1x1": True}) for arch in (R50, X50)),
]


def build_reference(freeze_at=0, **kwargs):
    """Detectron2's ResNet by its own builder; kwargs: those of ours."""
    from detectron2.config import get_cfg
    from detectron2.layers import ShapeSpec
    from detectron2.modeling.backbone.resnet import build_resnet_backbone

    cfg = get_cfg()
    cfg.MODEL.BACKBONE.FREEZE_AT = freeze_at
    cfg.MODEL.RESNETS.OUT_FEATURES = FEATURES
    cfg.MODEL.RESNETS.STRIDE_IN_1X1 = False
    for key, value in kwargs.items():
        cfg.MODEL.RESNETS[key.upper()] = value
    return build_resnet_backbone(cfg, ShapeSpec(channels=3))


def calibrate(network: torch.nn.Module) -> dict[str, Tensor]:
    """Random norm values for which activations stay near 1, as a state dict.

    Each norm is set, in order of execution, to standardise what it receives.
    """

    def hook(norm: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        dims = (0, 2, 3)
        norm.running_mean.copy_(inputs[0].mean(dims) + 0.1 * torch.randn(norm.num_features))
        norm.running_var.copy_(inputs[0].var(dims) * torch.empty_like(norm.bias).uniform_(0.8, 1.2))

    handles = []
    for module in network.modules():
        if hasattr(module, "eps"):
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(std=0.1)
            if hasattr(module, "running_var"):
                handles.append(module.register_forward_pre_hook(hook))
    with torch.no_grad():
        network.eval()(torch.randn(4, 3, 128, 128))
    for handle in handles:
        handle.remove()
    return network.state_dict()


@pytest.mark.parametrize(("architecture", "extra"), CASES, ids=str)
def test_same_weights_give_same_features_and_gradients(architecture, extra):
    theirs = build_reference(**architecture, **extra)
    state = calibrate(theirs)
    ours = ResNet(out_features=FEATURES, **architecture, **extra).eval()
    ours.load_state_dict(state)
    images = torch.randn(2, 3, 64, 96)
    expected, got = theirs(images), ours(images)
    assert list(got) == list(expected)
    assert 0.05 < expected["res5"].abs().max() < 100
    for name, value in expected.items():
        assert (got[name] - value).abs().max() <= 1e-5 * value.abs().max()
    for outputs in (got, expected):
        sum(value.square().mean() for value in outputs.values()).backward()
    for (key, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (mine.grad - other.grad).abs().max() <= 1e-4 * other.grad.abs().max(), key
    for name, shape in theirs.output_shape().items():
        mine = ours.output_shape()[name]
        assert (mine.channels, mine.stride) == (shape.channels, shape.stride)


@pytest.mark.parametrize("architecture", [R50, X50, R18], ids=str)
@pytest.mark.parametrize("freeze_at", [0, 2])
def test_same_seed_gives_the_same_network(architecture, freeze_at):
    """Names, their order (an optimizer's state is by order), values and what is trained."""
    networks = []
    for build in (build_reference, ResNet):
        torch.manual_seed(3)
        arguments = {**architecture, "norm": "BN", "freeze_at": freeze_at}
        if build is ResNet:
            arguments["out_features"] = FEATURES
        networks.append(build(**arguments))
    theirs, ours = networks
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key
    trained = [
        [(key, p.requires_grad) for key, p in network.named_parameters()]
        for network in (theirs, ours)
    ]
    assert trained[0] == trained[1]


@pytest.mark.parametrize("requires_grad", [False, True])
def test_frozen_norm(requires_grad):
    from detectron2.layers import FrozenBatchNorm2d as Reference

    theirs, ours = Reference(7), FrozenBatchNorm2d(7)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)
        value.uniform_(0.2, 2.0)
    ours.load_state_dict(theirs.state_dict())
    back = Reference(7)
    back.load_state_dict(ours.state_dict())
    x = torch.randn(2, 7, 5, 5, requires_grad=requires_grad)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(back(x), theirs(x))


def test_frozen_norm_reads_every_version_alike():
    from detectron2.layers import FrozenBatchNorm2d as Reference

    for version in (None, 1, 2, 3):
        for keys in (("weight", "bias"), ("weight", "bias", "running_mean", "running_var")):
            results = []
            for layer in (Reference(3), FrozenBatchNorm2d(3)):
                state = layer.state_dict()
                metadata = state._metadata
                kept = type(state)((key, torch.full((3,), 0.5)) for key in keys)
                if version is None:
                    del metadata[""]["version"]
                else:
                    metadata[""]["version"] = version
                kept._metadata = metadata
                missing = layer.load_state_dict(kept, strict=False).missing_keys
                results.append((missing, {k: v.tolist() for k, v in layer.state_dict().items()}))
            assert results[0] == results[1]
