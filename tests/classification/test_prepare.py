"""What cannot work is refused before data or weights are read. Engine-neutral."""

import pytest

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.data.catalog import DatasetEntry
from resnext_det.errors import UserError
from tests.classification.conftest import write_folder

# No data set is there, and no file of weights: each mistake is found without.
TRAINING = {
    "one image to mix": (
        ("SOLVER.MIXUP_ALPHA", 0.2, "SOLVER.IMS_PER_BATCH", 1, "MODEL.RESNETS.NORM", "GN"),
        r"SOLVER.MIXUP_ALPHA is 0.2, but SOLVER.IMS_PER_BATCH 1 leaves one image",
    ),
    "one image in a pass": (
        ("SOLVER.CUTMIX_ALPHA", 1.0, "SOLVER.GRADIENT_ACCUMULATION", 6, "MODEL.RESNETS.NORM", "GN"),
        r"SOLVER.CUTMIX_ALPHA is 1.0, but SOLVER.IMS_PER_BATCH 6 leaves one image",
    ),
    "frozen from scratch": (("MODEL.BACKBONE.FREEZE_AT", 2), "MODEL.BACKBONE.FREEZE_AT is 2"),
    "no training set": (("DATASETS.TRAIN", []), "DATASETS.TRAIN is empty"),
    "two test sets": (("DATASETS.TEST", ["a", "b"]), r"DATASETS.TEST names 2 sets \(a, b\)"),
    "another's key": (("MODEL.RPN.NMS_THRESH", 0.5), "does not honour MODEL.RPN.NMS_THRESH"),
    "no schedule": (
        ("SOLVER.WARMUP_METHOD", "linear", "SOLVER.STEPS", [3, 3]),
        r"SOLVER: WarmupMultiStepLR with STEPS \[3, 3\]",
    ),
    "checkpointing and compilation": (
        ("SOLVER.COMPILE", True, "MODEL.RESNETS.ACTIVATION_CHECKPOINTING", True),
        "ACTIVATION_CHECKPOINTING are both True",
    ),
}
EVALUATION = {
    "another's key": (("MODEL.RPN.NMS_THRESH", 0.5), "does not honour MODEL.RPN.NMS_THRESH"),
    "no test set": (("DATASETS.TEST", []), "DATASETS.TEST is empty"),
    "two test sets": (("DATASETS.TEST", ["a", "b"]), r"DATASETS.TEST names 2 sets \(a, b\)"),
}


@pytest.fixture
def nowhere(tmp_path):
    names = ("toy_train", "toy_val")
    return {name: DatasetEntry(name, None, tmp_path / "nowhere" / name) for name in names}


@pytest.mark.parametrize("mistake", TRAINING)
def test_training(load, nowhere, mistake):
    pairs, message = TRAINING[mistake]
    with pytest.raises(UserError, match=message):
        train_classifier(load(*pairs), nowhere)


@pytest.mark.parametrize("mistake", EVALUATION)
def test_evaluation(load, nowhere, mistake):
    pairs, message = EVALUATION[mistake]
    with pytest.raises(UserError, match=message):
        evaluate_classifier(load(*pairs, "MODEL.WEIGHTS", "nowhere.pth"), nowhere)


def test_one_class_cannot_be_mixed(load, tmp_path):
    write_folder(tmp_path / "one", ("only",))
    datasets = {n: DatasetEntry(n, None, tmp_path / "one") for n in ("toy_train", "toy_val")}
    with pytest.raises(UserError, match=r"MIXUP_ALPHA is 0.2, but there is one class only"):
        train_classifier(load("SOLVER.MIXUP_ALPHA", 0.2), datasets)


def test_a_refused_run_leaves_no_folder(load, nowhere, tmp_path):
    with pytest.raises(UserError):
        train_classifier(load("DATASETS.TRAIN", []), nowhere)
    assert not (tmp_path / "run").exists()
