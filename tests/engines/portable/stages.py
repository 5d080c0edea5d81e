"""Stages of the portable engine, each fed Detectron2's own input: our output beside theirs.

Every function takes a reference and our model of its net and returns pairs (ours, theirs).
"""

import torch
from torch import Tensor

from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.matching import pairwise_iou
from resnext_det.engines.portable.postprocess import rescale_detections
from resnext_det.engines.portable.proposals import Proposals
from resnext_det.structures import Detections
from tests.engines.portable.references import Reference

Pairs = list[tuple[Tensor, Tensor]]


def anchors(reference: Reference, model: FasterRCNN) -> Pairs:
    rpn = model.proposal_generator
    maps = [reference.features()[name] for name in rpn.in_features]
    return list(zip(rpn.anchor_generator(maps), reference.all("anchors"), strict=True))


@torch.no_grad()
def proposals(reference: Reference, model: FasterRCNN, mode: str) -> dict[str, Pairs]:
    """Boxes and logits per image; `mode` is "train" or "test"."""
    rpn = model.proposal_generator.train(mode == "train")
    found = rpn.propose(
        reference.all("anchors"),
        reference.all("rpn_logits"),
        reference.all("rpn_deltas"),
        reference.image_sizes(),
    )
    rpn.eval()
    boxes, logits = reference.all(f"proposals_{mode}"), reference.all(f"proposal_logits_{mode}")
    return {
        "boxes": list(zip([image.boxes for image in found], boxes, strict=True)),
        "logits": list(zip([image.logits for image in found], logits, strict=True)),
    }


def anchor_matches(reference: Reference, model: FasterRCNN) -> Pairs:
    """Matched ground truth and label of every anchor."""
    boxes, pairs = torch.cat(reference.all("anchors")), []
    for i, gt_boxes in enumerate(reference.all("gt_boxes")):
        matches, labels = model.proposal_generator.matcher(pairwise_iou(gt_boxes, boxes))
        pairs.append((matches, reference[f"anchor_matches.{i}"]))
        pairs.append((labels, reference[f"anchor_labels.{i}"]))
    return pairs


def sampled_anchors(reference: Reference, model: FasterRCNN) -> Pairs:
    """Labels and ground truth boxes, drawn with Detectron2's seed."""
    torch.manual_seed(reference.header["seeds"]["anchors"])
    labels, matched = model.proposal_generator.label_anchors(
        reference.all("anchors"), reference.all("gt_boxes"), reference.image_sizes()
    )
    return [
        *zip(labels, reference.all("sampled_anchor_labels"), strict=True),
        *zip(matched, reference.all("sampled_anchor_gt"), strict=True),
    ]


def sampled_regions(reference: Reference, model: FasterRCNN) -> Pairs:
    """Boxes, classes and ground truth boxes, drawn with Detectron2's seed."""
    torch.manual_seed(reference.header["seeds"]["regions"])
    pairs = []
    for i, boxes in enumerate(reference.all("proposals_train")):
        found = model.roi_heads.sample_regions(
            boxes, reference[f"gt_boxes.{i}"], reference[f"gt_classes.{i}"]
        )
        pairs.append((found.boxes, reference[f"region_boxes.{i}"]))
        pairs.append((found.gt_classes, reference[f"region_classes.{i}"]))
        pairs.append((found.gt_boxes, reference[f"region_gt.{i}"]))
    return pairs


def losses(reference: Reference, model: FasterRCNN) -> dict[str, tuple[Tensor, Tensor]]:
    """Each of the four losses, from Detectron2's predictions, anchors and regions."""
    found = model.proposal_generator.losses(
        reference.all("anchors"),
        reference.all("rpn_logits"),
        reference.all("rpn_deltas"),
        reference.all("sampled_anchor_labels"),
        reference.all("sampled_anchor_gt"),
    ) | model.roi_heads.box_predictor.losses(
        reference["region_cls_logits"],
        reference["region_box_deltas"],
        torch.cat(reference.all("region_boxes")),
        torch.cat(reference.all("region_classes")),
        torch.cat(reference.all("region_gt")),
    )
    return {name: (value.detach(), reference[name]) for name, value in found.items()}


@torch.no_grad()
def roi_features(reference: Reference, model: FasterRCNN) -> tuple[Tensor, Tensor]:
    heads = model.roi_heads
    maps = [reference.features()[name] for name in heads.in_features]
    return heads.box_pooler(maps, reference.all("proposals_test")), reference["roi_features"]


@torch.no_grad()
def predictions(reference: Reference, model: FasterRCNN) -> dict[str, tuple[Tensor, Tensor]]:
    """Class logits and box deltas of Detectron2's RoI features."""
    heads = model.roi_heads
    logits, deltas = heads.box_predictor(heads.box_head(reference["roi_features"]))
    return {
        "logits": (logits, reference["cls_logits"]),
        "deltas": (deltas, reference["box_deltas"]),
    }


@torch.no_grad()
def detections(reference: Reference, model: FasterRCNN) -> dict[str, Pairs]:
    """Boxes, scores and classes per image, in pixels of the resized image."""
    heads = model.roi_heads
    images = [
        Proposals(boxes, torch.zeros(len(boxes)), size)
        for boxes, size in zip(
            reference.all("proposals_test"), reference.image_sizes(), strict=True
        )
    ]
    counts = [len(image) for image in images]
    logits, deltas = reference["cls_logits"].split(counts), reference["box_deltas"].split(counts)
    found = []
    for i, image in enumerate(images):
        decoded = heads.box_predictor.predict(logits[i], deltas[i], image.boxes)
        found.append(heads.select(*decoded, image.image_size))
    return _beside(found, reference, "detected")


def rescaled(reference: Reference) -> dict[str, Pairs]:
    """The same in pixels of the image on disk, from Detectron2's detections."""
    found = []
    for i, (sample, size) in enumerate(
        zip(reference.samples(), reference.image_sizes(), strict=True)
    ):
        boxes, scores = reference[f"detected_boxes.{i}"], reference[f"detected_scores.{i}"]
        detected = Detections(boxes, scores, reference[f"detected_classes.{i}"])
        found.append(rescale_detections(detected, size, sample.height, sample.width))
    return _beside(found, reference, "final")


def _beside(found: list[Detections], reference: Reference, stage: str) -> dict[str, Pairs]:
    return {
        name: [
            (getattr(ours, name), reference[f"{stage}_{name}.{i}"]) for i, ours in enumerate(found)
        ]
        for name in ("boxes", "scores", "classes")
    }
