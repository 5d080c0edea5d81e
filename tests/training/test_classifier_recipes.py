"""The shipped classifiers' schedules and updates, by their formulas. Engine-neutral."""

import math

import numpy as np
import pytest
import torch

from resnext_det.config import load_config
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.optimizer import build_optimizer
from resnext_det.training.schedule import build_lr_schedule
from tests.training.conftest import NormNet

IMAGES = 1_281_167
STEPS = {
    "Base-Classification.yaml": (256, 0.1),
    "Base-Classification-Paper.yaml": (256, 0.1),
}
MODERN = (1024, 0.5, 300, 5, 0.01)  # batch, rate, epochs, of warm-up, its first share
SPARSE = 997  # iterations between two that are checked, beside all around an edge
EVERY = [pytest.param(1, marks=pytest.mark.slow), SPARSE]


def recipe(name, batch=None):
    words = [] if batch is None else ["SOLVER.IMS_PER_BATCH", str(batch)]
    return load_config(f"resnext_det://{name}", words).cfg


def iterations(length, edges, step):
    near = {e + d for e in edges for d in range(-3, 4) if 0 <= e + d < length}
    return sorted({*range(0, length, step), *near, length - 1})


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("batch", [None, 32, 1024, 384])
@pytest.mark.parametrize("name", STEPS)
def test_steps_are_the_papers_at_every_iteration(name, batch, step):
    """A tenth of the rate after each 30 epochs of 100; edges fall on whole iterations."""
    reference, rate = STEPS[name]
    size = batch or reference
    schedule = build_lr_schedule(recipe(name, batch))
    rounding = 1 + reference / size  # of the shipped numbers, scaled, and of the scaled ones
    assert schedule.max_iter == pytest.approx(100 * IMAGES / size, abs=rounding)
    period = 30 * IMAGES  # images between two edges
    top, worst = rate * size / reference, 0.0
    for i in iterations(schedule.max_iter, [k * period // size for k in (1, 2, 3)], step):
        passed, over = divmod(i * size, period)
        if i > rounding and min(over, period - over) <= rounding * size:
            continue  # within the rounding of an edge
        worst = max(worst, abs(schedule.lr_at(i) - top * 0.1**passed))
    assert worst <= 1e-12


@pytest.mark.parametrize("step", EVERY)
@pytest.mark.parametrize("batch", [None, 256, 4096])
def test_cosine_with_warmup_is_the_closed_formula_at_every_iteration(batch, step):
    reference, rate, epochs, warm_epochs, share = MODERN
    size = batch or reference
    schedule = build_lr_schedule(recipe("Base-Classification-Modern.yaml", batch))
    warm, length = (round(e * IMAGES / reference) for e in (warm_epochs, epochs))
    if batch:
        warm, length = (round(n * reference / size) for n in (warm, length))
    assert schedule.max_iter == length
    top, worst = rate * size / reference, 0.0
    for i in iterations(length, [warm], step):
        if i < warm:
            expected = top * (share + (1 - share) * i / warm)
        else:
            expected = top * (1 + math.cos(math.pi * (i - warm) / (length - warm))) / 2
        worst = max(worst, abs(schedule.lr_at(i) - expected))
    assert worst <= 1e-12


def decays(name):
    cfg = recipe(name, None).clone()
    cfg.defrost()
    cfg.MODEL.RESNETS.DEPTH = 26
    with torch.device("meta"):
        model = classifier_from_config(cfg)
    names = {parameter: key for key, parameter in model.named_parameters()}
    return {
        names[parameter]: group["weight_decay"]
        for group in build_optimizer(cfg, model).param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("name", STEPS)
def test_the_paper_decays_every_parameter(name):
    found = decays(name)
    assert len(found) == 1 + 8 * 3 + 4 + 2 * (1 + 8 * 3 + 4) + 2
    assert set(found.values()) == {0.0001}


def test_the_modern_recipe_decays_neither_norms_nor_biases():
    found = decays("Base-Classification-Modern.yaml")
    plain = {key for key, decay in found.items() if decay == 0}
    assert plain == {key for key in found if ".norm." in key or key == "linear.bias"}
    assert {decay for key, decay in found.items() if key not in plain} == {0.00002}


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_torch7s(cfg, nesterov):
    """Torch7's optim.sgd, dampening 0, over ten updates with a changing rate, in float64."""
    cfg.SOLVER.update({"NESTEROV": nesterov, "WEIGHT_DECAY": 1e-2, "WEIGHT_DECAY_NORM": 1e-2})
    cfg.SOLVER.update({"MOMENTUM": 0.9, "BASE_LR": 0.1, "WARMUP_ITERS": 0})
    torch.manual_seed(0)
    model = NormNet().double()
    optimizer, schedule = build_optimizer(cfg, model), build_lr_schedule(cfg)
    parameters = list(model.parameters())
    x = [parameter.detach().numpy().copy() for parameter in parameters]
    memory = [None] * len(x)
    random = np.random.default_rng(1)
    rates = [0.1] * 6 + [0.01] * 2 + [0.001] * 2  # SOLVER.STEPS 6 and 8
    for i, rate in enumerate(rates):
        gradients = [random.standard_normal(value.shape) for value in x]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        schedule.apply(optimizer, i)
        optimizer.step()
        for place, gradient in enumerate(gradients):
            gradient = gradient + 1e-2 * x[place]
            old = memory[place]
            memory[place] = gradient if old is None else 0.9 * old + gradient
            step = gradient + 0.9 * memory[place] if nesterov else memory[place]
            x[place] = x[place] - rate * step
    for parameter, expected in zip(parameters, x, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=0, atol=1e-12)
