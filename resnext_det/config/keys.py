"""The config keys that are ours and not Detectron2's. Engine-neutral."""

from typing import Any

from fvcore.common.config import CfgNode


def own_keys() -> dict[str, Any]:
    """Our own dotted keys with their defaults, declared here and nowhere else."""
    return {
        # A named variant ("resnext50_32x4d") sets DEPTH, NUM_GROUPS, WIDTH_PER_GROUP,
        # STRIDE_IN_1X1 and STEM (for 18 and 34 also RES2_OUT_CHANNELS); "" leaves them alone.
        "MODEL.RESNETS.VARIANT": "",
        "MODEL.RESNETS.STEM": "imagenet",  # or "cifar": one 3x3 convolution, three stages
        "MODEL.RESNETS.BLOCK_FORM": "grouped",  # the paper's form (c); "split" (a), "concat" (b)
        "MODEL.RESNETS.ZERO_INIT_RESIDUAL": False,
        "MODEL.RESNETS.ACTIVATION_CHECKPOINTING": False,
        "MODEL.CLASSIFIER.NUM_CLASSES": 1000,
        # The share of the backbone's parameters that MODEL.WEIGHTS has to fill.
        "MODEL.WEIGHTS_MIN_SHARE": 0.9,
        # True drops boxes of no size or outside their image, and clips overhanging ones, with one
        # log line; False refuses the set and names the box. COCO's own sets are always let through.
        "DATASETS.DROP_BAD_BOXES": False,
        # Random resized crop of training images, as in the paper's section 4 and its code:
        # area 8-100 %, aspect ratio 3/4 to 4/3.
        "INPUT.CLASSIFICATION.TRAIN_CROP": 224,  # px
        "INPUT.CLASSIFICATION.TRAIN_SCALE": [0.08, 1.0],
        "INPUT.CLASSIFICATION.TRAIN_RATIO": [0.75, 1.3333333333],
        "INPUT.CLASSIFICATION.HFLIP": 0.5,  # probability
        # One centre crop of the image whose shortest side has been resized.
        "INPUT.CLASSIFICATION.RESIZE_TEST": 256,  # px
        "INPUT.CLASSIFICATION.TEST_CROP": 224,  # px
        "INPUT.CLASSIFICATION.INTERPOLATION": "bilinear",
        "SOLVER.LABEL_SMOOTHING": 0.0,
    }


def add_keys(cfg: CfgNode) -> None:
    """Add our own keys, with their defaults, to a tree.

    Args:
        cfg: fvcore's or Detectron2's CfgNode holding Detectron2's keys, not frozen.
            A key that it has already keeps its value, so calling twice does no harm.
    """
    for key, default in own_keys().items():
        *groups, name = key.split(".")
        node = cfg
        for group in groups:
            if group not in node:
                node[group] = type(cfg)()
            node = node[group]
        node.setdefault(name, default)
