"""What a classifier's files say of the weights it started from. Engine-neutral."""

import json

import pytest
import torch

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import with_digest, write_beside

QUICK = ("SOLVER.MAX_ITER", 2, "SOLVER.STEPS", [], "TEST.EVAL_PERIOD", 0)
LICENCE = ("MODEL.WEIGHTS_LICENCE_POLICY", "commercial")


@pytest.fixture
def start(tmp_path):
    """A ResNet-18 of five classes with a side-car."""
    torch.manual_seed(0)
    state = build_classifier("resnet18", 5).state_dict()
    torch.save(state, tmp_path / "start.pth")
    known = SideCar(origin="timm://resnet18.fb_ssl_yfcc100m_ft_in1k", licence="cc-by-nc-4.0")
    write_beside(tmp_path / "start.pth", with_digest(known, state))
    return tmp_path / "start.pth"


def test_the_licence_goes_from_file_to_checkpoint_to_result(load, datasets, tmp_path, start):
    train_classifier(load(*QUICK, "MODEL.WEIGHTS", start), datasets)
    trained = json.loads((tmp_path / "run/result.json").read_text())["weights"]
    assert trained["loaded"]["mismatched"] == {"tensors": 2, "parameters": 3 * 512 + 3}
    assert trained["loaded"]["share"]["backbone"] == 1.0
    kept = torch.load(tmp_path / "run/model_final.pth", weights_only=True)["started_from"]
    assert kept == {key: value for key, value in trained.items() if key != "loaded"}
    assert (kept["source"], kept["licence"]) == (str(start), "CC-BY-NC-4.0")
    path = tmp_path / "run/model_final.pth"
    result = evaluate_classifier(load("MODEL.WEIGHTS", path, output="again"), datasets)
    assert result["weights"]["source"] == str(path)
    assert result["weights"]["origin"] == "timm://resnet18.fb_ssl_yfcc100m_ft_in1k"
    assert result["weights"]["loaded"]["share"]["parameters"] == 1.0


def test_a_run_that_goes_on_keeps_it(load, datasets, tmp_path, start):
    ema = (*QUICK, "SOLVER.EMA.ENABLED", True, "MODEL.WEIGHTS", start)
    train_classifier(load(*ema), datasets)
    longer = (*ema[2:], "SOLVER.MAX_ITER", 3, "MODEL.WEIGHTS", "gone.pth")
    result = train_classifier(load(*longer), datasets, resume=True)
    assert "loaded" not in result["weights"]
    assert result["weights"]["licence"] == "CC-BY-NC-4.0"


def test_from_scratch(load, datasets):
    result = train_classifier(load(*QUICK), datasets)
    assert result["weights"] == {"origin": "trained from scratch"}


def test_the_policy_holds_for_training_evaluating_and_going_on(load, datasets, tmp_path, start):
    with pytest.raises(UserError, match=r"start\.pth is under CC-BY-NC-4\.0, which forbids"):
        train_classifier(load(*LICENCE, "MODEL.WEIGHTS", start, output="new"), datasets)
    train_classifier(load(*QUICK, "MODEL.WEIGHTS", start), datasets)
    path = tmp_path / "run/model_final.pth"
    with pytest.raises(UserError, match=r"model_final\.pth is under CC-BY-NC-4\.0"):
        evaluate_classifier(load(*LICENCE, "MODEL.WEIGHTS", path, output="eval"), datasets)
    with pytest.raises(UserError, match=r"model_final\.pth is under CC-BY-NC-4\.0"):
        train_classifier(load(*LICENCE, "SOLVER.MAX_ITER", 4), datasets, resume=True)


def test_the_number_of_classes_is_that_of_the_weights_names(load, datasets, tmp_path, caplog):
    train_classifier(load(*QUICK), datasets)
    path = tmp_path / "run/model_final.pth"
    with caplog.at_level("INFO"):
        evaluate_classifier(load("MODEL.WEIGHTS", path, output="eval"), datasets)
    said = f"MODEL.CLASSIFIER.NUM_CLASSES is set to 3: {path} was trained on 3 classes"
    assert said in caplog.text
