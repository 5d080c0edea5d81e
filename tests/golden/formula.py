"""Weights, images and settings of the golden files, from integers alone. Engine-neutral.

Nothing here comes from a random generator's history or from a floating-point function whose
last bit differs between machines: the same arrays come out everywhere, so no weight is stored.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MEAN = [123.675, 116.28, 103.53]
STD = [58.395, 57.12, 57.375]

_FPN: dict[str, Any] = {
    "MODEL.META_ARCHITECTURE": "GeneralizedRCNN",
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.NAME": "build_resnet_fpn_backbone",
    "MODEL.BACKBONE.FREEZE_AT": 2,
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.RESNETS.STRIDE_IN_1X1": False,
    "MODEL.FPN.IN_FEATURES": ["res2", "res3", "res4", "res5"],
    "MODEL.ANCHOR_GENERATOR.SIZES": [[8], [16], [32], [64], [128]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.PIXEL_MEAN": MEAN,
    "MODEL.PIXEL_STD": STD,
    "INPUT.FORMAT": "RGB",
}

_TINY: dict[str, Any] = {
    **_FPN,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 16,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.FPN.OUT_CHANNELS": 16,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 32,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 200,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 100,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 120,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 60,
    "MODEL.ROI_HEADS.NUM_CLASSES": 5,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 48,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 64,
    "TEST.DETECTIONS_PER_IMAGE": 30,
}

# Golden files exist for these.
TINY_NETS: dict[str, dict[str, Any]] = {
    "tiny_resnext": {
        **_TINY,
        "MODEL.RESNETS.NUM_GROUPS": 4,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    },
    "tiny_resnet": {
        **_TINY,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 16,
        "MODEL.RESNETS.STRIDE_IN_1X1": True,
    },
    # The settings that the other two leave at Detectron2's defaults.
    "tiny_options": {
        **_TINY,
        "MODEL.RESNETS.NUM_GROUPS": 4,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
        "MODEL.FPN.OUT_CHANNELS": 32,
        "MODEL.FPN.NORM": "GN",
        "MODEL.FPN.FUSE_TYPE": "avg",
        "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": 6,
        "MODEL.ANCHOR_GENERATOR.OFFSET": 0.5,
        "MODEL.ANCHOR_GENERATOR.SIZES": [[8, 10], [16, 20], [32, 40], [64, 80], [128, 160]],
        "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[0.7, 1.5]],
        "MODEL.RPN.BOUNDARY_THRESH": 8,
        "MODEL.RPN.CONV_DIMS": [-1, 24],
        "MODEL.RPN.BBOX_REG_LOSS_TYPE": "giou",
        "MODEL.RPN.BBOX_REG_LOSS_WEIGHT": 2.0,
        "MODEL.RPN.LOSS_WEIGHT": 0.5,
        "MODEL.RPN.NMS_THRESH": 0.8,
        "MODEL.RPN.POSITIVE_FRACTION": 0.25,
        "MODEL.ROI_HEADS.PROPOSAL_APPEND_GT": False,
        "MODEL.ROI_HEADS.IOU_THRESHOLDS": [0.2, 0.35],
        "MODEL.ROI_HEADS.IOU_LABELS": [0, -1, 1],
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.1,
        "MODEL.ROI_HEADS.NMS_THRESH_TEST": 0.4,
        "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": [8.0, 8.0, 4.0, 4.0],
        "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT": 3.0,
        "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA": 0.25,
        "MODEL.ROI_BOX_HEAD.NUM_CONV": 1,
        "MODEL.ROI_BOX_HEAD.CONV_DIM": 32,
        "MODEL.ROI_BOX_HEAD.NORM": "GN",
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 5,
        "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2,
    },
}

# Compared live only.
FULL_NETS: dict[str, dict[str, Any]] = {
    "R_50": {**_FPN, "MODEL.ROI_HEADS.NUM_CLASSES": 20},
    "X_50_32x4d": {
        **_FPN,
        "MODEL.ROI_HEADS.NUM_CLASSES": 20,
        "MODEL.RESNETS.NUM_GROUPS": 32,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    },
}

NETS = TINY_NETS | FULL_NETS


def as_list(settings: Mapping[str, Any]) -> list[Any]:
    """The settings as yacs' `merge_from_list` takes them."""
    return [item for pair in settings.items() for item in pair]


def hashed(name: str, count: int) -> np.ndarray:
    """`count` 64-bit integers that look random and depend on the name alone (splitmix64)."""
    z = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(zlib.crc32(name.encode()) << 32)
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(name: str, shape: Sequence[int]) -> np.ndarray:
    """float32 in [-1, 1), each an exact multiple of 2**-23."""
    bits = hashed(name, int(np.prod(shape, dtype=np.int64))) >> np.uint64(40)
    return (bits.astype(np.float32) / np.float32(2**23) - np.float32(1)).reshape(shape)


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """A value for every entry of a state dict, keeping activations near 1 on the way."""
    return {name: _weight(name, tuple(shape)) for name, shape in shapes.items()}


def _weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = uniform(name, shape)
    if name.endswith(".running_var"):
        return 1 + np.float32(0.5) * noise
    if ".norm." in name and name.endswith(".weight"):
        return np.float32(_norm_gain(name)) * (1 + np.float32(0.2) * noise)
    if len(shape) == 1:  # biases and running means
        return np.float32(0.1) * noise
    fan_in = int(np.prod(shape[1:]))
    # Half the inputs count against the other half: after a ReLU all are positive, and their
    # common mean would drown everything else.
    rows, half = noise.reshape(shape[0], fan_in), fan_in // 2
    rows[:, half : 2 * half] = -rows[:, :half]
    # A uniform value in [-1, 1) has variance 1 / 3.
    return rows.reshape(shape) * np.float32(_gain(name) * np.sqrt(3 / fan_in))


def _norm_gain(name: str) -> float:
    """Small where a residual branch ends, so that the sums do not grow."""
    return {"conv3": 0.45}.get(name.split(".")[-3], 1.0)


def _gain(name: str) -> float:
    """Output deviation wanted of a layer whose input has a second moment of 1."""
    gains = {
        "fpn_lateral": 0.8,
        "fpn_output": 1.0,
        "objectness_logits": 1.5,
        "anchor_deltas": 0.15,
        "cls_score": 2.5,
        "bbox_pred": 1.0,
    }
    return next((gain for part, gain in gains.items() if part in name), float(np.sqrt(2)))


def image(name: str, height: int, width: int) -> np.ndarray:
    """(3, H, W) uint8: blocks of 16 pixels under blocks of 4 and of 1."""
    total = np.zeros((3, height, width), dtype=np.uint64)
    for side, levels in ((16, 128), (4, 80), (1, 48)):
        rows, columns = -(-height // side), -(-width // side)
        cells = hashed(f"{name}/{side}", 3 * rows * columns) % np.uint64(levels)
        cells = cells.reshape(3, rows, columns).repeat(side, 1).repeat(side, 2)
        total += cells[:, :height, :width]
    return total.astype(np.uint8)


def scene(size: str) -> list[dict[str, Any]]:
    """Two images of unlike size, none a multiple of the padding, with ground truth.

    Returns:
        Per image: image (3, H, W) uint8, height and width on disk, boxes (G, 4) float32
        xyxy in pixels of the image, classes (G,) int64.
    """
    scale = {"tiny": 1.0, "full": 2.0}[size]
    first = [[49, 31, 81, 65], [9, 12, 25, 27], [70, 8, 118, 40], [96, 70, 107, 84]]
    rows = [
        # height, width, on disk, boxes
        (90, 120, (180, 241), first),
        (75, 100, (113, 150), [[7, 17, 41, 47], [60, 30, 90, 74]]),
    ]
    return [
        {
            "image": image(f"{size}/{i}", round(height * scale), round(width * scale)),
            "height": disk[0],
            "width": disk[1],
            "boxes": np.asarray(boxes, np.float32) * np.float32(scale),
            "classes": np.arange(i, i + len(boxes), dtype=np.int64),
        }
        for i, (height, width, disk, boxes) in enumerate(rows)
    ]
