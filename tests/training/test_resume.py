"""With each feature on, a resumed run is the uninterrupted one to the bit. Engine-neutral."""

import copy
import json
from pathlib import Path

import pytest
import torch

from resnext_det.config import with_values
from resnext_det.training.checkpoint import load_checkpoint
from tests.training.conftest import NormNet
from tests.training.runs import Interrupted, assert_equal, train

FEATURES = {
    "nothing more": {},
    "bfloat16": {"SOLVER.AMP.ENABLED": True, "SOLVER.AMP.DTYPE": "bfloat16"},
    "passes": {"SOLVER.GRADIENT_ACCUMULATION": 2},
    "average": {"SOLVER.EMA.ENABLED": True, "SOLVER.EMA.DECAY": 0.9},
    "clipping": {"SOLVER.CLIP_GRADIENTS.ENABLED": True, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": 0.01},
    "pruning": {"SOLVER.KEEP_CHECKPOINTS": 1},
    "best": {"TEST.BEST_METRIC": "top1", "TEST.EVAL_PERIOD": 1, "TEST.PATIENCE": 4},
}
FEATURES["all"] = {key: value for feature in FEATURES.values() for key, value in feature.items()}


def evaluate(model, iteration):
    model.eval()
    torch.rand(3)  # whatever an evaluation draws must not matter
    return {"top1": model.fc.weight.sum().item()}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_resumed_run_is_the_uninterrupted_one(cfg, tmp_path, feature):
    torch.manual_seed(0)
    whole = NormNet(dropout=0.5)
    cut = copy.deepcopy(whole)
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.CHECKPOINT_PERIOD = 4, 3
    cfg.freeze()
    cfg = with_values(cfg, FEATURES[feature])
    train(with_values(cfg, {"OUTPUT_DIR": str(tmp_path / "whole")}), whole, evaluate=evaluate)
    cfg = with_values(cfg, {"OUTPUT_DIR": str(tmp_path / "cut")})
    with pytest.raises(Interrupted):
        train(cfg, cut, evaluate=evaluate, interrupt_after=3)
    torch.rand(7)
    train(cfg, copy.deepcopy(cut), evaluate=evaluate, resume=True)
    contents = [load_checkpoint(tmp_path / run / "model_final.pth") for run in ("whole", "cut")]
    assert_equal(*contents)
    files = [{p.name for p in (tmp_path / run).glob("*.pth")} for run in ("whole", "cut")]
    assert files[0] == files[1]
    if "TEST.BEST_METRIC" in FEATURES[feature]:
        best = [load_checkpoint(tmp_path / run / "model_best.pth") for run in ("whole", "cut")]
        assert_equal(*best)
        evaluations = [_evaluations(tmp_path / run) for run in ("whole", "cut")]
        assert evaluations[0] == evaluations[1]


def test_the_average_differs_from_what_is_trained(cfg, norm_net):
    train(with_values(cfg, FEATURES["average"]), norm_net)
    content = load_checkpoint(Path(cfg.OUTPUT_DIR) / "model_final.pth")
    assert content["ema"] == {"updates": 10}
    assert not torch.equal(content["model"]["fc.weight"], content["training_model"]["fc.weight"])


def _evaluations(folder: Path) -> list:
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    return [line for line in lines if "top1" in line]
