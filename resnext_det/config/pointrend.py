"""The config keys of Detectron2's PointRend project. Engine-neutral.

Names and values: facebookresearch/detectron2, projects/PointRend/point_rend/config.py, at the
commit that defaults.yaml names; a test marked d2 compares them.
"""

from typing import Any


def pointrend_keys() -> dict[str, Any]:
    """Dotted keys with their defaults, which Detectron2's own tree has not."""
    return {
        "MODEL.ROI_MASK_HEAD.IN_FEATURES": ["p2"],  # of the coarse head
        "MODEL.ROI_MASK_HEAD.FC_DIM": 1024,
        "MODEL.ROI_MASK_HEAD.NUM_FC": 2,
        "MODEL.ROI_MASK_HEAD.OUTPUT_SIDE_RESOLUTION": 7,  # of the coarse mask
        "MODEL.ROI_MASK_HEAD.POINT_HEAD_ON": False,
        "MODEL.POINT_HEAD.NAME": "StandardPointHead",
        "MODEL.POINT_HEAD.NUM_CLASSES": 80,
        "MODEL.POINT_HEAD.IN_FEATURES": ["p2"],
        "MODEL.POINT_HEAD.TRAIN_NUM_POINTS": 196,  # 14 * 14, drawn in each region
        # k and beta of the paper (Kirillov et al., CVPR 2020, section 3.1)
        "MODEL.POINT_HEAD.OVERSAMPLE_RATIO": 3,
        "MODEL.POINT_HEAD.IMPORTANCE_SAMPLE_RATIO": 0.75,
        "MODEL.POINT_HEAD.SUBDIVISION_STEPS": 5,  # at inference
        "MODEL.POINT_HEAD.SUBDIVISION_NUM_POINTS": 784,  # 28 * 28, at most in each step
        "MODEL.POINT_HEAD.FC_DIM": 256,
        "MODEL.POINT_HEAD.NUM_FC": 3,
        "MODEL.POINT_HEAD.CLS_AGNOSTIC_MASK": False,
        "MODEL.POINT_HEAD.COARSE_PRED_EACH_LAYER": True,
        "MODEL.POINT_HEAD.COARSE_SEM_SEG_HEAD_NAME": "SemSegFPNHead",
        "MODEL.IMPLICIT_POINTREND.IMAGE_FEATURE_ENABLED": True,
        "MODEL.IMPLICIT_POINTREND.POS_ENC_ENABLED": True,
        "MODEL.IMPLICIT_POINTREND.PARAMS_L2_REGULARIZER": 0.00001,
        # Of its mapper for semantic segmentation alone.
        "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA": 1.0,
        "INPUT.COLOR_AUG_SSD": False,
    }
