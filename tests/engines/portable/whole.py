"""The whole detector beside Detectron2's: detections, losses and gradients."""

import numpy as np
import torch
from torch import Tensor

from tests.engines.portable import references
from tests.engines.portable.references import Reference
from tests.golden.compare import match_detections
from tests.golden.tolerances import GRADIENT, GRADIENT_FLOOR, GRADIENT_SHARE, LOSSES


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


def gradients(net: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Ours and Detectron2's gradient of every trained parameter, by name. Detectron2."""
    from detectron2.utils.events import EventStorage

    from tests.golden import make_golden

    reference = references.live(net)
    ours, theirs = references.portable(net).train(), make_golden.detectron2_model(net).train()
    torch.manual_seed(1)
    torch.stack(list(ours(reference.samples()).values())).sum().backward()
    torch.manual_seed(1)
    with EventStorage():
        torch.stack(list(theirs(make_golden.detectron2_inputs(net)).values())).sum().backward()
    expected, pairs = dict(theirs.named_parameters()), {}
    for name, parameter in ours.named_parameters():
        wanted = expected[name].grad
        assert parameter.requires_grad == expected[name].requires_grad, name
        if wanted is not None:
            assert parameter.grad is not None, name
            pairs[name] = (parameter.grad, wanted)
    ours.zero_grad(set_to_none=True)
    ours.eval()
    return pairs


def assert_gradients_close(pairs: dict[str, tuple[Tensor, Tensor]]) -> None:
    for name, (ours, theirs) in pairs.items():
        limit = GRADIENT_SHARE * float(theirs.abs().max()) + GRADIENT_FLOOR
        np.testing.assert_allclose(ours, theirs, rtol=GRADIENT, atol=limit, err_msg=name)


def gradient_gap(ours: Tensor, theirs: Tensor) -> float:
    """The difference as a multiple of what `assert_gradients_close` allows, times GRADIENT.

    Solved for `rtol`: a gap of at most GRADIENT is what that assertion asks for.
    """
    floor = (GRADIENT_SHARE * float(theirs.abs().max()) + GRADIENT_FLOOR) / GRADIENT
    return float(((ours - theirs).abs() / (theirs.abs() + floor)).max())
