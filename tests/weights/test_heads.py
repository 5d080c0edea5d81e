"""Heads told by names and shapes, as Detectron2 and torchvision name them. Engine-neutral."""

import pytest
import torch

from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.weights.heads import infer_head, is_known_head_key

RPN = {"proposal_generator.rpn_head.conv.weight": (8, 8, 3, 3)}
FPN = {"backbone.fpn_lateral2.weight": (8, 8, 1, 1), "backbone.fpn_output2.weight": (8, 8, 3, 3)}
BOXES = {
    "roi_heads.box_predictor.cls_score.weight": (81, 8),
    "roi_heads.box_predictor.bbox_pred.weight": (320, 8),
}
CASCADE = {f"roi_heads.box_predictor.{i}.cls_score.weight": (81, 8) for i in range(3)}
MASKS = {"roi_heads.mask_head.predictor.weight": (80, 8, 1, 1)}
KEYPOINTS = {"roi_heads.keypoint_head.score_lowres.weight": (8, 17, 4, 4)}
PERSON = {"roi_heads.box_predictor.cls_score.weight": (2, 8)}
SEGMENTS = {"sem_seg_head.predictor.weight": (54, 8, 1, 1)}
POINTS = {"roi_heads.mask_head.point_head.predictor.weight": (80, 8, 1)}
DENSE = {"head.cls_score.weight": (720, 8, 3, 3), "head.bbox_pred.weight": (36, 8, 3, 3)}
FCOS = {
    "head.cls_score.weight": (80, 8, 3, 3),
    "head.bbox_pred.weight": (4, 8, 3, 3),
    "head.ctrness.weight": (1, 8, 3, 3),
}
TORCHVISION = {
    "backbone.fpn.inner_blocks.0.0.weight": (8, 8, 1, 1),
    "rpn.head.conv.0.0.weight": (8, 8, 3, 3),
    "roi_heads.box_predictor.cls_score.weight": (91, 8),
}
C4 = {"roi_heads.res5.0.conv1.weight": (8, 8, 1, 1)}
DC5 = {"backbone.res5.0.conv1.weight": (8, 8, 1, 1)}

# As Detectron's files come: without the places that a model's names have.
SHORT_C4 = RPN | {
    "res5.0.conv1.weight": (8, 8, 1, 1),
    "cls_score.weight": (81, 8),
    "mask_head.predictor.weight": (80, 8, 1, 1),
}
SHORT_FPN = (
    RPN
    | KEYPOINTS
    | {
        "fpn_lateral5.weight": (8, 8, 1, 1),
        "res5.0.conv1.weight": (8, 8, 1, 1),
        "box_head.fc1.weight": (8, 8),
        "cls_score.weight": (2, 8),
    }
)

# Names and shapes of Detectron2's models, cut down -> the words for them.
HEADS = {
    "faster": (FPN | RPN | BOXES, "Faster R-CNN FPN, 80 classes"),
    "c4": (C4 | RPN | BOXES, "Faster R-CNN C4, 80 classes"),
    "dc5": (DC5 | RPN | BOXES, "Faster R-CNN DC5, 80 classes"),
    "fast": (FPN | BOXES, "Fast R-CNN FPN, 80 classes"),
    "cascade": (FPN | RPN | CASCADE, "Cascade R-CNN FPN, 80 classes"),
    "mask": (FPN | RPN | BOXES | MASKS, "Mask R-CNN FPN, 80 classes"),
    "mask-c4": (C4 | RPN | BOXES | MASKS, "Mask R-CNN C4, 80 classes"),
    "cascade-mask": (FPN | RPN | CASCADE | MASKS, "Cascade Mask R-CNN FPN, 80 classes"),
    "pointrend": (
        FPN | RPN | BOXES | POINTS,
        "Mask R-CNN FPN, 80 classes, masks at points (PointRend)",
    ),
    "keypoint": (FPN | RPN | PERSON | KEYPOINTS, "Keypoint R-CNN FPN, 1 class"),
    "panoptic": (FPN | RPN | BOXES | MASKS | SEGMENTS, "Panoptic FPN, 80 classes"),
    "semantic": (FPN | SEGMENTS, "semantic FPN, 54 classes"),
    "retinanet": (FPN | DENSE, "RetinaNet FPN, 80 classes"),
    "fcos": (FPN | FCOS, "FCOS FPN, 80 classes"),
    "rpn": (FPN | RPN, "RPN FPN"),
    "rpn-c4": (RPN, "RPN C4"),
    "fpn-alone": (FPN, "none: a backbone with FPN"),
    "torchvisions": (TORCHVISION, "Faster R-CNN FPN, 90 classes"),
    "nothing": ({}, "none: a backbone"),
    "detectrons-c4": (SHORT_C4, "Mask R-CNN C4, 80 classes"),
    "detectrons-fpn": (SHORT_FPN, "Keypoint R-CNN FPN, 1 class"),
}


@pytest.mark.parametrize("name", HEADS)
def test_detectors(name):
    shapes, words = HEADS[name]
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    head = infer_head(state)
    assert str(head) == words
    assert head.is_detector == ("backbone" not in words)
    assert all(is_known_head_key(key) for key in state if "res5" not in key)


def test_a_classifier_and_a_backbone():
    with torch.device("meta"):
        classifier = infer_head(build_classifier("resnet18", 7).state_dict())
        backbone = infer_head(build_backbone("resnet18").state_dict())
    assert (str(classifier), classifier.tensor) == ("classifier, 7 classes", "linear.weight")
    assert (str(backbone), backbone.is_detector) == ("none: a backbone", False)


@pytest.mark.parametrize("name", ["foo.weight", "linear2.weight", "backbone.res2.0.conv1.weight"])
def test_names_of_no_head(name):
    assert not is_known_head_key(name)


# Each detector of Detectron2 that a config of ours trains.
CONFIGS = {
    "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml": "Faster R-CNN FPN, 80 classes",
    "COCO-Detection/faster_rcnn_R_50_C4_1x.yaml": "Faster R-CNN C4, 80 classes",
    "COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml": "Faster R-CNN DC5, 80 classes",
    "COCO-Detection/fast_rcnn_R_50_FPN_1x.yaml": "Fast R-CNN FPN, 80 classes",
    "COCO-Detection/cascade_rcnn_R_50_FPN_1x.yaml": "Cascade R-CNN FPN, 80 classes",
    "COCO-Detection/retinanet_R_50_FPN_1x.yaml": "RetinaNet FPN, 80 classes",
    "COCO-Detection/rpn_R_50_FPN_1x.yaml": "RPN FPN",
    "COCO-Detection/rpn_R_50_C4_1x.yaml": "RPN C4",
    "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_1x.yaml": "Mask R-CNN C4, 80 classes",
    "COCO-InstanceSegmentation/cascade_mask_rcnn_R_50_FPN_1x.yaml": (
        "Cascade Mask R-CNN FPN, 80 classes"
    ),
    "COCO-InstanceSegmentation/pointrend_rcnn_R_50_FPN_1x.yaml": (
        "Mask R-CNN FPN, 80 classes, masks at points (PointRend)"
    ),
    "COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml": "Keypoint R-CNN FPN, 1 class",
    "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x.yaml": "Panoptic FPN, 80 classes",
}


@pytest.mark.d2
@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_detectron2s_own_models(name):
    from resnext_det.config import config_root, load_config
    from resnext_det.engines.d2.build import build_checked_model
    from resnext_det.weights.architecture import infer_architecture
    from resnext_det.weights.completeness import compare_with_network

    if "pointrend" in name:
        pytest.importorskip("cv2", reason="Detectron2's PointRend project imports OpenCV")
    state = build_checked_model(load_config(str(config_root() / name)).cfg).state_dict()
    assert str(infer_head(state)) == CONFIGS[name]
    architecture = infer_architecture(state)
    assert architecture is not None
    assert architecture.variant == "resnet50"
    left = compare_with_network(state, architecture)
    assert (left.unknown, left.missing) == ((), ())
