"""Where torchvision's detector and Detectron2's differ, one test each; ours is Detectron2's.

Expected values are worked out by hand from the definitions. The resize of images, the last
known difference, is tested with the data.
"""

import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchors
from torchvision.ops import roi_align

from resnext_det.engines.portable.anchors import AnchorGenerator, cell_anchors
from resnext_det.engines.portable.box_head import BoxHead, BoxPredictor
from resnext_det.engines.portable.box_regression import BoxTransform, box_regression_loss
from resnext_det.engines.portable.conv import build_conv
from resnext_det.engines.portable.matching import Matcher
from resnext_det.engines.portable.pooling import RoIPooler, assign_levels
from resnext_det.engines.portable.postprocess import select_detections
from resnext_det.engines.portable.proposals import select_proposals
from resnext_det.engines.portable.roi_heads import RoIHeads
from resnext_det.engines.portable.rpn import RPN, RPNHead
from resnext_det.engines.portable.sampling import sample_labels
from resnext_det.structures import DetectionSample
from tests.engines.portable import references
from tests.golden.formula import MEAN, STD, TINY_NETS

UNIT = BoxTransform((1.0, 1.0, 1.0, 1.0))


def test_background_class_is_the_last():
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])  # two classes, background
    boxes = torch.tensor([[0.0, 0, 8, 8], [10, 10, 18, 18]])
    found = select_detections(
        boxes, probabilities, (20, 20), score_thresh=0.15, nms_thresh=0.5, topk=9
    )
    assert found.classes.tolist() == [0, 1, 1]
    assert_close(found.scores, torch.tensor([0.7, 0.2, 0.2]))


def test_background_has_no_box_loss():
    predictor = BoxPredictor(4, 2, transform=UNIT)
    boxes = torch.tensor([[0.0, 0, 8, 8]])
    losses = predictor.losses(
        torch.zeros(1, 3), torch.ones(1, 8), boxes, torch.tensor([2]), boxes + 3
    )
    assert float(losses["loss_box_reg"]) == 0
    assert float(losses["loss_cls"]) == pytest.approx(math.log(3))


def test_anchors_are_not_rounded():
    anchors = cell_anchors([32], [0.5])
    width, height = 32 * math.sqrt(2), 32 / math.sqrt(2)
    expected = torch.tensor([[-width / 2, -height / 2, width / 2, height / 2]])
    assert_close(anchors, expected)
    assert not torch.equal(anchors, TorchvisionAnchors().generate_anchors([32], [0.5]))


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_anchor_offset(offset):
    generator = AnchorGenerator(sizes=[[8]], aspect_ratios=[[1.0]], strides=[4], offset=offset)
    (anchors,) = generator([torch.zeros(1, 1, 2, 3)])
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    expected = [[4 * (x + offset), 4 * (y + offset)] for y in range(2) for x in range(3)]
    assert centers.tolist() == expected


def test_roi_align_is_aligned():
    # The map's value is the x of the pixel's centre, so an aligned pool gives the bin's centre.
    feature = (torch.arange(16.0) + 0.5).expand(1, 1, 16, 16)
    box = torch.tensor([[4.0, 4.0, 12.0, 12.0]])
    pooled = RoIPooler(2, [1])([feature], [box])
    assert_close(pooled[0, 0, 0], torch.tensor([6.0, 10.0]))
    legacy = roi_align(feature, [box], 2)
    assert_close(legacy[0, 0, 0], torch.tensor([6.5, 10.5]))


def test_box_loss_is_l1():
    references = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    deltas = torch.tensor([[0.05, -0.02, 0.0, 0.0]])
    assert float(box_regression_loss(deltas, references, references, UNIT)) == pytest.approx(0.07)
    smooth = box_regression_loss(deltas, references, references, UNIT, smooth_l1_beta=1 / 9)
    assert float(smooth) == pytest.approx(0.5 * 9 * (0.05**2 + 0.02**2))


def test_rpn_losses_are_divided_by_the_sample_size_asked_for():
    rpn = small_rpn(batch_size_per_image=10)
    anchors = [torch.tensor([[0.0, 0, 8, 8], [8, 8, 16, 16]])]
    labels = [torch.tensor([1, -1])]  # one of ten was found
    targets = [anchors[0] + torch.tensor([4.0, 0, 4, 0])]  # dx = 0.5
    losses = rpn.losses(anchors, [torch.zeros(1, 2)], [torch.zeros(1, 2, 4)], labels, targets)
    assert float(losses["loss_rpn_cls"]) == pytest.approx(math.log(2) / 10)
    assert float(losses["loss_rpn_loc"]) == pytest.approx(0.5 / 10)


def test_rpn_loss_weights():
    anchors, labels = [torch.tensor([[0.0, 0, 8, 8]])], [torch.tensor([1])]
    targets = [anchors[0] + torch.tensor([4.0, 0, 4, 0])]  # dx = 0.5
    rpn = small_rpn(batch_size_per_image=1, loss_weights=(3.0, 5.0))
    losses = rpn.losses(anchors, [torch.zeros(1, 1)], [torch.zeros(1, 1, 4)], labels, targets)
    assert float(losses["loss_rpn_cls"]) == pytest.approx(3 * math.log(2))
    assert float(losses["loss_rpn_loc"]) == pytest.approx(5 * 0.5)


def test_box_loss_is_divided_by_all_regions():
    predictor = BoxPredictor(4, 2, transform=UNIT)
    boxes = torch.tensor([[0.0, 0, 8, 8]]).repeat(5, 1)
    targets = boxes + torch.tensor([4.0, 0, 4, 0])  # dx = 0.5
    classes = torch.tensor([0, 2, 2, 2, 2])  # one foreground region of five
    losses = predictor.losses(torch.zeros(5, 3), torch.zeros(5, 8), boxes, classes, targets)
    assert float(losses["loss_box_reg"]) == pytest.approx(0.5 / 5)


def test_proposal_counts_are_per_level_then_per_image():
    far = torch.arange(6.0) * 20
    level = torch.stack([far, far, far + 10, far + 10], dim=1)[None]  # 6 boxes, none overlap
    logits = torch.arange(6.0)[None]
    options = {"nms_thresh": 0.7, "pre_nms_topk": 2}
    both = ([level, level], [logits, logits + 100], [(200, 200)])
    (many,) = select_proposals(*both, post_nms_topk=9, **options)
    assert many.logits.tolist() == [105, 104, 5, 4]
    (few,) = select_proposals(*both, post_nms_topk=3, **options)
    assert few.logits.tolist() == [105, 104, 5]


def test_nms_is_per_level():
    box = torch.tensor([[[0.0, 0.0, 10.0, 10.0]]]).repeat(1, 2, 1)
    logits = [torch.tensor([[2.0, 1.0]]), torch.tensor([[4.0, 3.0]])]
    (found,) = select_proposals(
        [box, box],
        logits,
        [(20, 20)],
        nms_thresh=0.7,
        pre_nms_topk=9,
        post_nms_topk=9,
    )
    assert found.logits.tolist() == [4, 2]  # the best of each level


def test_padding_to_the_size_divisor():
    model = references.portable("tiny_resnet")
    images, sizes = model.preprocess([sample(33, 64), sample(20, 65)])
    assert images.shape == (2, 3, 64, 96)  # multiples of 32
    assert sizes == [(33, 64), (20, 65)]
    assert float(images[0, :, 33:].abs().max()) == 0  # zeros after normalising
    assert float(images[1, :, :, 65:].abs().max()) == 0
    assert float(images[0, :, :33, :64].abs().min()) > 0


def test_pixel_order_mean_and_deviation():
    # Values of 0-255 in the image's own channel order, none swapped, none divided by 255.
    model = references.portable("tiny_resnet")
    one = sample(32, 32)
    one.image[0], one.image[1], one.image[2] = 10, 20, 30
    images, _ = model.preprocess([one])
    expected = [(v - m) / s for v, m, s in zip((10, 20, 30), MEAN, STD, strict=True)]
    assert_close(images[0, :, 5, 5], torch.tensor(expected))


def test_roi_level_epsilon():
    # At 224 pixels the level is exactly 4. Below by 2e-7 of the size, torchvision's
    # epsilon of 1e-6 still says 4; Detectron2's 1e-8 says 3.
    sides = torch.tensor([224.0, 224 * (1 - 2e-7), 112.0, 448.0, 5.0, 5000.0])
    assert float(sides[1]) < 224
    boxes = torch.stack([torch.zeros(6), torch.zeros(6), sides, sides], dim=1)
    assert (assign_levels(boxes, 2, 5) + 2).tolist() == [4, 3, 3, 5, 2, 5]


@pytest.mark.parametrize("append_gt", [True, False])
def test_ground_truth_is_appended(append_gt):
    heads = small_roi_heads(append_gt=append_gt)
    gt = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    far = torch.tensor([[50.0, 50.0, 60.0, 60.0]])
    regions = heads.sample_regions(far, gt, torch.tensor([1]))
    if append_gt:
        assert regions.boxes.tolist() == [gt[0].tolist(), far[0].tolist()]
        assert regions.gt_classes.tolist() == [1, 2]  # 2 is the background
    else:
        assert regions.boxes.tolist() == far.tolist()
        assert regions.gt_classes.tolist() == [2]


def test_order_of_random_draws():
    labels = torch.tensor([1, 0, -1, 0, 1, 0, 1, 0, 0])
    torch.manual_seed(3)
    positive, negative = sample_labels(labels, 4, 0.5, background=0)
    torch.manual_seed(3)  # foreground first, each a permutation of all of its kind
    first, second = torch.randperm(3)[:2], torch.randperm(5)[:2]
    assert torch.equal(positive, torch.tensor([0, 4, 6])[first])
    assert torch.equal(negative, torch.tensor([1, 3, 5, 7, 8])[second])


def test_missing_foreground_is_filled_with_background():
    labels = torch.tensor([1, 0, 0, 0, 0, 0])
    positive, negative = sample_labels(labels, 4, 0.5, background=0)
    assert (len(positive), len(negative)) == (1, 3)


def test_score_threshold_is_strict():
    probabilities = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    boxes = torch.tensor([[0.0, 0, 8, 8], [10, 10, 18, 18]])
    found = select_detections(
        boxes, probabilities, (20, 20), score_thresh=0.25, nms_thresh=0.5, topk=9
    )
    assert found.scores.tolist() == [0.5]


def test_minimum_size_is_strict():
    boxes = torch.tensor([[[0.0, 0, 4, 9], [20, 20, 25, 29]]])
    options = {"nms_thresh": 0.7, "pre_nms_topk": 9, "post_nms_topk": 9}
    (found,) = select_proposals(
        [boxes], [torch.tensor([[1.0, 2.0]])], [(99, 99)], min_box_size=4.0, **options
    )
    assert found.logits.tolist() == [2]


def test_large_scales_are_clamped():
    boxes = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    found = UNIT.decode(torch.tensor([[0.0, 0.0, 50.0, 50.0]]), boxes)
    assert_close(found, torch.tensor([[-492.0, -492.0, 508.0, 508.0]]), rtol=0, atol=1e-3)


def test_low_quality_matches_reach_every_ground_truth():
    iou = torch.tensor([[0.1, 0.2, 0.2, 0.0], [0.8, 0.0, 0.5, 0.0]])
    thresholds, labels = [0.3, 0.7], [0, -1, 1]
    _, plain = Matcher(thresholds, labels)(iou)
    assert plain.tolist() == [1, 0, -1, 0]
    matches, low = Matcher(thresholds, labels, allow_low_quality_matches=True)(iou)
    assert low.tolist() == [1, 1, 1, 0]  # both that tie for the first row
    assert matches.tolist() == [1, 0, 1, 0]  # the third keeps its own better row


def test_thresholds_belong_to_the_upper_label():
    _, labels = Matcher([0.3, 0.7], [0, -1, 1])(torch.tensor([[0.3, 0.7]]))
    assert labels.tolist() == [-1, 1]


def check_normal(weight: torch.Tensor, deviation: float) -> None:
    assert float(weight.mean()) == pytest.approx(0, abs=6 * deviation / weight.numel() ** 0.5)
    assert float(weight.std()) == pytest.approx(deviation, rel=0.05)
    assert float(weight.abs().max()) > 2.5 * deviation  # a uniform one ends at 1.73


def check_uniform(weight: torch.Tensor, bound: float) -> None:
    assert float(weight.abs().max()) <= bound
    assert float(weight.abs().max()) > 0.99 * bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


@torch.no_grad()
def test_initialisation_of_heads_and_fpn():
    torch.manual_seed(0)
    model = references.build(TINY_NETS["tiny_resnext"] | {"MODEL.FPN.OUT_CHANNELS": 64})
    head = model.proposal_generator.rpn_head
    check_normal(head.get_parameter("conv.weight"), 0.01)
    check_normal(head.anchor_deltas.weight, 0.01)
    check_uniform(model.backbone.get_parameter("fpn_lateral3.weight"), math.sqrt(3 / 64))
    check_uniform(model.backbone.get_parameter("fpn_output2.weight"), math.sqrt(3 / (64 * 9)))
    check_uniform(model.roi_heads.box_head.get_parameter("fc1.weight"), math.sqrt(3 / (64 * 49)))
    predictor = BoxPredictor(256, 40, transform=UNIT)
    check_normal(predictor.cls_score.weight, 0.01)
    check_normal(predictor.bbox_pred.weight, 0.001)
    convolutions = BoxHead(32, 7, conv_dims=[48], fc_dims=[], conv=lambda i, o: build_conv(i, o, 3))
    check_normal(convolutions.get_parameter("conv1.weight"), math.sqrt(2 / (48 * 9)))
    biases = {n: p for n, p in model.named_parameters() if n.endswith("bias")}
    assert len(biases) == 8 + 3 + 4  # FPN, RPN head, box head and predictor
    assert all(float(p.abs().max()) == 0 for p in biases.values())


def sample(height: int, width: int) -> DetectionSample:
    image = torch.full((3, height, width), 7, dtype=torch.uint8)
    return DetectionSample(image, height, width, 0, "0.png")


def small_rpn(**options) -> RPN:
    return RPN(
        in_features=["p2"],
        rpn_head=RPNHead(4, 1),
        anchor_generator=AnchorGenerator(sizes=[[8]], aspect_ratios=[[1.0]], strides=[4]),
        matcher=Matcher([0.3, 0.7], [0, -1, 1], allow_low_quality_matches=True),
        transform=UNIT,
        **options,
    )


def small_roi_heads(**options) -> RoIHeads:
    head = BoxHead(4, 2, conv_dims=[], fc_dims=[6], conv=lambda i, o: build_conv(i, o, 3))
    return RoIHeads(
        in_features=["p2"],
        box_pooler=RoIPooler(2, [4]),
        box_head=head,
        box_predictor=BoxPredictor(6, 2, transform=UNIT),
        matcher=Matcher([0.5], [0, 1]),
        **options,
    )
