"""The config keys that training and evaluating a classifier heed. Engine-neutral."""

from resnext_det.training.honoured import SHARED_KEYS

HONOURED = SHARED_KEYS | frozenset(
    {
        "DATALOADER.ASPECT_RATIO_GROUPING",  # all crops are square: there is nothing to group
        "INPUT.CLASSIFICATION.HFLIP",
        "INPUT.CLASSIFICATION.INTERPOLATION",
        "INPUT.CLASSIFICATION.RESIZE_TEST",
        "INPUT.CLASSIFICATION.TEST_CROP",
        "INPUT.CLASSIFICATION.TRAIN_CROP",
        "INPUT.CLASSIFICATION.TRAIN_RATIO",
        "INPUT.CLASSIFICATION.TRAIN_SCALE",
        "MODEL.CLASSIFIER.NUM_CLASSES",
        "SOLVER.LABEL_SMOOTHING",
    }
)
