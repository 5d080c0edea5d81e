"""The whole detector against Detectron2's: in one process, and against golden files."""

import numpy as np
import pytest
import torch

from tests.engines.portable import references
from tests.engines.portable.references import Reference
from tests.golden.compare import match_detections
from tests.golden.formula import NETS, TINY_NETS

LOSSES = ("loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc")


def largest_gaps(reference: Reference) -> dict[str, float]:
    """Our detections and losses against the stored ones, detections matched pair by pair."""
    model, gaps = references.portable(reference.net), {"boxes": 0.0, "scores": 0.0, "losses": 0.0}
    gaps["unmatched"] = 0
    with torch.no_grad():
        detections = model.eval()(reference.samples())
    for i, found in enumerate(detections):
        boxes, scores = reference[f"whole_boxes.{i}"], reference[f"whole_scores.{i}"]
        pairs, unmatched = match_detections(
            (found.boxes.numpy(), found.classes.numpy()),
            (boxes.numpy(), reference[f"whole_classes.{i}"].numpy()),
        )
        gaps["unmatched"] = max(gaps["unmatched"], unmatched)
        ours, theirs = (list(side) for side in zip(*pairs, strict=True))
        box_gap = (found.boxes[ours] - boxes[theirs]).abs().max()
        score_gap = (found.scores[ours] - scores[theirs]).abs().max()
        gaps["boxes"] = max(gaps["boxes"], float(box_gap))
        gaps["scores"] = max(gaps["scores"], float(score_gap))
    gaps["losses"] = max(
        abs(value - float(reference[f"whole_{name}"])) / abs(float(reference[f"whole_{name}"]))
        for name, value in training_losses(reference).items()
    )
    return gaps


@torch.no_grad()  # as the references: frozen BatchNorm rounds otherwise where gradients flow
def training_losses(reference: Reference) -> dict[str, float]:
    model = references.portable(reference.net).train()
    torch.manual_seed(reference.header["seeds"]["whole"])
    losses = model(reference.samples())
    model.eval()
    assert set(losses) == set(LOSSES)
    return {name: float(value) for name, value in losses.items()}


@pytest.mark.parametrize("net", TINY_NETS)
def test_within_detectron2s_own_spread(net):
    reference = references.golden(net)
    gaps, spread = largest_gaps(reference), reference.header["spread"]
    for name in ("boxes", "scores", "losses", "unmatched"):
        assert gaps[name] <= spread[name], (name, gaps, spread)


@pytest.mark.d2
@pytest.mark.parametrize("net", NETS)
def test_live(net):
    gaps = largest_gaps(references.live(net))
    assert gaps["unmatched"] == 0
    assert gaps["boxes"] <= 1e-3, gaps
    assert gaps["scores"] <= 1e-5, gaps
    assert gaps["losses"] <= 1e-5, gaps


@pytest.mark.d2
@pytest.mark.parametrize("net", TINY_NETS)
def test_gradients_live(net):
    from detectron2.utils.events import EventStorage

    from tests.golden import make_golden

    reference = references.live(net)
    ours, theirs = references.portable(net).train(), make_golden.detectron2_model(net).train()
    torch.manual_seed(1)
    sum(ours(reference.samples()).values()).backward()
    torch.manual_seed(1)
    with EventStorage():
        sum(theirs(make_golden.detectron2_inputs(net)).values()).backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        wanted = expected[name].grad
        assert parameter.requires_grad == expected[name].requires_grad, name
        if wanted is not None:
            assert parameter.grad is not None, name
            limit = 1e-5 * float(wanted.abs().max()) + 1e-9
            np.testing.assert_allclose(parameter.grad, wanted, rtol=1e-4, atol=limit, err_msg=name)
    ours.zero_grad(set_to_none=True)
    ours.eval()
