"""What a classifier starts from: Detectron2's rule, or that of the authors' code."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from resnext_det import build_classifier
from resnext_det.config import get_cfg
from resnext_det.errors import UserError
from resnext_det.modeling.conv import Conv2d
from resnext_det.modeling.from_config import classifier_from_config

SMALL = {"res2_out_channels": 128, "stem_out_channels": 32}


def draws_of(network, std_of):
    """All weights of convolutions, each divided by the deviation it should have."""
    convs = [module for module in network.modules() if isinstance(module, Conv2d)]
    return torch.cat([(conv.weight / std_of(conv)).flatten() for conv in convs]).detach()


def own_std(conv):
    """normal(0, sqrt(2 / n)), n = kW kH nOutputPlane: all output planes, whatever the groups."""
    return math.sqrt(2 / (conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels))


@pytest.mark.parametrize("form", ["grouped", "concat"])
def test_convolutions_as_torch7(form):
    network = build_classifier("resnext26_32x4d", 10, init="torch7", block_form=form)
    draws = draws_of(network, own_std).double().numpy()
    # A seeded sample of the standard normal, by Kolmogorov and Smirnov.
    assert stats.kstest(draws[:: max(1, len(draws) // 200_000)], "norm").pvalue > 1e-3
    grouped = draws_of(
        nn.ModuleList(m for m in network.modules() if isinstance(m, Conv2d) and m.groups > 1)
        if form == "grouped"
        else nn.ModuleList(m.conv2 for n, m in network.named_modules() if n.endswith("paths.3")),
        own_std,
    )
    assert grouped.std().item() == pytest.approx(1, abs=0.02)


def test_the_linear_layer_as_torch7():
    network = build_classifier("resnet26", 50, init="torch7", norm="BN")
    weight, bound = network.linear.weight.detach(), 1 / math.sqrt(2048)
    assert weight.abs().max() <= bound
    uniform = (weight.flatten() / bound).double().numpy()
    assert stats.kstest(uniform, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert network.linear.bias.abs().max() == 0


def test_norms_start_at_one_and_zero():
    network = build_classifier("resnet26", 50, init="torch7", norm="BN")
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 1 + 8 * 3 + 4
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_detectron2s_is_what_it_was():
    torch.manual_seed(0)
    one = build_classifier("resnet26", 5)
    torch.manual_seed(0)
    other = build_classifier("resnet26", 5, init="detectron2")
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    assert one.linear.weight.std().item() == pytest.approx(0.01, rel=0.03)


def test_offsets_of_deformable_convolutions_start_at_zero():
    deform = {"deform_on_per_stage": [False, False, False, True]}
    network = build_classifier("resnet26", 5, init="torch7", **deform)
    assert network.res5[0].conv2_offset.weight.abs().max() == 0
    assert network.res5[0].conv2_offset.bias.abs().max() == 0


def test_the_key_reaches_the_classifier():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.update({"DEPTH": 26, "NORM": "BN"})
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.CLASSIFIER.INIT = "torch7"
    weight = classifier_from_config(cfg).linear.weight
    assert weight.std().item() == pytest.approx(1 / math.sqrt(3 * 2048), rel=0.01)


def test_nothing_is_drawn_on_the_meta_device():
    with torch.device("meta"):
        assert build_classifier("resnet50", init="torch7").linear.weight.is_meta


def test_another_rule_is_refused():
    with pytest.raises(UserError, match="unknown init 'xavier': choose one of detectron2, torch7"):
        build_classifier("resnet50", init="xavier")
