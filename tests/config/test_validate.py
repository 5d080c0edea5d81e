"""Values with which a run would fail later are refused before it, by key and value."""

import math

import pytest

from resnext_det.config import check_weights, get_cfg, validate_config
from resnext_det.config.backbone import BASIC_DEPTHS, GN_GROUPS, THREE_STAGE_DEPTHS
from resnext_det.config.limits import BOUNDS, CHOICES
from resnext_det.config.loader import load_config
from resnext_det.config.tree import get_value, set_value
from resnext_det.errors import UserError
from resnext_det.modeling import layout, norms

DETECTION = "resnext_det://Base-RCNN-FPN.yaml"
CLASSIFICATION = "resnext_det://Base-Classification.yaml"


def refusal(base: str, **keys) -> str:
    cfg = load_config(base).cfg.clone()
    cfg.defrost()
    for key, value in keys.items():
        set_value(cfg, key, value)
    with pytest.raises(UserError) as error:
        validate_config(cfg, where="a.yaml")
    message = str(error.value)
    assert message.startswith("a.yaml: ")
    assert "\n" not in message
    return message.removeprefix("a.yaml: ")


def test_the_defaults_are_sound():
    assert validate_config(get_cfg(), where="defaults") == ()


@pytest.mark.parametrize("key", [*CHOICES, *BOUNDS])
def test_every_key_of_the_tables_exists_and_its_default_is_allowed(key):
    value = get_value(get_cfg(), key)
    if key in CHOICES:
        assert value in CHOICES[key]
    else:
        low, high = BOUNDS[key]
        assert low <= value <= high


def test_the_tables_know_what_the_model_knows():
    assert CHOICES["MODEL.RESNETS.DEPTH"] == tuple(sorted(layout.BLOCKS_PER_STAGE))
    assert CHOICES["MODEL.RESNETS.STEM"] == layout.STEMS
    assert set(CHOICES["MODEL.RESNETS.NORM"]) == set(norms.NORMS)
    assert BASIC_DEPTHS == layout.BASIC_DEPTHS
    assert GN_GROUPS == norms.GN_GROUPS
    three = [depth for depth, blocks in layout.BLOCKS_PER_STAGE.items() if len(blocks) == 3]
    assert tuple(three) == THREE_STAGE_DEPTHS


@pytest.mark.parametrize("key", CHOICES)
def test_another_choice_is_refused(key):
    wrong = 99 if isinstance(CHOICES[key][0], int) else "wrong"
    message = refusal(DETECTION, **{key: wrong})
    assert message == f"{key} is {wrong!r}; it can be {', '.join(map(repr, CHOICES[key]))}"


@pytest.mark.parametrize("key", BOUNDS)
def test_below_the_bound_is_refused(key):
    low = BOUNDS[key][0]
    message = refusal(DETECTION, **{key: low - 1})
    assert message.startswith(f"{key} is {low - 1}; it has to be ")


def test_not_a_number_is_refused():
    message = refusal(DETECTION, **{"SOLVER.BASE_LR": float("nan")})
    assert message == "SOLVER.BASE_LR is nan; it has to be between 0 and 1000000.0"


NET = "MODEL.RESNETS."
DEFORM, ON = NET + "DEFORM_", [False, True, True, True]
DETECTION_CASES = [
    ({"MODEL.PIXEL_MEAN": [1.0]}, "MODEL.PIXEL_MEAN is [1.0]; it has one number for each of 3"),
    ({"MODEL.PIXEL_STD": []}, "MODEL.PIXEL_STD is []; it has one number for each of 3"),
    ({"MODEL.PIXEL_STD": [1.0, 0.0, 1.0]}, "MODEL.PIXEL_STD is [1.0, 0.0, 1.0]; each has to be"),
    ({"SOLVER.STEPS": [20, 10]}, "SOLVER.STEPS is [20, 10]; the steps have to ascend"),
    ({"SOLVER.EMA.DECAY": 1.0}, "SOLVER.EMA.DECAY is 1.0; it has to be at least 0 and below 1"),
    (
        {"SOLVER.GRADIENT_ACCUMULATION": 3},
        "SOLVER.IMS_PER_BATCH is 16, which SOLVER.GRADIENT_ACCUMULATION 3 does not divide",
    ),
    (
        {"TEST.PATIENCE": 2, "TEST.EVAL_PERIOD": 10},
        "TEST.PATIENCE is 2 and TEST.BEST_METRIC empty; name the metric that has to get better",
    ),
    (
        {"TEST.PATIENCE": 2, "TEST.BEST_METRIC": "bbox/AP"},
        "TEST.PATIENCE is 2 and TEST.EVAL_PERIOD 0, so nothing is evaluated before the end; give",
    ),
    (
        {"TEST.BEST_METRIC": "bbox/AP", "DATASETS.TEST": []},
        "TEST.BEST_METRIC is bbox/AP and DATASETS.TEST empty; name a test set",
    ),
    (
        {"TEST.VALIDATION_LOSS": True, "DATASETS.TEST": []},
        "TEST.VALIDATION_LOSS is True and DATASETS.TEST empty; name a test set",
    ),
    (
        {NET + "NORM": "GN", NET + "NUM_GROUPS": 2, NET + "WIDTH_PER_GROUP": 40},
        "MODEL.RESNETS.NORM GN needs widths that 32 divides, but NUM_GROUPS 2 x WIDTH_PER_GROUP 40",
    ),
    (
        {NET + "NORM": "GN", NET + "STEM_OUT_CHANNELS": 40},
        "MODEL.RESNETS.NORM GN needs widths that 32 divides, but MODEL.RESNETS.STEM_OUT_CHANNELS",
    ),
    (
        {NET + "DEPTH": 18},
        "MODEL.RESNETS.RES2_OUT_CHANNELS is 256; depth 18 (basic blocks) needs 64",
    ),
    (
        {NET + "DEPTH": 34, NET + "NUM_GROUPS": 32},
        "MODEL.RESNETS.NUM_GROUPS is 32; depth 34 (basic blocks) needs 1",
    ),
    (
        {NET + "DEPTH": 29},
        "MODEL.RESNETS.OUT_FEATURES is ['res2', 'res3', 'res4', 'res5']; depth 29 has stem, res2",
    ),
    (
        {NET + "DEPTH": 29, NET + "OUT_FEATURES": ["res4"], NET + "RES5_DILATION": 2},
        "MODEL.RESNETS.RES5_DILATION is 2; depth 29 has no res5",
    ),
    ({NET + "OUT_FEATURES": []}, "MODEL.RESNETS.OUT_FEATURES is []; depth 50 has stem, res2"),
    ({NET + "OUT_FEATURES": ["res6"]}, "MODEL.RESNETS.OUT_FEATURES is ['res6']; depth 50 has"),
    (
        {NET + "ZERO_INIT_RESIDUAL": True},
        "MODEL.RESNETS.ZERO_INIT_RESIDUAL is True, but MODEL.RESNETS.NORM 'FrozenBN' has no scale",
    ),
    (
        {NET + "ZERO_INIT_RESIDUAL": True, NET + "NORM": "BN", NET + "SHORTCUTS": False},
        "MODEL.RESNETS.ZERO_INIT_RESIDUAL is True, but MODEL.RESNETS.SHORTCUTS False leaves",
    ),
    ({"INPUT.MIN_SIZE_TRAIN": []}, "INPUT.MIN_SIZE_TRAIN is []; it has at least one size"),
    ({"INPUT.MIN_SIZE_TRAIN": [0]}, "INPUT.MIN_SIZE_TRAIN is [0]; it has at least one size"),
    (
        {"INPUT.MIN_SIZE_TRAIN_SAMPLING": "range"},
        "INPUT.MIN_SIZE_TRAIN is [640, 672, 704, 736, 768, 800]; with MIN_SIZE_TRAIN_SAMPLING",
    ),
    (
        {"MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64]]},
        "MODEL.ANCHOR_GENERATOR.SIZES has 2 entries, but MODEL.RPN.IN_FEATURES has 5 (p2, p3, p4",
    ),
    (
        {"MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": []},
        "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS has 0 entries, but MODEL.RPN.IN_FEATURES has 5",
    ),
    (
        {"MODEL.META_ARCHITECTURE": "RetinaNet", "MODEL.ANCHOR_GENERATOR.SIZES": [[1], [2]]},
        "MODEL.ANCHOR_GENERATOR.SIZES has 2 entries, but MODEL.RETINANET.IN_FEATURES has 5",
    ),
    (
        {"MODEL.ROI_HEADS.IOU_THRESHOLDS": [0.3, 0.5]},
        "MODEL.ROI_HEADS.IOU_LABELS is [0, 1]; it has one label more than IOU_THRESHOLDS [0.3",
    ),
    (
        {"INPUT.MIN_SIZE_TRAIN_SAMPLING": "range", "INPUT.MIN_SIZE_TRAIN": [800, 640]},
        "INPUT.MIN_SIZE_TRAIN is [800, 640]; with MIN_SIZE_TRAIN_SAMPLING range the two have to",
    ),
    ({"SOLVER.MOMENTUM": 1.0}, "SOLVER.MOMENTUM is 1.0; it has to be at least 0 and below 1"),
    ({"SOLVER.MOMENTUM": -0.1}, "SOLVER.MOMENTUM is -0.1; it has to be at least 0 and below 1"),
    ({"SOLVER.GAMMA": 0.0}, "SOLVER.GAMMA is 0.0; it has to be above 0"),
    (
        {"SOLVER.WEIGHT_DECAY_NORM": -1.0},
        "SOLVER.WEIGHT_DECAY_NORM is -1.0; it has to be at least 0, or null",
    ),
    ({"MODEL.RPN.NMS_THRESH": 1.5}, "MODEL.RPN.NMS_THRESH is 1.5; it has to be between 0 and 1"),
    ({"OUTPUT_DIR": ""}, "OUTPUT_DIR is empty; name the folder of the run"),
    (
        {"MODEL.ANCHOR_GENERATOR.SIZES": [[32], [64], [0], [256], [512]]},
        "MODEL.ANCHOR_GENERATOR.SIZES is [[32], [64], [0], [256], [512]]; each entry has at least",
    ),
    (
        {"MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[]]},
        "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS is [[]]; each entry has at least one number, and",
    ),
    (
        {"MODEL.RPN.BBOX_REG_WEIGHTS": [1.0, 1.0, 1.0]},
        "MODEL.RPN.BBOX_REG_WEIGHTS is [1.0, 1.0, 1.0]; it has four numbers above 0, for dx, dy",
    ),
    (
        {"MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS": [[1.0, 1.0, 1.0, 1.0], [1.0]]},
        "MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS is [[1.0, 1.0, 1.0, 1.0], [1.0]]; each stage",
    ),
    (
        {"MODEL.FPN.IN_FEATURES": []},
        "MODEL.FPN.IN_FEATURES is []; it takes some of MODEL.RESNETS.OUT_FEATURES ['res2'",
    ),
    (
        {NET + "OUT_FEATURES": ["res4", "res5"]},
        "MODEL.FPN.IN_FEATURES is ['res2', 'res3', 'res4', 'res5']; it takes some of",
    ),
    (
        {"MODEL.FPN.IN_FEATURES": ["res3", "res4", "res5"]},
        "MODEL.RPN.IN_FEATURES is ['p2', 'p3', 'p4', 'p5', 'p6']; the FPN has p3, p4, p5, p6",
    ),
    (
        {"MODEL.ROI_HEADS.IN_FEATURES": ["res4"]},
        "MODEL.ROI_HEADS.IN_FEATURES is ['res4']; the FPN has p2, p3, p4, p5, p6",
    ),
    (
        {DEFORM + "ON_PER_STAGE": [False, True]},
        "MODEL.RESNETS.DEFORM_ON_PER_STAGE is [False, True]; it is True or False for each of",
    ),
    (
        {DEFORM + "ON_PER_STAGE": ON, NET + "DEPTH": 34, NET + "RES2_OUT_CHANNELS": 64},
        f"MODEL.RESNETS.DEFORM_ON_PER_STAGE is {ON}; depth 34 (basic blocks) has none deformable",
    ),
    (
        {DEFORM + "ON_PER_STAGE": ON, NET + "DEPTH": 29, NET + "OUT_FEATURES": ["res4"]},
        f"MODEL.RESNETS.DEFORM_ON_PER_STAGE is {ON}; depth 29 has no res5",
    ),
    (
        {DEFORM + "ON_PER_STAGE": ON, NET + "BLOCK_FORM": "split"},
        f"MODEL.RESNETS.DEFORM_ON_PER_STAGE is {ON}, which needs MODEL.RESNETS.BLOCK_FORM 'group",
    ),
    (
        {DEFORM + "ON_PER_STAGE": ON, DEFORM + "NUM_GROUPS": 3},
        "MODEL.RESNETS.DEFORM_NUM_GROUPS is 3; it has to divide the 128 channels of res3's 3x3",
    ),
]
IMAGE = "INPUT.CLASSIFICATION."
CLASSIFICATION_CASES = [
    (
        {IMAGE + "TEST_CROP": 320},
        "INPUT.CLASSIFICATION.TEST_CROP 320 does not fit into RESIZE_TEST 256",
    ),
    ({IMAGE + "TRAIN_SCALE": [1.0, 0.1]}, "INPUT.CLASSIFICATION.TRAIN_SCALE is [1.0, 0.1]; it has"),
    (
        {IMAGE + "TRAIN_SCALE": [0.08, 2.0]},
        "INPUT.CLASSIFICATION.TRAIN_SCALE is [0.08, 2.0]; both have to be between 1e-06 and 1.0",
    ),
    (
        {IMAGE + "TRAIN_RATIO": [1e-300, 1.0]},
        "INPUT.CLASSIFICATION.TRAIN_RATIO is [1e-300, 1.0]; both have to be between 0.001 and",
    ),
    (
        {IMAGE + "TRAIN_PADDING": 10**20},
        f"INPUT.CLASSIFICATION.TRAIN_PADDING is {10**20}; it has to be between 0 and 8192",
    ),
    (
        {IMAGE + "RESIZE_TEST": 100_000},
        "INPUT.CLASSIFICATION.RESIZE_TEST is 100000; it has to be between 1 and 8192",
    ),
    (
        {IMAGE + "LIGHTING": math.inf},
        "INPUT.CLASSIFICATION.LIGHTING is inf; it has to be between 0 and 100",
    ),
    (
        {"TEST.MORE_CROPS": [[9000, 9000]]},
        "TEST.MORE_CROPS has [9000, 9000]; a short side has at most 8192 pixels",
    ),
    ({"SOLVER.MIXUP_ALPHA": math.inf}, "SOLVER.MIXUP_ALPHA is inf; it has to be at least 0"),
    (
        {"SOLVER.CUTMIX_ALPHA": 1e-320},
        "SOLVER.CUTMIX_ALPHA is 1e-320; it has to be 0, or at least 1e-06",
    ),
    ({IMAGE + "TRAIN_RATIO": [1.0]}, "INPUT.CLASSIFICATION.TRAIN_RATIO is [1.0]; it has"),
    ({IMAGE + "TRAIN_RATIO": [0.0, 1.0]}, "INPUT.CLASSIFICATION.TRAIN_RATIO is [0.0, 1.0]; it has"),
    (
        {"SOLVER.IMS_PER_BATCH": 1, IMAGE + "TRAIN_CROP": 32, "MODEL.RESNETS.NORM": "BN"},
        "SOLVER.IMS_PER_BATCH is 1 and INPUT.CLASSIFICATION.TRAIN_CROP 32, which leaves",
    ),
    (
        {"SOLVER.IMS_PER_BATCH": 4, "SOLVER.GRADIENT_ACCUMULATION": 4, IMAGE + "TRAIN_CROP": 32},
        "SOLVER.IMS_PER_BATCH is 4 in 4 passes and INPUT.CLASSIFICATION.TRAIN_CROP 32, which",
    ),
    (
        {IMAGE + "COLOR_JITTER": [0.4, 0.4]},
        "INPUT.CLASSIFICATION.COLOR_JITTER is [0.4, 0.4]; it has three numbers between 0 and 1",
    ),
    (
        {IMAGE + "COLOR_JITTER": [0.4, 0.4, 1.5]},
        "INPUT.CLASSIFICATION.COLOR_JITTER is [0.4, 0.4, 1.5]; it has three numbers between",
    ),
    ({"TEST.MORE_CROPS": [320]}, "TEST.MORE_CROPS is [320]; each entry is [short side, crop]"),
    ({"TEST.MORE_CROPS": [[320]]}, "TEST.MORE_CROPS is [[320]]; each entry is [short side, crop]"),
    (
        {"TEST.MORE_CROPS": [[320, 0]]},
        "TEST.MORE_CROPS is [[320, 0]]; each entry is [short side, crop]",
    ),
    (
        {"TEST.MORE_CROPS": [[320, 288], [288, 320]]},
        "TEST.MORE_CROPS has [288, 320], whose crop does not fit into its short side",
    ),
    (
        {"TEST.MORE_CROPS": [[320, 288], [320, 288]]},
        "TEST.MORE_CROPS is [[320, 288], [320, 288]]; name each once",
    ),
    (
        {"TEST.TEN_CROP": True, "DATASETS.TEST": []},
        "TEST.TEN_CROP is True and DATASETS.TEST empty; name a test set",
    ),
    (
        {"SOLVER.LABEL_SMOOTHING": 1.5},
        "SOLVER.LABEL_SMOOTHING is 1.5; it has to be between 0 and 1",
    ),
    ({"SOLVER.MIXUP_ALPHA": -0.2}, "SOLVER.MIXUP_ALPHA is -0.2; it has to be at least 0"),
    ({"MODEL.CLASSIFIER.INIT": "he"}, "MODEL.CLASSIFIER.INIT is 'he'; it can be 'detectron2'"),
    ({"MODEL.META_ARCHITECTURE": "imageclassifier"}, "MODEL.META_ARCHITECTURE: 'imageclassifier'"),
]


@pytest.mark.parametrize(("keys", "message"), DETECTION_CASES)
def test_refused_for_detection(keys, message):
    assert refusal(DETECTION, **keys).startswith(message)


@pytest.mark.parametrize(("keys", "message"), CLASSIFICATION_CASES)
def test_refused_for_classification(keys, message):
    assert refusal(CLASSIFICATION, **keys).startswith(message)


def test_one_image_at_a_time_is_enough_for_a_larger_map():
    cfg = load_config(CLASSIFICATION).cfg.clone()
    cfg.defrost()
    cfg.SOLVER.IMS_PER_BATCH, cfg.MODEL.RESNETS.NORM = 1, "BN"
    cfg.INPUT.CLASSIFICATION.TRAIN_CROP = 33
    validate_config(cfg, where="a.yaml")


def test_a_foreign_backbone_is_not_held_to_our_fpn():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_somebodys_backbone"
    cfg.MODEL.RPN.IN_FEATURES = ["c3"]
    assert validate_config(cfg, where="a.yaml") == ()


def test_warnings_name_key_and_value():
    cfg = get_cfg()
    cfg.SOLVER.MAX_ITER = 100
    cfg.SOLVER.EMA.ENABLED = True
    cfg.SOLVER.BASE_LR = 0.0
    assert validate_config(cfg, where="a.yaml") == (
        "a.yaml: SOLVER.STEPS [30000] come after MAX_ITER 100 and have no effect",
        "a.yaml: SOLVER.WARMUP_ITERS 1000 is not below MAX_ITER 100: all of the run is warm-up",
        # 0.999**100 = exp(100 * ln 0.999) = exp(-0.10005) = 0.9048
        (
            "a.yaml: SOLVER.EMA.DECAY 0.999: after MAX_ITER 100 updates the averaged weights, "
            "which are evaluated, are still to 90 % those that training starts from; lower it"
        ),
        "a.yaml: SOLVER.BASE_LR is 0, so nothing will be learnt",
    )


def test_an_average_that_has_forgotten_its_start_is_not_warned_of():
    cfg = get_cfg()
    cfg.SOLVER.EMA.ENABLED = True
    cfg.SOLVER.MAX_ITER = 40_000
    assert validate_config(cfg, where="a.yaml") == ()


def test_steps_do_not_matter_to_a_cosine():
    cfg = get_cfg()
    cfg.SOLVER.MAX_ITER = 100
    cfg.SOLVER.WARMUP_ITERS = 99
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupCosineLR"
    assert validate_config(cfg, where="a.yaml") == ()


def test_frozen_norms_need_weights():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    with pytest.raises(UserError, match=r"MODEL.WEIGHTS is empty and .*NORM is FrozenBN"):
        check_weights(cfg)
    cfg.MODEL.WEIGHTS = "a.pth"
    check_weights(cfg)


def test_frozen_layers_need_weights():
    cfg = get_cfg()
    cfg.MODEL.RESNETS.NORM = "BN"
    with pytest.raises(UserError, match=r"MODEL.WEIGHTS is empty and .*FREEZE_AT is 2"):
        check_weights(cfg)
    cfg.MODEL.WEIGHTS = "a.pth"
    check_weights(cfg)
    cfg.MODEL.WEIGHTS, cfg.MODEL.BACKBONE.FREEZE_AT = "", 0
    check_weights(cfg)
