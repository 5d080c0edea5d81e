"""What a trained classifier's checkpoint gives a detector: the same features, to the bit."""

import pytest
import torch

from resnext_det.classification import train_classifier
from resnext_det.config import load_config
from resnext_det.engines.base import resolve_engine
from resnext_det.modeling.from_config import backbone_from_config, classifier_from_config
from resnext_det.weights.config_of_weights import apply_to_config
from resnext_det.weights.load import load_weights
from resnext_det.weights.sources import resolve_weights

STAGES = ("res2", "res3", "res4", "res5")
NET = ("MODEL.RESNETS.DEPTH", 26, "MODEL.RESNETS.NUM_GROUPS", 8, "MODEL.RESNETS.WIDTH_PER_GROUP", 4)
RECIPE = (
    *NET,
    *("MODEL.RESNETS.RES2_OUT_CHANNELS", 32, "MODEL.RESNETS.STEM_OUT_CHANNELS", 16),
    *("SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.5, "MODEL.CLASSIFIER.INIT", "torch7"),
    *("SOLVER.MAX_ITER", 3, "SOLVER.STEPS", [], "TEST.EVAL_PERIOD", 0),
)


@pytest.mark.parametrize("engine", ["portable", pytest.param("d2", marks=pytest.mark.d2)])
def test_features_of_all_stages_are_equal_to_the_bit(engine, load, datasets, tmp_path):
    train_classifier(load(*RECIPE), datasets)
    path = tmp_path / "run/model_final.pth"
    weights = resolve_weights(str(path))
    words = (
        *RECIPE[:10],
        *("MODEL.WEIGHTS", path, "MODEL.BACKBONE.FREEZE_AT", 2, "MODEL.DEVICE", "cpu"),
    )
    loaded = load_config(
        "resnext_det://quick_schedules/faster_rcnn_X_26_FPN.yaml", [str(word) for word in words]
    )
    cfg = apply_to_config(loaded.cfg, loaded.user_given, weights)
    detector = resolve_engine(engine).build_model(cfg)
    report = load_weights(detector, weights, min_share=1.0)
    assert report.backbone_share == 1.0
    assert set(report.unexpected) == {"linear.weight", "linear.bias"}

    content = torch.load(path, weights_only=True)
    classifier_cfg = load(*RECIPE, "MODEL.CLASSIFIER.NUM_CLASSES", 3).cfg
    plain = backbone_from_config(classifier_cfg, out_features=STAGES)
    missing, unexpected = plain.load_state_dict(content["model"], strict=False)
    assert (missing, set(unexpected)) == ([], {"linear.weight", "linear.bias"})
    classifier = classifier_from_config(classifier_cfg)
    classifier.load_state_dict(content["model"])
    trained = content["training_model"]
    assert not torch.equal(trained["res5.1.conv2.weight"], content["model"]["res5.1.conv2.weight"])

    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = detector.backbone.bottom_up.eval()(images)
        expected = plain.eval()(images)
        logits = classifier.eval()(images)
        again = classifier.linear(torch.flatten(classifier.avgpool(found["res5"]), 1))
    assert list(found) == list(STAGES)
    for stage in STAGES:
        assert found[stage].abs().max() > 0
        assert torch.equal(found[stage], expected[stage]), stage
    assert torch.equal(logits, again)
