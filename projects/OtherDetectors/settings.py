"""The config keys of the trials: what each detector's own file leaves to say. Engine-neutral."""

from dataclasses import dataclass, field

Keys = dict[str, object]

# The pixels that this project's and torchvision's weights were trained on.
PIXELS: Keys = {
    "INPUT.FORMAT": "RGB",
    "MODEL.PIXEL_MEAN": [123.675, 116.28, 103.53],
    "MODEL.PIXEL_STD": [58.395, 57.12, 57.375],
}
ON_A_CPU: Keys = {
    "MODEL.DEVICE": "cpu",
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.WARMUP_ITERS": 0,
    "SOLVER.STEPS": [],
    "TEST.EVAL_PERIOD": 0,
    "SEED": 1,
}
FULL: Keys = {
    **ON_A_CPU,
    "MODEL.RESNETS.VARIANT": "resnext50_32x4d",
    "MODEL.RESNETS.NORM": "GN",  # the weights are drawn: BatchNorm's statistics would mean nothing
    "INPUT.MIN_SIZE_TRAIN": [192],
    "INPUT.MAX_SIZE_TRAIN": 288,
    "INPUT.MIN_SIZE_TEST": 192,
    "INPUT.MAX_SIZE_TEST": 288,
    "SOLVER.IMS_PER_BATCH": 1,
    "SOLVER.MAX_ITER": 40,
}
SMALL: Keys = {
    **ON_A_CPU,
    "MODEL.RESNETS.DEPTH": 26,
    "MODEL.RESNETS.NUM_GROUPS": 32,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 2,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 32,
    "MODEL.RESNETS.STRIDE_IN_1X1": False,
    "MODEL.RESNETS.NORM": "GN",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.FPN.OUT_CHANNELS": 64,
    "MODEL.WEIGHTS": "",
    "INPUT.MIN_SIZE_TRAIN": [160],
    "INPUT.MAX_SIZE_TRAIN": 256,
    "INPUT.MIN_SIZE_TEST": 160,
    "INPUT.MAX_SIZE_TEST": 256,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 600,
    "SOLVER.STEPS": [450],
}


@dataclass(frozen=True)
class Settings:
    """How one detector is tried.

    Attributes:
        config: its own file, in the checkout.
        backbone: which of our builders takes the place of its own.
        keys: further keys of both runs.
        small: further keys of the small run.
    """

    config: str
    backbone: str
    keys: Keys = field(default_factory=dict)
    small: Keys = field(default_factory=dict)


SETTINGS = {
    "SparseR-CNN": Settings(
        "projects/SparseRCNN/configs/sparsercnn.res50.100pro.3x.yaml",
        "build_resnext_fpn_backbone",
        small={
            "MODEL.SparseRCNN.HIDDEN_DIM": 64,
            "MODEL.SparseRCNN.DIM_FEEDFORWARD": 256,
            "MODEL.SparseRCNN.DIM_DYNAMIC": 16,
            "MODEL.SparseRCNN.NUM_PROPOSALS": 20,
            "MODEL.SparseRCNN.NUM_HEADS": 2,
            "SOLVER.BASE_LR": 0.0005,
        },
    ),
    "CenterNet2": Settings(
        "configs/CenterNet2_R50_1x.yaml",
        "build_retinanet_resnext_fpn_backbone",
        keys={
            **PIXELS,
            "SOLVER.BASE_LR": 0.002,
            # Detectron2 clips each parameter by itself; by "value", its default, torch 2.15 fails
            # on one without a gradient, as box heads have none where an image lacks foreground.
            "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": "norm",
        },
        small={
            "MODEL.ROI_BOX_HEAD.FC_DIM": 128,
            "MODEL.CENTERNET.PRE_NMS_TOPK_TRAIN": 500,
            "MODEL.CENTERNET.POST_NMS_TOPK_TRAIN": 200,
            "SOLVER.BASE_LR": 0.01,
            "SOLVER.MAX_ITER": 300,
            "SOLVER.STEPS": [240],
        },
    ),
}


def full_keys(detector: str, weights: str) -> Keys:
    """Returns the keys of the run with the detector's own config and a real ResNeXt-50."""
    settings = SETTINGS[detector]
    named = {"MODEL.BACKBONE.NAME": settings.backbone, "MODEL.WEIGHTS": weights}
    return FULL | settings.keys | named


def small_keys(detector: str) -> Keys:
    """Returns the keys of the run that learns a few images by heart."""
    settings = SETTINGS[detector]
    return SMALL | settings.keys | {"MODEL.BACKBONE.NAME": settings.backbone} | settings.small


def as_arguments(keys: Keys) -> list[str]:
    """Writes keys as a command line has them, each name before its value."""
    return [str(part) for pair in keys.items() for part in pair]
