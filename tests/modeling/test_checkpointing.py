"""Activation checkpointing: same outputs, gradients and running averages."""

import copy

import pytest
import torch

from resnext_det.modeling import ResNet

SMALL = {
    "depth": 26,
    "num_groups": 8,
    "width_per_group": 4,
    "stem_out_channels": 32,
    "res2_out_channels": 32,
}


@pytest.mark.parametrize("form", ["grouped", "split"])
@pytest.mark.parametrize("norm", ["BN", "SyncBN", "FrozenBN", "GN"])
@pytest.mark.parametrize("freeze_at", [0, 2])
def test_same_training_step(norm, freeze_at, form):
    plain = ResNet(norm=norm, freeze_at=freeze_at, block_form=form, **SMALL).train()
    saving = copy.deepcopy(plain)
    saving.activation_checkpointing = True
    images = torch.randn(2, 3, 64, 64)
    for network in (plain, saving):
        outputs = network(images)
        sum(value.square().mean() for value in outputs.values()).backward()
    for (key, ours), theirs in zip(saving.named_parameters(), plain.parameters(), strict=True):
        if theirs.grad is None:
            assert ours.grad is None, key
        else:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)
    for ours, theirs in zip(saving.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)  # a second update of the averages would show here


def test_fewer_tensors_are_kept():
    kept = {}
    for saving in (False, True):
        network = ResNet(norm="BN", activation_checkpointing=saving, **SMALL).train()
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
        ):
            network(torch.randn(2, 3, 64, 64))
        kept[saving] = sum(sizes)
    assert kept[True] < 0.5 * kept[False]


def test_evaluation_is_untouched():
    network = ResNet(activation_checkpointing=True, **SMALL).eval()
    assert network(torch.zeros(0, 3, 64, 64))["res5"].shape == (0, 256, 2, 2)
