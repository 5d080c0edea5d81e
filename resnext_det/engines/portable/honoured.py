"""The config keys that the portable engine acts upon; any other must keep its default. Portable."""

from resnext_det.training.honoured import SHARED_KEYS

MODEL_KEYS = frozenset(
    f"MODEL.{key}"
    for key in (
        "FPN.FUSE_TYPE",
        "FPN.IN_FEATURES",
        "FPN.NORM",
        "FPN.OUT_CHANNELS",
        "PROPOSAL_GENERATOR.MIN_SIZE",
        "PROPOSAL_GENERATOR.NAME",
        "ANCHOR_GENERATOR.ASPECT_RATIOS",
        "ANCHOR_GENERATOR.NAME",
        "ANCHOR_GENERATOR.OFFSET",
        "ANCHOR_GENERATOR.SIZES",
        "RPN.BATCH_SIZE_PER_IMAGE",
        "RPN.BBOX_REG_LOSS_TYPE",
        "RPN.BBOX_REG_LOSS_WEIGHT",
        "RPN.BBOX_REG_WEIGHTS",
        "RPN.BOUNDARY_THRESH",
        "RPN.CONV_DIMS",
        "RPN.HEAD_NAME",
        "RPN.IN_FEATURES",
        "RPN.IOU_LABELS",
        "RPN.IOU_THRESHOLDS",
        "RPN.LOSS_WEIGHT",
        "RPN.NMS_THRESH",
        "RPN.POSITIVE_FRACTION",
        "RPN.POST_NMS_TOPK_TEST",
        "RPN.POST_NMS_TOPK_TRAIN",
        "RPN.PRE_NMS_TOPK_TEST",
        "RPN.PRE_NMS_TOPK_TRAIN",
        "RPN.SMOOTH_L1_BETA",
        "ROI_HEADS.BATCH_SIZE_PER_IMAGE",
        "ROI_HEADS.IN_FEATURES",
        "ROI_HEADS.IOU_LABELS",
        "ROI_HEADS.IOU_THRESHOLDS",
        "ROI_HEADS.NAME",
        "ROI_HEADS.NMS_THRESH_TEST",
        "ROI_HEADS.NUM_CLASSES",
        "ROI_HEADS.POSITIVE_FRACTION",
        "ROI_HEADS.PROPOSAL_APPEND_GT",
        "ROI_HEADS.SCORE_THRESH_TEST",
        "ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE",
        "ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT",
        "ROI_BOX_HEAD.BBOX_REG_WEIGHTS",
        "ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG",
        "ROI_BOX_HEAD.CONV_DIM",
        "ROI_BOX_HEAD.FC_DIM",
        "ROI_BOX_HEAD.NAME",
        "ROI_BOX_HEAD.NORM",
        "ROI_BOX_HEAD.NUM_CONV",
        "ROI_BOX_HEAD.NUM_FC",
        "ROI_BOX_HEAD.POOLER_RESOLUTION",
        "ROI_BOX_HEAD.POOLER_SAMPLING_RATIO",
        "ROI_BOX_HEAD.POOLER_TYPE",
        "ROI_BOX_HEAD.SMOOTH_L1_BETA",
    )
)

# Without effect in Faster R-CNN on either engine (MASK_ON has to be False), but set by
# Detectron2's own Base-RCNN-FPN.yaml, which many configs extend; and the number of classes, which
# every run writes into its config.yaml for each detector.
INERT_KEYS = frozenset(
    {
        "MODEL.RETINANET.NUM_CLASSES",
        "MODEL.ROI_MASK_HEAD.NAME",
        "MODEL.ROI_MASK_HEAD.NUM_CONV",
        "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION",
    }
)

DATA_KEYS = frozenset(
    {
        "DATALOADER.ASPECT_RATIO_GROUPING",
        "DATALOADER.FILTER_EMPTY_ANNOTATIONS",
        "DATASETS.DROP_BAD_BOXES",
        "DATASETS.TRUST_FILE_NAMES",
        "INPUT.MAX_SIZE_TEST",
        "INPUT.MAX_SIZE_TRAIN",
        "INPUT.MIN_SIZE_TEST",
        "INPUT.MIN_SIZE_TRAIN",
        "INPUT.MIN_SIZE_TRAIN_SAMPLING",
        "INPUT.RANDOM_FLIP",
    }
)

SPEED_KEYS = frozenset(
    {
        "CUDNN_BENCHMARK",
        "SOLVER.FAST_POOLING",
        "SOLVER.FAST_SUPPRESSION",
        "SOLVER.FOLD_NORMS",
        "SOLVER.SAMPLED_ANCHORS",
    }
)
OTHER_KEYS = frozenset({"TEST.DETECTIONS_PER_IMAGE"})

HONOURED: frozenset[str] = (
    SHARED_KEYS | MODEL_KEYS | INERT_KEYS | DATA_KEYS | SPEED_KEYS | OTHER_KEYS
)
