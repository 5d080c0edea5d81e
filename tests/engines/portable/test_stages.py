"""Every stage of the portable engine, fed Detectron2's own input, gives Detectron2's output."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from resnext_det.engines.portable.matching import pairwise_iou
from resnext_det.engines.portable.postprocess import rescale_detections
from resnext_det.engines.portable.proposals import Proposals
from resnext_det.structures import Detections

PIXELS = 1e-4  # anchors and proposals
SCORES = 1e-5
FINAL_PIXELS = 1e-3  # final boxes
LOSS = 1e-5  # relative
FEATURES = 1e-5  # of the largest magnitude


def close(ours: Tensor, theirs: Tensor, atol: float) -> None:
    assert_close(ours, theirs, rtol=0, atol=atol, check_dtype=False)


def close_features(ours: Tensor, theirs: Tensor) -> None:
    close(ours, theirs, FEATURES * float(theirs.abs().max()))


def test_state_dict_names_and_shapes(reference, model):
    ours = {name: list(value.shape) for name, value in model.state_dict().items()}
    assert ours == reference.header["state_dict"]


@torch.no_grad()
def test_preprocessing(reference, model):
    images, sizes = model.preprocess(reference.samples())
    close(images, reference["images"], 1e-6)
    assert sizes == reference.image_sizes()


@torch.no_grad()
def test_bottom_up(reference, model):
    found = model.backbone.bottom_up(reference["images"])
    for name, feature in found.items():
        close_features(feature, reference[f"bottom_up.{name}"])


@torch.no_grad()
def test_pyramid(reference, model):
    found = model.backbone(reference["images"])
    assert list(found) == list(reference.features())
    for name, theirs in reference.features().items():
        close_features(found[name], theirs)


def test_anchors(reference, model):
    rpn = model.proposal_generator
    maps = [reference.features()[name] for name in rpn.in_features]
    for ours, theirs in zip(rpn.anchor_generator(maps), reference.all("anchors"), strict=True):
        close(ours, theirs, PIXELS)


@torch.no_grad()
def test_rpn_head(reference, model):
    rpn = model.proposal_generator
    logits, deltas = rpn.rpn_head([reference.features()[name] for name in rpn.in_features])
    for ours, theirs in zip(logits, reference.all("rpn_logits"), strict=True):
        close_features(ours, theirs)
    for ours, theirs in zip(deltas, reference.all("rpn_deltas"), strict=True):
        close_features(ours, theirs)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_proposals(reference, model, mode):
    rpn = model.proposal_generator.train(mode == "train")
    found = rpn.propose(
        reference.all("anchors"),
        reference.all("rpn_logits"),
        reference.all("rpn_deltas"),
        reference.image_sizes(),
    )
    assert sum(len(image) for image in found) >= 100
    for i, image in enumerate(found):
        close(image.boxes, reference[f"proposals_{mode}.{i}"], PIXELS)
        close(image.logits, reference[f"proposal_logits_{mode}.{i}"], SCORES)


def test_anchor_matches(reference, model):
    anchors = torch.cat(reference.all("anchors"))
    for i, boxes in enumerate(reference.all("gt_boxes")):
        matches, labels = model.proposal_generator.matcher(pairwise_iou(boxes, anchors))
        assert torch.equal(matches, reference[f"anchor_matches.{i}"])
        assert torch.equal(labels, reference[f"anchor_labels.{i}"])


def test_sampled_anchors(reference, model):
    torch.manual_seed(reference.header["seeds"]["anchors"])
    labels, matched = model.proposal_generator.label_anchors(
        reference.all("anchors"), reference.all("gt_boxes"), reference.image_sizes()
    )
    for i, (label, boxes) in enumerate(zip(labels, matched, strict=True)):
        assert torch.equal(label, reference[f"sampled_anchor_labels.{i}"])
        assert torch.equal(boxes, reference[f"sampled_anchor_gt.{i}"])


def test_rpn_losses(reference, model):
    losses = model.proposal_generator.losses(
        reference.all("anchors"),
        reference.all("rpn_logits"),
        reference.all("rpn_deltas"),
        reference.all("sampled_anchor_labels"),
        reference.all("sampled_anchor_gt"),
    )
    for name in ("loss_rpn_cls", "loss_rpn_loc"):
        assert float(reference[name]) > 0
        assert_close(losses[name], reference[name], rtol=LOSS, atol=0)


def test_sampled_regions(reference, model):
    torch.manual_seed(reference.header["seeds"]["regions"])
    for i, proposals in enumerate(reference.all("proposals_train")):
        found = model.roi_heads.sample_regions(
            proposals, reference[f"gt_boxes.{i}"], reference[f"gt_classes.{i}"]
        )
        assert torch.equal(found.boxes, reference[f"region_boxes.{i}"])
        assert torch.equal(found.gt_classes, reference[f"region_classes.{i}"])
        assert torch.equal(found.gt_boxes, reference[f"region_gt.{i}"])


@torch.no_grad()
def test_roi_features(reference, model):
    heads = model.roi_heads
    maps = [reference.features()[name] for name in heads.in_features]
    close_features(
        heads.box_pooler(maps, reference.all("proposals_test")), reference["roi_features"]
    )


@torch.no_grad()
def test_box_head_and_predictor(reference, model):
    heads = model.roi_heads
    logits, deltas = heads.box_predictor(heads.box_head(reference["roi_features"]))
    close_features(logits, reference["cls_logits"])
    close_features(deltas, reference["box_deltas"])


def test_region_losses(reference, model):
    losses = model.roi_heads.box_predictor.losses(
        reference["region_cls_logits"],
        reference["region_box_deltas"],
        torch.cat(reference.all("region_boxes")),
        torch.cat(reference.all("region_classes")),
        torch.cat(reference.all("region_gt")),
    )
    for name in ("loss_cls", "loss_box_reg"):
        assert float(reference[name]) > 0
        assert_close(losses[name], reference[name], rtol=LOSS, atol=0)


@torch.no_grad()
def test_detections(reference, model):
    heads = model.roi_heads
    proposals = [
        Proposals(boxes, torch.zeros(len(boxes)), size)
        for boxes, size in zip(
            reference.all("proposals_test"), reference.image_sizes(), strict=True
        )
    ]
    counts = [len(p) for p in proposals]
    logits, deltas = reference["cls_logits"].split(counts), reference["box_deltas"].split(counts)
    total = 0
    for i, image in enumerate(proposals):
        decoded = heads.box_predictor.predict(logits[i], deltas[i], image.boxes)
        found = heads.select(*decoded, image.image_size)
        close(found.boxes, reference[f"detected_boxes.{i}"], FINAL_PIXELS)
        close(found.scores, reference[f"detected_scores.{i}"], SCORES)
        assert torch.equal(found.classes, reference[f"detected_classes.{i}"])
        total += len(found)
    assert total >= 10


def test_rescaling(reference):
    for i, (sample, size) in enumerate(
        zip(reference.samples(), reference.image_sizes(), strict=True)
    ):
        detected = Detections(
            reference[f"detected_boxes.{i}"],
            reference[f"detected_scores.{i}"],
            reference[f"detected_classes.{i}"],
        )
        found = rescale_detections(detected, size, sample.height, sample.width)
        close(found.boxes, reference[f"final_boxes.{i}"], FINAL_PIXELS)
        close(found.scores, reference[f"final_scores.{i}"], SCORES)
        assert torch.equal(found.classes, reference[f"final_classes.{i}"])
