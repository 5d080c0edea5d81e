"""Parts whose options the compared nets do not cover, against Detectron2's own."""

import pytest
import torch
from torch.testing import assert_close

from resnext_det.engines.portable.box_regression import (
    BOX_LOSSES,
    BoxTransform,
    box_regression_loss,
)
from resnext_det.engines.portable.matching import Matcher, pairwise_iou
from resnext_det.engines.portable.pooling import assign_levels
from tests.golden.formula import uniform

pytestmark = pytest.mark.d2
WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def random_boxes(name: str, count: int) -> torch.Tensor:
    """(count, 4) boxes of 1 to 200 pixels, a few of which touch."""
    values = torch.from_numpy(uniform(name, (count, 4)))
    starts, sizes = values[:, :2] * 100 + 100, (values[:, 2:] + 1) * 100 + 1
    return torch.cat([starts, starts + sizes], dim=1)


@pytest.mark.parametrize("loss_type", BOX_LOSSES)
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_box_losses(loss_type, beta):
    from detectron2.modeling.box_regression import Box2BoxTransform, _dense_box_regression_loss

    references, targets = random_boxes("a", 50), random_boxes("b", 50)
    deltas = torch.from_numpy(uniform("c", (50, 4))).requires_grad_()
    ours = box_regression_loss(
        deltas,
        references,
        targets,
        BoxTransform(WEIGHTS),
        loss_type=loss_type,
        smooth_l1_beta=beta,
    )
    theirs = _dense_box_regression_loss(
        [references],
        Box2BoxTransform(weights=WEIGHTS),
        [deltas[None]],
        [targets],
        torch.ones(1, 50, dtype=torch.bool),
        loss_type,
        beta,
    )
    assert_close(ours, theirs, rtol=1e-5, atol=0)
    gradients = [torch.autograd.grad(loss, deltas)[0] for loss in (ours, theirs)]
    assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_matcher(low_quality, count):
    from detectron2.modeling.matcher import Matcher as Theirs

    thresholds, labels = [0.3, 0.7], [0, -1, 1]
    iou = pairwise_iou(random_boxes("gt", count), random_boxes("anchors", 400))
    ours = Matcher(thresholds, labels, allow_low_quality_matches=low_quality)(iou)
    theirs = Theirs(list(thresholds), labels, low_quality)(iou)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


def test_levels_at_the_borders():
    from detectron2.modeling.poolers import assign_boxes_to_levels
    from detectron2.structures import Boxes

    sides = torch.cat([2.0**k * 7 * (1 + torch.arange(-6, 7) * 6e-8) for k in range(9)])
    boxes = torch.stack([torch.zeros_like(sides), torch.zeros_like(sides), sides, sides], 1)
    theirs = assign_boxes_to_levels([Boxes(boxes)], 2, 5, 224, 4)
    assert torch.equal(assign_levels(boxes, 2, 5), theirs)
