"""Images without ground truth, proposals or detections, and values that are not finite."""

import pytest
import torch

from resnext_det.engines.portable.box_head import BoxPredictor
from resnext_det.engines.portable.box_regression import (
    BOX_LOSSES,
    BoxTransform,
    box_regression_loss,
)
from resnext_det.engines.portable.matching import Matcher, pairwise_iou
from resnext_det.engines.portable.pooling import RoIPooler
from resnext_det.engines.portable.postprocess import rescale_detections, select_detections
from resnext_det.engines.portable.proposals import Proposals, select_proposals
from resnext_det.engines.portable.sampling import sample_labels
from resnext_det.structures import Detections
from tests.engines.portable import references

NO_BOXES = torch.zeros(0, 4)
OPTIONS = {"nms_thresh": 0.7, "pre_nms_topk": 9, "post_nms_topk": 9}


@pytest.fixture
def model():
    model = references.portable("tiny_resnet")
    yield model
    model.zero_grad(set_to_none=True)
    model.eval()


def without_ground_truth(samples):
    for sample in samples:
        sample.gt_boxes, sample.gt_classes = NO_BOXES, torch.zeros(0, dtype=torch.int64)
    return samples


@pytest.mark.parametrize("which", ["first", "all"])
def test_training_without_ground_truth(model, which):
    samples = references.golden("tiny_resnet").samples()
    without_ground_truth(samples[:1] if which == "first" else samples)
    losses = model.train()(samples)
    sum(losses.values()).backward()
    assert all(bool(value.isfinite()) for value in losses.values())
    if which == "all":
        assert losses["loss_box_reg"].item() == 0
        assert losses["loss_rpn_loc"].item() == 0
    # Every trained parameter has a gradient, so that distributed training does not wait.
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_training_needs_ground_truth_fields(model):
    samples = references.golden("tiny_resnet").samples()
    samples[1].gt_boxes = None
    with pytest.raises(ValueError, match=r"1\.png: no ground truth to train on"):
        model.train()(samples)


@torch.no_grad()
def test_no_proposals(model):
    features = references.golden("tiny_resnet").features()
    none = [Proposals(NO_BOXES, torch.zeros(0), (90, 120))] * 2
    found = model.roi_heads.detect(features, none)
    assert [len(image) for image in found] == [0, 0]


def test_no_regions_to_train_on(model):
    features = references.golden("tiny_resnet").features()
    none = [Proposals(NO_BOXES, torch.zeros(0), (90, 120))] * 2
    no_classes = [torch.zeros(0, dtype=torch.int64)] * 2
    losses = model.roi_heads.training_losses(features, none, [NO_BOXES] * 2, no_classes)
    sum(losses.values()).backward()
    assert {name: value.item() for name, value in losses.items()} == {
        "loss_cls": 0,
        "loss_box_reg": 0,
    }


@torch.no_grad()
def test_no_detections(model):
    model.eval().roi_heads.score_thresh = 1.0
    try:
        found = model(references.golden("tiny_resnet").samples())
    finally:
        model.roi_heads.score_thresh = 0.05
    assert [(len(d), tuple(d.boxes.shape), len(d.scores)) for d in found] == [(0, (0, 4), 0)] * 2


def test_matching_without_ground_truth_or_candidates():
    matcher = Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True)
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(3, 1)
    matches, labels = matcher(pairwise_iou(NO_BOXES, boxes))
    assert matches.tolist() == [0, 0, 0]
    assert labels.tolist() == [0, 0, 0]
    matches, labels = matcher(pairwise_iou(boxes, NO_BOXES))
    assert (len(matches), len(labels)) == (0, 0)


def test_boxes_without_area_overlap_nothing():
    point = torch.tensor([[3.0, 3.0, 3.0, 3.0]])
    assert pairwise_iou(point, point).tolist() == [[0.0]]


def test_sampling_nothing():
    positive, negative = sample_labels(torch.full((4,), -1), 8, 0.5, background=0)
    assert (len(positive), len(negative)) == (0, 0)
    positive, negative = sample_labels(torch.zeros(0, dtype=torch.int64), 8, 0.5, background=0)
    assert (len(positive), len(negative)) == (0, 0)


@pytest.mark.parametrize("loss_type", BOX_LOSSES)
def test_box_loss_of_nothing_is_zero(loss_type):
    deltas = NO_BOXES.clone().requires_grad_()
    transform = BoxTransform((1, 1, 1, 1))
    loss = box_regression_loss(deltas, NO_BOXES, NO_BOXES, transform, loss_type=loss_type)
    loss.backward()
    assert loss.item() == 0
    assert deltas.grad is not None


@pytest.mark.parametrize("agnostic", [True, False])
def test_decoding_nothing(agnostic):
    transform = BoxTransform((1, 1, 1, 1))
    predictor = BoxPredictor(4, 3, transform=transform, class_agnostic=agnostic)
    boxes, probabilities = predictor.predict(*predictor(torch.zeros(0, 4)), NO_BOXES)
    assert boxes.shape == (0, 4 if agnostic else 12)
    found = select_detections(
        boxes, probabilities, (9, 9), score_thresh=0.05, nms_thresh=0.5, topk=5
    )
    assert len(found) == 0


@pytest.mark.parametrize("strides", [[4], [4, 8]])
def test_pooling_nothing(strides):
    features = [torch.zeros(2, 3, 16 // s, 16 // s) for s in strides]
    assert RoIPooler(7, strides)(features, [NO_BOXES, NO_BOXES]).shape == (0, 3, 7, 7)


def test_rescaling_nothing():
    assert len(rescale_detections(Detections.empty(), (9, 9), 20, 20)) == 0


def test_boxes_that_leave_the_image_are_dropped():
    outside = torch.tensor([[[30.0, 30.0, 40.0, 40.0]]])
    (found,) = select_proposals([outside], [torch.tensor([[1.0]])], [(20, 20)], **OPTIONS)
    assert len(found) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(value):
    boxes = torch.tensor([[[0.0, 0, 9, 9], [0, 0, value, 9], [40, 40, 49, 49]]])
    logits, sizes = torch.tensor([[1.0, 3.0, 2.0]]), [(99, 99)]
    (found,) = select_proposals([boxes], [logits], sizes, **OPTIONS)
    assert found.logits.tolist() == [2, 1]
    with pytest.raises(FloatingPointError, match="training has diverged"):
        select_proposals([boxes], [logits], sizes, training=True, **OPTIONS)
    detections = select_detections(
        boxes[0],
        torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]),
        (99, 99),
        score_thresh=0.05,
        nms_thresh=0.5,
        topk=9,
    )
    assert len(detections) == 2
