"""A classification checkpoint in Detectron2's own models, with nothing converted. Detectron2."""

from pathlib import Path

import pytest
import torch

from resnext_det.modeling import build_classifier

pytestmark = pytest.mark.d2

ZOO = {
    "FPN": "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml",
    "C4": "COCO-Detection/faster_rcnn_R_50_C4_1x.yaml",
    "DC5": "COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml",
    "RetinaNet": "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
}


@pytest.mark.parametrize("layout", ZOO)
def test_every_backbone_tensor_finds_its_place(layout: str, tmp_path: Path) -> None:
    classifier = build_classifier("resnet50", num_classes=10, norm="FrozenBN")
    state = {name: torch.rand_like(value) for name, value in classifier.state_dict().items()}
    path = tmp_path / "classifier.pth"
    torch.save({"model": state, "matching_heuristics": True}, path)
    model = _plain_model(layout)
    _load(model, path)
    loaded = model.state_dict()
    backbone = [name for name in state if not name.startswith("linear.")]
    found = {}
    for name in backbone:
        places = [key for key in loaded if key.endswith(f".{name}") or key == name]
        found[name] = [key for key in places if torch.equal(loaded[key], state[name])]
    assert len(backbone) == 265  # 53 convolutions, each with four tensors of FrozenBN
    assert all(len(places) == 1 for places in found.values())


def _plain_model(layout: str) -> torch.nn.Module:
    import detectron2
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    zoo = Path(detectron2.__file__).parent / "model_zoo" / "configs"
    cfg = get_cfg()
    cfg.merge_from_file(str(zoo / ZOO[layout]))
    cfg.MODEL.DEVICE = "cpu"
    return build_model(cfg)


def _load(model: torch.nn.Module, path: Path) -> None:
    from detectron2.checkpoint import DetectionCheckpointer

    DetectionCheckpointer(model).load(str(path))
