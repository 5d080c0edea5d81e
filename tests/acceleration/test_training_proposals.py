"""Proposals of a training batch at once: those that are chosen image by image."""

import pytest
import torch

from resnext_det.acceleration.training_proposals import BatchedRPN
from resnext_det.engines.portable.proposals import NOT_FINITE
from resnext_det.engines.portable.rpn import RPN
from tests.engines.portable import references
from tests.golden.formula import TINY_NETS

SIZES = [(60, 90), (64, 50)]


def both(net):
    """An RPN of each kind with the same settings, in training mode, and its inputs."""
    built = [
        references.build(TINY_NETS[net] | {"SOLVER.FAST_SUPPRESSION": fast}).proposal_generator
        for fast in (False, True)
    ]
    assert [type(rpn) for rpn in built] == [RPN, BatchedRPN]
    draw = torch.Generator().manual_seed(0)
    shapes = [(-(-64 // s), -(-96 // s)) for s in built[0].anchor_generator.strides]
    anchors = built[0].anchor_generator([torch.empty(1, 1, *shape) for shape in shapes])
    logits = [torch.randn(2, len(a), generator=draw) for a in anchors]
    deltas = [0.3 * torch.randn(2, len(a), 4, generator=draw) for a in anchors]
    return [rpn.train() for rpn in built], (anchors, logits, deltas, SIZES)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("net", TINY_NETS)
def test_the_same_boxes_in_the_same_order(net, training):
    (plain, batched), inputs = both(net)
    for one, other in zip(
        plain.train(training).propose(*inputs),
        batched.train(training).propose(*inputs),
        strict=True,
    ):
        assert one.image_size == other.image_size
        assert len(one) > 10
        assert torch.equal(one.logits, other.logits)
        torch.testing.assert_close(one.boxes, other.boxes)


@pytest.mark.parametrize("place", ["logits", "deltas"])
def test_what_is_not_finite_ends_training(place):
    (_, batched), (anchors, logits, deltas, sizes) = both("tiny_resnext")
    (logits if place == "logits" else deltas)[0][1, :] = torch.nan
    with pytest.raises(FloatingPointError, match=NOT_FINITE):
        batched.propose(anchors, logits, deltas, sizes)


def test_images_without_any_usable_box():
    (plain, batched), (anchors, logits, deltas, _) = both("tiny_resnext")
    sizes = [(0, 0), (64, 96)]
    found = batched.propose(anchors, logits, deltas, sizes)
    expected = plain.propose(anchors, logits, deltas, sizes)
    assert [len(f) for f in found] == [len(e) for e in expected]
    assert len(found[0]) == 0
