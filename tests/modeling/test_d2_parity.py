"""Our backbone and frozen norm against Detectron2's own, live, with the same weights."""

import itertools

import pytest
import torch

from resnext_det.modeling import ResNet
from resnext_det.modeling.norms import FrozenBatchNorm2d
from tests.modeling.d2_reference import (
    BASIC,
    DEFORMABLE,
    FEATURES,
    build_pair,
    build_reference,
    cases,
    differences,
    relative,
)

pytestmark = pytest.mark.d2

LIMIT = 1e-6  # of the largest magnitude in a tensor
SMALL = {"depth": 50, "num_groups": 4, "width_per_group": 8, "res2_out_channels": 32}
X50 = {"depth": 50, "num_groups": 32, "width_per_group": 4}


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: "-".join(map(str, case.values())))
def test_same_weights_give_same_features_and_gradients(case):
    for freeze_at, gap in enumerate(differences(case)):
        assert gap.features <= LIMIT, (freeze_at, gap)
        assert gap.gradients <= LIMIT, (freeze_at, gap)
        assert gap.statistics <= LIMIT, (freeze_at, gap)


def test_cases_are_all_combinations():
    assert len(list(cases())) == 5 * 2 * 2 * 2 + 5 * 2 * 2


def test_the_comparison_sees_a_difference():
    value = torch.tensor([1.0, -4.0])
    assert relative({"a": value + 2e-6}, {"a": value}) == pytest.approx(0.5e-6, rel=0.2)
    with pytest.raises(AssertionError, match="a"):
        relative({"a": value / 0}, {"a": value})
    ours, theirs = build_pair({**SMALL, "norm": "BN"})
    ours.res3[0].shortcut.weight.data *= 1 + 1e-5
    images = torch.randn(1, 3, 32, 32)
    assert relative(ours.eval()(images), theirs.eval()(images)) > LIMIT


@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
def test_full_width(norm):
    for gap in itertools.islice(differences({**X50, "norm": norm}), 5):
        assert max(gap.features, gap.gradients, gap.statistics) <= LIMIT


@pytest.mark.parametrize("dilation", [1, 2])
def test_same_shapes(dilation):
    ours, theirs = build_pair({**SMALL, "res5_dilation": dilation})
    for name, shape in theirs.output_shape().items():
        mine = ours.output_shape()[name]
        assert (mine.channels, mine.stride) == (shape.channels, shape.stride)


@pytest.mark.parametrize("architecture", [SMALL, X50, BASIC[0], DEFORMABLE[0], DEFORMABLE[1]])
@pytest.mark.parametrize("freeze_at", range(6))
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
