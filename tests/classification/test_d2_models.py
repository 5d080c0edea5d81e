"""A classifier's checkpoint in Detectron2's own detectors, tensor by tensor. Detectron2."""

import pytest
import torch

from resnext_det.modeling import build_classifier
from resnext_det.training.checkpoint import Checkpointer

pytestmark = pytest.mark.d2

# Detector -> what its backbone's names begin with, and where res5 is.
MODELS = {
    "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml": "backbone.bottom_up.",
    "COCO-Detection/retinanet_R_50_FPN_1x.yaml": "backbone.bottom_up.",
    "COCO-Detection/faster_rcnn_R_50_C4_1x.yaml": "backbone.",
    "COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml": "backbone.",
}


def detectron2_config(name):
    """Reads Detectron2's own file; its model_zoo module needs a package that is gone."""
    from importlib import resources

    from detectron2.config import get_cfg

    cfg = get_cfg()
    cfg.merge_from_file(str(resources.files("detectron2") / "model_zoo/configs" / name))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.update({"NUM_GROUPS": 32, "WIDTH_PER_GROUP": 4, "STRIDE_IN_1X1": False})
    return cfg


@pytest.mark.parametrize("name", MODELS)
def test_every_backbone_tensor_arrives(name, tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.modeling import build_model

    classifier = build_classifier("resnext50_32x4d", 10)
    path = Checkpointer(tmp_path, extra={"matching_heuristics": True}).save(
        "model_final", model=classifier, iteration=0
    )
    model = build_model(detectron2_config(name))
    DetectionCheckpointer(model).load(str(path))
    state = model.state_dict()
    arrived = 0
    for key, value in classifier.state_dict().items():
        if key.startswith("linear.") or key.endswith("num_batches_tracked"):
            continue
        prefix = MODELS[name]
        if f"{prefix}{key}" not in state:
            prefix = "roi_heads."  # C4 keeps res5 in its head
        assert torch.equal(state[f"{prefix}{key}"], value), key
        arrived += 1
    # 53 convolutions, each with four tensors of its norm.
    assert arrived == 53 * 5
