"""The learning rate that is suggested, by its rule. Engine-neutral."""

import pytest

from resnext_det.training.non_finite.advice import suggested_rate, what_to_try


@pytest.mark.parametrize(
    ("keys", "value", "rule"),
    [
        (("SOLVER.BASE_LR", 1e6, "SOLVER.IMS_PER_BATCH", 2), 0.02 * 2 / 16, "usual for 2 images"),
        (("SOLVER.BASE_LR", 0.02), 0.01, "half of it"),
        (("SOLVER.BASE_LR", 0.04), 0.02, "half of it"),
        (("MODEL.META_ARCHITECTURE", "RetinaNet", "SOLVER.BASE_LR", 1.0), 0.01, "usual for 16"),
        (
            ("MODEL.META_ARCHITECTURE", "ImageClassifier", "SOLVER.BASE_LR", 9.0),
            0.1 * 16 / 256,
            "usual for 16 images per update",
        ),
        (("LAZY_CONFIG", "optimizer: …", "SOLVER.BASE_LR", 9.0), 4.5, "half of it"),
    ],
    ids=["far too large", "usual", "twice", "dense", "classification", "other optimizer"],
)
def test_half_or_the_usual_one(cfg, keys, value, rule):
    cfg.merge_from_list(list(keys))
    rate = suggested_rate(cfg)
    assert rate.value == pytest.approx(value)
    assert rate.rule.startswith(rule)
    assert rate.rule.endswith("a rule of thumb")


def test_never_above_the_config_files_own_rate(cfg):
    cfg.SOLVER.BASE_LR = 1e6
    rate = suggested_rate(cfg, recipe=0.005)
    assert rate.value == 0.005
    assert rate.rule == "the config file's for 16 images per update; a rule of thumb"
    assert suggested_rate(cfg, recipe=0.5).value == pytest.approx(0.02)  # the usual one is lower
    cfg.SOLVER.BASE_LR = 0.004
    assert suggested_rate(cfg, recipe=0.005).value == 0.002  # half of the run's is


def test_data_come_before_weights_and_these_before_the_rate(cfg):
    rate = suggested_rate(cfg)
    given = {"bad_data": "a.jpg: 0.image", "bad_weight": "fc.bias", "checkpoint": "out/model_4.pth"}
    assert what_to_try(rate, **given) == (
        "the batch itself is not finite (a.jpg: 0.image): mend its data"
    )
    assert what_to_try(rate, **{**given, "bad_data": ""}) == (
        "fc.bias was not finite before it, by an earlier update: try SOLVER.BASE_LR 0.02 (usual "
        "for 16 images per update; a rule of thumb) in another OUTPUT_DIR from MODEL.WEIGHTS "
        "out/model_4.pth"
    )
    assert what_to_try() == "try a lower SOLVER.BASE_LR, or SOLVER.CLIP_GRADIENTS.ENABLED True"
