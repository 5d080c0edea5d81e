"""The values that keys may have: choices and ranges, as two tables. Engine-neutral."""

import math

# key -> the values it may have. Depth: modeling/variants.py. Norms: modeling/norms.py.
# Schedules and flips: Detectron2's solver/build.py and data/transforms.
CHOICES: dict[str, tuple[object, ...]] = {
    "VERSION": (2,),
    "INPUT.FORMAT": ("BGR", "RGB"),
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": ("choice", "range"),
    "INPUT.RANDOM_FLIP": ("horizontal", "vertical", "none"),
    "INPUT.CLASSIFICATION.AUTO_AUGMENT": ("", "trivial_augment_wide"),
    "INPUT.CLASSIFICATION.DECODER": ("fast", "exact", "gpu"),
    "INPUT.CLASSIFICATION.INTERPOLATION": ("bilinear", "bicubic"),
    "INPUT.CLASSIFICATION.TRAIN_VIEW": ("resized_crop", "torch7_crop", "padded_crop"),
    "MODEL.CLASSIFIER.INIT": ("detectron2", "torch7"),
    "MODEL.WEIGHTS_LICENCE_POLICY": ("any", "commercial", "known_commercial"),
    "MODEL.RESNETS.DEPTH": (18, 26, 29, 34, 50, 101, 152, 200),
    "MODEL.RESNETS.NORM": ("FrozenBN", "BN", "SyncBN", "GN", ""),
    "MODEL.RESNETS.STEM": ("imagenet", "cifar"),
    "MODEL.RESNETS.BLOCK_FORM": ("grouped", "split", "concat"),
    "MODEL.RESNETS.RES5_DILATION": (1, 2),
    "MODEL.SEM_SEG_HEAD.IGNORE_VALUE": (255,),  # data/panoptic.py: IGNORED
    "MODEL.FPN.FUSE_TYPE": ("sum", "avg"),
    "SOLVER.LR_SCHEDULER_NAME": (
        "WarmupMultiStepLR",
        "WarmupCosineLR",
        "WarmupStepWithFixedGammaLR",
    ),
    "SOLVER.NON_FINITE": ("stop", "skip"),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": ("value", "norm"),
    "SOLVER.AMP.DTYPE": ("float16", "bfloat16", "auto"),
    "FLOAT32_PRECISION": ("", "highest", "high", "medium"),
}

# Of a classifier's crop, px: no decoder makes a view of more than its square in pixels (see
# data/opened_image.py).
LONGEST_SIDE = 8192

# key -> (lowest, highest) value, both allowed; none may be infinite.
BOUNDS: dict[str, tuple[float, float]] = {
    "MODEL.BACKBONE.FREEZE_AT": (0, 5),
    "MODEL.CLASSIFIER.NUM_CLASSES": (1, math.inf),
    "MODEL.RESNETS.NUM_GROUPS": (1, math.inf),
    "MODEL.RESNETS.WIDTH_PER_GROUP": (1, math.inf),
    "MODEL.RESNETS.STEM_OUT_CHANNELS": (1, math.inf),
    "MODEL.RESNETS.DEFORM_NUM_GROUPS": (1, math.inf),
    "MODEL.RESNETS.RES2_OUT_CHANNELS": (1, math.inf),
    "MODEL.ROI_HEADS.NUM_CLASSES": (1, math.inf),
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": (1, math.inf),
    "MODEL.ROI_HEADS.POSITIVE_FRACTION": (0, 1),
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": (1, math.inf),
    "MODEL.RPN.POSITIVE_FRACTION": (0, 1),
    "MODEL.RPN.NMS_THRESH": (0, 1),
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": (0, 1),
    "MODEL.RETINANET.NMS_THRESH_TEST": (0, 1),
    "MODEL.WEIGHTS_MIN_SHARE": (0, 1),
    "DATALOADER.NUM_WORKERS": (0, math.inf),
    "DATASETS.MAX_BROKEN_IMAGES": (0, math.inf),
    "INPUT.MAX_SIZE_TRAIN": (1, math.inf),
    "INPUT.MIN_SIZE_TEST": (0, math.inf),
    "INPUT.MAX_SIZE_TEST": (1, math.inf),
    "INPUT.CLASSIFICATION.TRAIN_CROP": (1, LONGEST_SIDE),
    "INPUT.CLASSIFICATION.TEST_CROP": (1, LONGEST_SIDE),
    "INPUT.CLASSIFICATION.RESIZE_TEST": (1, LONGEST_SIDE),
    "INPUT.CLASSIFICATION.HFLIP": (0, 1),
    "INPUT.CLASSIFICATION.LIGHTING": (0, 100),
    "INPUT.CLASSIFICATION.TRAIN_PADDING": (0, LONGEST_SIDE),
    "SOLVER.IMS_PER_BATCH": (1, math.inf),
    "SOLVER.MAX_ITER": (1, math.inf),
    "SOLVER.WARMUP_ITERS": (0, math.inf),
    "SOLVER.BASE_LR": (0, 1e6),
    "SOLVER.WEIGHT_DECAY": (0, math.inf),
    "SOLVER.CHECKPOINT_PERIOD": (1, math.inf),
    "SOLVER.CUTMIX_ALPHA": (0, math.inf),
    "SOLVER.LABEL_SMOOTHING": (0, 1),
    "SOLVER.MIXUP_ALPHA": (0, math.inf),
    "SOLVER.REFERENCE_BATCH": (0, math.inf),
    "SOLVER.GRADIENT_ACCUMULATION": (1, math.inf),
    "SOLVER.KEEP_CHECKPOINTS": (0, math.inf),
    "TEST.EVAL_PERIOD": (0, math.inf),
    "TEST.PATIENCE": (0, math.inf),
    "TEST.PICTURES": (0, math.inf),
    "TEST.DETECTIONS_PER_IMAGE": (1, math.inf),
}
