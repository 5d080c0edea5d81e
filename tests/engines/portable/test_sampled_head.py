"""The RPN head at sampled anchors: what the head everywhere gives there, gradients too."""

import pytest
import torch

from resnext_det.engines.portable.rpn import RPNHead
from resnext_det.engines.portable.sampled_head import SampledAnchors, predict_sampled

SIZES = ((5, 7), (3, 4), (1, 1))
ANCHORS, CHANNELS, IMAGES = 3, 6, 2
NUM_ANCHORS = sum(h * w for h, w in SIZES) * ANCHORS


def make_maps(layout=torch.contiguous_format):
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(IMAGES, CHANNELS, *size, generator=generator) for size in SIZES]
    return [m.to(memory_format=layout).requires_grad_() for m in maps]


def make_head():
    torch.manual_seed(1)
    head = RPNHead(CHANNELS, ANCHORS)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head


def predict(head, maps, sampled) -> SampledAnchors:
    return predict_sampled(head.conv, head.objectness_logits, head.anchor_deltas, maps, sampled)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_the_head_everywhere_gives_the_same_there(share, layout):
    sampled = torch.rand(IMAGES, NUM_ANCHORS, generator=torch.Generator().manual_seed(2)) < share
    here, everywhere = make_head(), make_head()
    some_maps, all_maps = make_maps(layout), make_maps()
    found = predict(here, some_maps, sampled)
    logits, deltas = everywhere(all_maps)
    logits = torch.cat(logits, dim=1).flatten()[found.positions]
    deltas = torch.cat(deltas, dim=1).flatten(0, 1)[found.positions]
    assert found.positions.sort().values.tolist() == sampled.flatten().nonzero().flatten().tolist()
    torch.testing.assert_close(found.logits, logits, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found.deltas, deltas, rtol=1e-5, atol=1e-4)
    (found.logits.square().sum() + found.deltas.square().sum()).backward()
    (logits.square().sum() + deltas.square().sum()).backward()
    pairs = [*zip(here.parameters(), everywhere.parameters(), strict=True)]
    for mine, theirs in [*pairs, *zip(some_maps, all_maps, strict=True)]:
        close = 1e-5 * float(theirs.grad.abs().max())
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=close)


def test_nothing_sampled_gives_no_gradient_and_no_error():
    head, maps = make_head(), make_maps()
    found = predict(head, maps, torch.zeros(IMAGES, NUM_ANCHORS, dtype=torch.bool))
    assert (len(found.positions), found.logits.shape, found.deltas.shape) == (0, (0,), (0, 4))
    (found.logits.sum() + found.deltas.sum()).backward()
    assert all(not parameter.grad.any() for parameter in head.parameters())
    assert all(not m.grad.any() for m in maps)
