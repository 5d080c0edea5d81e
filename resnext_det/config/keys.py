"""The config keys that Detectron2's own tree has not. Engine-neutral."""

from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config.pointrend import pointrend_keys


def own_keys() -> dict[str, Any]:
    """Our own dotted keys with their defaults, declared here and nowhere else, and PointRend's."""
    return {
        # The whole text of a config in Detectron2's Python syntax, kept for the record; no file
        # sets it.
        "LAZY_CONFIG": "",
        # A named variant ("resnext50_32x4d") sets DEPTH, NUM_GROUPS, WIDTH_PER_GROUP,
        # STRIDE_IN_1X1 and STEM (for 18 and 34 also RES2_OUT_CHANNELS); "" leaves them alone.
        "MODEL.RESNETS.VARIANT": "",
        "MODEL.RESNETS.STEM": "imagenet",  # or "cifar": one 3x3 convolution, three stages
        "MODEL.RESNETS.BLOCK_FORM": "grouped",  # the paper's form (c); "split" (a), "concat" (b)
        "MODEL.RESNETS.ZERO_INIT_RESIDUAL": False,
        "MODEL.RESNETS.ACTIVATION_CHECKPOINTING": False,
        # False leaves the residual connections out (the paper's ablation).
        "MODEL.RESNETS.SHORTCUTS": True,
        "MODEL.CLASSIFIER.NUM_CLASSES": 1000,
        # How convolutions and the linear layer start: as in Detectron2, or as in the authors' code.
        "MODEL.CLASSIFIER.INIT": "detectron2",  # or "torch7"
        # The share of the backbone's parameters that MODEL.WEIGHTS has to fill.
        "MODEL.WEIGHTS_MIN_SHARE": 0.9,
        # Licences that MODEL.WEIGHTS may have. commercial: refuses those for non-commercial use
        # alone, warns where none is known; known_commercial: refuses that too.
        "MODEL.WEIGHTS_LICENCE_POLICY": "any",
        # True drops boxes of no size or outside their image, and clips overhanging ones, with one
        # log line, and polygons of less than three points; False refuses the set and names the
        # first of them. COCO's own sets are always let through.
        "DATASETS.DROP_BAD_BOXES": False,
        # Images that cannot be read are set aside, by name; one more than this ends the run.
        "DATASETS.MAX_BROKEN_IMAGES": 100,
        # True lets file names in annotations leave the image folder (absolute names, "..").
        "DATASETS.TRUST_FILE_NAMES": False,
        **_classification_keys(),
        **_trainer_keys(),
        **_speed_keys(),
        **pointrend_keys(),
    }


def _classification_keys() -> dict[str, Any]:
    """What a classifier sees of its images, and how its answers are scored."""
    return {
        # What is cut out of a training image: a random part, resized, as in the paper's section 4
        # and its code (area 8-100 %, aspect ratio 3/4 to 4/3), drawn as torchvision does or as that
        # code; or a place of the padded image.
        "INPUT.CLASSIFICATION.TRAIN_VIEW": "resized_crop",  # "torch7_crop", "padded_crop"
        "INPUT.CLASSIFICATION.TRAIN_CROP": 224,  # px
        "INPUT.CLASSIFICATION.TRAIN_SCALE": [0.08, 1.0],
        "INPUT.CLASSIFICATION.TRAIN_RATIO": [0.75, 1.3333333333],
        "INPUT.CLASSIFICATION.TRAIN_PADDING": 4,  # px on each side, in the mean colour
        "INPUT.CLASSIFICATION.HFLIP": 0.5,  # probability
        "INPUT.CLASSIFICATION.AUTO_AUGMENT": "",  # or "trivial_augment_wide"
        # Strength of brightness, contrast and saturation, in random order.
        "INPUT.CLASSIFICATION.COLOR_JITTER": [0.0, 0.0, 0.0],
        "INPUT.CLASSIFICATION.LIGHTING": 0.0,  # standard deviation along the colours' axes
        # One centre crop of the image whose shortest side has been resized.
        "INPUT.CLASSIFICATION.RESIZE_TEST": 256,  # px
        "INPUT.CLASSIFICATION.TEST_CROP": 224,  # px
        "INPUT.CLASSIFICATION.INTERPOLATION": "bilinear",
        # fast: JPEGs are decoded only where the crop lies, and scaled while decoding; exact: as
        # Pillow; gpu: JPEGs are decoded on the GPU.
        "INPUT.CLASSIFICATION.DECODER": "fast",
        "SOLVER.LABEL_SMOOTHING": 0.0,
        "SOLVER.MIXUP_ALPHA": 0.0,  # 0: none; beside CUTMIX_ALPHA each takes half of the batches
        "SOLVER.CUTMIX_ALPHA": 0.0,
        # Crops beside TEST_CROP, as [short side, crop]; scored as "320/top1" when training ends.
        "TEST.MORE_CROPS": [],
        "TEST.TEN_CROP": False,  # also the mean of four corners, centre and their mirror images
        # Whether a test set may have some of the classes only; it is then scored among all
        # classes, and as "1000_way/top1" among its own.
        "TEST.CLASS_SUBSET": False,
    }


def _trainer_keys() -> dict[str, Any]:
    """How to train, whatever is trained."""
    return {
        # The images per update that learning rates, lengths and periods are written for; they
        # are scaled to IMS_PER_BATCH (see batch_scaling.py). 0: taken as they stand.
        "SOLVER.REFERENCE_BATCH": 0,
        # Passes that an update's images are split into; IMS_PER_BATCH stays the images of one
        # update, over all passes and processes.
        "SOLVER.GRADIENT_ACCUMULATION": 1,
        "SOLVER.AMP.DTYPE": "float16",  # Detectron2's; or bfloat16, or auto: what the GPU does best
        # An exponential moving average of the weights, which is what is evaluated and exported.
        "SOLVER.EMA.ENABLED": False,
        "SOLVER.EMA.DECAY": 0.999,  # of each update
        # What to do about a loss or gradient that is not finite: "stop" ends the run, "skip" leaves
        # that update out, up to ten in a row. Either leaves a folder that reproduces it.
        "SOLVER.NON_FINITE": "stop",
        "SOLVER.KEEP_CHECKPOINTS": 0,  # newest periodic ones that are kept; 0: all
        # As metrics.json names it, "bbox/AP" or "top1": model_best.pth is kept by it. Names that
        # contain "loss" are minimised.
        "TEST.BEST_METRIC": "",
        "TEST.PATIENCE": 0,  # evaluations without a better BEST_METRIC that end the run; 0: never
        "TEST.VALIDATION_LOSS": False,  # the losses on the test sets, at each evaluation
        "TEST.PICTURES": 0,  # pictures of predictions in TensorBoard at each evaluation
        "WANDB.PROJECT": "",  # of Weights & Biases; empty: nothing is sent
    }


def _speed_keys() -> dict[str, Any]:
    """What makes the same training faster; `--acceleration` sets these, beside SOLVER.AMP."""
    return {
        "SOLVER.CHANNELS_LAST": False,  # memory layout of images, weights and maps
        "SOLVER.COMPILE": False,  # torch.compile
        # The C library keeps freed memory for the next update, in the whole process; of the CPU.
        "SOLVER.KEEP_MEMORY": False,
        # Equal losses but for rounding, of detectors alone. Frozen norms are multiplied into the
        # weights instead of into the maps; RoIAlign on all cores of the CPU; suppression without a
        # walk on one thread of the GPU; the RPN's gradients from the sampled anchors alone.
        "SOLVER.FOLD_NORMS": False,
        "SOLVER.FAST_POOLING": False,
        "SOLVER.FAST_SUPPRESSION": False,
        "SOLVER.SAMPLED_ANCHORS": False,
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
