"""The moving average of the weights: its formula and where it is used. Engine-neutral."""

import torch

from resnext_det.training.averaging import AveragedWeights
from resnext_det.training.checkpoint import Checkpointer, load_checkpoint
from tests.training.runs import train


def step(net):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 1.0
    net(torch.rand(4, 3, 8, 8))  # moves the running statistics and their counter


def test_it_is_an_exponential_moving_average_of_weights_and_statistics(norm_net):
    averaged = AveragedWeights(norm_net, decay=0.75)
    expected = {}
    for update in range(4):
        step(norm_net)
        averaged.update(norm_net)
        for name, value in norm_net.state_dict().items():
            if update == 0 or not value.is_floating_point():
                expected[name] = value.clone()
            else:
                expected[name] = 0.75 * expected[name] + 0.25 * value
    assert expected["norm.num_batches_tracked"] == 4
    state = averaged.model.state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=1e-6, atol=1e-6)
    assert not torch.equal(state["fc.weight"], norm_net.fc.weight)


def test_the_average_is_what_is_evaluated_and_exported(cfg, norm_net, tmp_path):
    cfg.SOLVER.EMA.ENABLED, cfg.SOLVER.EMA.DECAY = True, 0.9
    cfg.TEST.EVAL_PERIOD, cfg.TEST.BEST_METRIC = 5, "top1"
    evaluated = []

    def evaluate(model, iteration):
        evaluated.append(model.fc.weight.clone())
        return {"top1": float(iteration)}

    train(cfg, norm_net, evaluate=evaluate)
    content = load_checkpoint(tmp_path / "run/model_final.pth")
    assert torch.equal(content["training_model"]["fc.weight"], norm_net.fc.weight)
    assert torch.equal(content["model"]["fc.weight"], evaluated[-1])
    assert not torch.equal(content["model"]["fc.weight"], norm_net.fc.weight)
    best = load_checkpoint(tmp_path / "run/model_best.pth")
    assert torch.equal(best["model"]["fc.weight"], evaluated[-1])
    assert "training_model" not in best


def test_without_it_the_checkpoint_holds_the_weights_once(cfg, norm_net):
    train(cfg, norm_net)
    latest = Checkpointer(cfg.OUTPUT_DIR).latest()
    assert latest is not None
    content = load_checkpoint(latest)
    assert "training_model" not in content
    assert "ema" not in content
    assert torch.equal(content["model"]["fc.weight"], norm_net.fc.weight)
