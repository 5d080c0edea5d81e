"""The config files under configs/, and what their names say. Engine-neutral."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from fvcore.common.config import CfgNode

from resnext_det.config import changed_keys, config_root, load_config

ROOT = config_root()
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))
RUNNABLE = [name for name in FILES if not Path(name).name.startswith("Base-")]
COCO = [name for name in RUNNABLE if name.startswith("COCO-")]
PAPER = [name for name in RUNNABLE if name.startswith("Paper/")]
IMAGENET = [name for name in RUNNABLE if name.startswith("ImageNet-Classification/")]
IMAGENET_5K = [name for name in RUNNABLE if name.startswith("ImageNet-5K/")]
CIFAR = [name for name in RUNNABLE if name.startswith("CIFAR/")]
CLASSIFIERS = IMAGENET + IMAGENET_5K + CIFAR

NETS = ("R_50", "R_101", "X_50_32x4d", "X_101_32x4d")  # what every detector has
MORE_NETS = ("R_152", "X_101_32x8d", "X_101_64x4d", "X_152_32x4d")
# The paper's Tables 3 and 4; the nets above have its Tables 1 and 5 and the published table.
CARDINALITIES = tuple(f"X_{depth}_{w}" for depth in (50, 101) for w in ("2x40d", "4x24d", "8x14d"))
TWICE = ("R_200", "R_101_1x100d", "X_101_2x64d")
CIFAR_NETS = ("R_29_1x64d", "X_29_8x64d", "X_29_16x64d")
PAPER_MORE = ("X_101_64x4d", "X_152_32x4d")  # of projects/DetectionComparison
HALF = ("R_26_1x32d", "X_26_30x2d", "R_50_1x32d", "X_50_32x2d")
# Folder and file name of each detector, without network, its schedules, and its networks.
DETECTORS = {
    "COCO-Detection/faster_rcnn_{}_C4": ("1x 3x", NETS),
    "COCO-Detection/faster_rcnn_{}_DC5": ("1x 3x", NETS),
    "COCO-Detection/faster_rcnn_{}_FPN": ("1x 3x", NETS + MORE_NETS),
    "COCO-Detection/cascade_rcnn_{}_FPN": ("1x 3x", NETS),
    "COCO-Detection/retinanet_{}_FPN": ("1x 3x", NETS),
    "COCO-Detection/rpn_{}_C4": ("1x", NETS),
    "COCO-Detection/rpn_{}_FPN": ("1x", NETS),
    "COCO-Detection/fast_rcnn_{}_FPN": ("1x", NETS),
    "COCO-InstanceSegmentation/mask_rcnn_{}_C4": ("1x 3x", NETS),
    "COCO-InstanceSegmentation/mask_rcnn_{}_DC5": ("1x 3x", NETS),
    "COCO-InstanceSegmentation/mask_rcnn_{}_FPN": ("1x 3x", (*NETS, "R_152", "X_152_32x4d")),
    "COCO-InstanceSegmentation/cascade_mask_rcnn_{}_FPN": ("1x 3x", NETS),
    "COCO-InstanceSegmentation/pointrend_rcnn_{}_FPN": ("1x 3x", NETS),
    "COCO-Keypoints/keypoint_rcnn_{}_FPN": ("1x 3x", NETS),
    "COCO-PanopticSegmentation/panoptic_fpn_{}": ("1x 3x", NETS),
    "Paper/rpn_{}_C4": ("paper", (*NETS, *PAPER_MORE)),
    "Paper/fast_rcnn_{}_C4": ("paper", (*NETS, *PAPER_MORE)),
    "ImageNet-Classification/{}": (" paper modern", NETS + MORE_NETS + CARDINALITIES + TWICE),
    "ImageNet-Classification/{}_no_shortcuts": ("paper", ("R_50", "X_50_32x4d")),
    "ImageNet-5K/{}": ("", NETS),
    "CIFAR/{}_cifar10": ("", CIFAR_NETS),
    "CIFAR/{}_cifar100": ("", CIFAR_NETS),
    "quick_schedules/classification_{}": ("", ("R_26", "X_26")),
    "quick_schedules/faster_rcnn_{}_FPN": ("", ("R_26", "X_26")),
    "quick_schedules/classification_{}_half": ("", HALF),
    "quick_schedules/faster_rcnn_{}_half_FPN": ("", HALF),
}
EXTRA = "COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x.yaml"  # Detectron2's zoo has it


def promised() -> list[str]:
    """Every runnable file, from `DETECTORS`."""
    return [
        f"{pattern.format(net)}{f'_{schedule}' if schedule else ''}.yaml"
        for pattern, (schedules, nets) in DETECTORS.items()
        for schedule in schedules.split(" ")
        for net in nets
    ] + [EXTRA]


@dataclass(frozen=True)
class FileName:
    """What a file name says.

    Attributes:
        detector: folder and name with `{}` for the network, as in `DETECTORS`.
        net: such as `X_50_32x4d`.
        schedule: `1x`, `3x`, `paper`, `modern` or empty.
    """

    detector: str
    net: str
    schedule: str

    @property
    def variant(self) -> str:
        """The network's name among the variants: `resnext50_32x4d`."""
        return self.net.replace("R_", "resnet").replace("X_", "resnext")


def read_name(name: str) -> FileName:
    """Takes a file name apart."""
    match = re.search(r"[RX]_\d+(_\d+x\d+d)?", name)
    assert match, name
    schedule = re.search(r"_(1x|3x|paper|modern)\.yaml$", name)
    detector = name.replace(match[0], "{}", 1).removesuffix(".yaml")
    if schedule:
        detector = detector.removesuffix(f"_{schedule[1]}")
    return FileName(detector, match[0], schedule[1] if schedule else "")


@functools.cache
def load(name: str) -> CfgNode:
    """The frozen tree of a file under configs/."""
    return load_config(f"resnext_det://{name}").cfg


def differing_keys(first: CfgNode, second: CfgNode) -> set[str]:
    """Dotted keys with another value in one tree than in the other."""
    changed = changed_keys(first), changed_keys(second)
    return {key for key in {*changed[0], *changed[1]} if changed[0].get(key) != changed[1].get(key)}
