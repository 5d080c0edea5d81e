"""What Detectron2 computed, from a golden file or live, and our model of the same net."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resnext_det.config import get_cfg
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import detector_from_config
from resnext_det.structures import DetectionSample
from tests.golden.formula import NETS, as_list, weights

GOLDEN = Path(__file__).parents[2] / "golden"
SEEDS = {"anchors": 11, "regions": 12, "whole": 13}


@dataclass(frozen=True)
class Reference:
    """One net: Detectron2's arrays of every stage, and the header of its golden file."""

    net: str
    arrays: dict[str, np.ndarray]
    header: dict[str, Any]

    def __getitem__(self, name: str) -> Tensor:
        """One array as a tensor; `name` is a key of `detectron2_stages`."""
        return torch.from_numpy(self.arrays[name])

    def all(self, name: str) -> list[Tensor]:
        """`name.0`, `name.1`, …: one tensor per level or image."""
        found = []
        while f"{name}.{len(found)}" in self.arrays:
            found.append(self[f"{name}.{len(found)}"])
        assert found, name
        return found

    def features(self) -> dict[str, Tensor]:
        """The pyramid's maps by name."""
        return {k.split(".")[1]: self[k] for k in self.arrays if k.startswith("features.")}

    def image_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each image before padding."""
        return [(int(h), int(w)) for h, w in self["image_sizes"]]

    def samples(self) -> list[DetectionSample]:
        """The scene as our model takes it."""
        return [
            DetectionSample(
                image=self[f"image.{i}"],
                height=int(self[f"disk_size.{i}"][0]),
                width=int(self[f"disk_size.{i}"][1]),
                image_id=i,
                file_name=f"{i}.png",
                gt_boxes=self[f"gt_boxes.{i}"],
                gt_classes=self[f"gt_classes.{i}"],
            )
            for i in range(len(self.all("image")))
        ]


@functools.cache
def golden(net: str) -> Reference:
    """The stored reference of a tiny net."""
    with np.load(GOLDEN / f"{net}.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "header"}
        return Reference(net, arrays, json.loads(str(file["header"])))


@functools.cache
def live(net: str) -> Reference:
    """The same, computed by the installed Detectron2 now."""
    from tests.golden import make_golden

    model = make_golden.detectron2_model(net)
    arrays = make_golden.detectron2_stages(model, make_golden.detectron2_inputs(net))
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return Reference(net, arrays, {"state_dict": shapes, "settings": NETS[net], "seeds": SEEDS})


@functools.cache
def portable(net: str) -> FasterRCNN:
    """Our model of a net with the formula's weights, evaluating."""
    model = build(NETS[net])
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    values = {name: torch.from_numpy(value) for name, value in weights(shapes).items()}
    model.load_state_dict(values)
    return model.eval()


def build(settings: dict[str, Any]) -> FasterRCNN:
    """Our model of some settings, weights at their starting values."""
    cfg = get_cfg()
    cfg.merge_from_list(as_list(settings))
    return detector_from_config(cfg)
