"""Odd numbers in weights, each made by hand. Engine-neutral."""

import math

import pytest
import torch
from torch import nn

from resnext_det.modeling import build_classifier
from resnext_det.weights.heads import Head, infer_head
from resnext_det.weights.suspicions import find_suspicions

MEAN, VAR = "res2.0.conv1.norm.running_mean", "res2.0.conv1.norm.running_var"


def kinds(tensors, head=None):
    return {found.kind: found for found in find_suspicions(tensors, head)}


def test_nothing_and_sound_numbers():
    assert find_suspicions({}) == []
    sound = {"a.weight": torch.tensor([[1.0, -2.0]]), VAR: torch.tensor([0.5]), MEAN: torch.ones(1)}
    assert find_suspicions(sound | {"n": torch.zeros((), dtype=torch.long)}) == []
    assert find_suspicions({"a.weight": torch.zeros(0, 3)}) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite(bad):
    found = kinds({"a.weight": torch.tensor([[1.0, bad]]), "b.weight": torch.ones(1)})
    assert found["not-finite"].names == ("a.weight",)
    assert set(found) == {"not-finite"}


def test_tiny_and_negative_variances():
    tensors = {VAR: torch.tensor([1e-9, 0.0, 1.0, 2e-8]), MEAN: torch.ones(4)}
    found = kinds(tensors)["tiny-variance"]
    assert found.names == (VAR,)
    assert found.text.startswith("2 running variances below 1e-08")
    assert "epsilon of 0 would give NaN" in found.text
    found = kinds({VAR: torch.tensor([-1e-3, 1e-9])})
    assert set(found) == {"negative-variance"}


def test_statistics_at_their_first_values():
    fresh = {VAR: torch.ones(2), MEAN: torch.zeros(2)}
    assert kinds(fresh)["fresh-statistics"].text.startswith("all BatchNorms have mean 0")
    other = {"x.running_var": torch.tensor([0.7]), "x.running_mean": torch.zeros(1)}
    assert kinds(fresh | other)["fresh-statistics"].text.startswith("1 of 2 BatchNorms")
    folded = {VAR: torch.ones(2) - 1e-5, MEAN: torch.zeros(2)}  # folded into scale and bias
    assert "fresh-statistics" not in kinds(folded)


def test_zeros_constants_and_extremes():
    found = kinds(
        {
            "a.weight": torch.zeros(3),
            "a.bias": torch.zeros(3),
            "b.weight": torch.full((2, 2), 0.5),
            "c.weight": torch.tensor([[1.0, -2e3]]),
            "d.running_mean": torch.tensor([2e3, 1.0]),
            "e.running_mean": torch.tensor([2e8, 1.0]),
        }
    )
    assert found["all-zero"].names == ("a.weight",)
    assert found["constant"].names == ("b.weight",)
    assert found["extreme"].names == ("c.weight", "e.running_mean")


def test_mixed_dtypes():
    found = kinds({"a": torch.rand(2), "b": torch.rand(2), "c": torch.rand(2).half()})
    assert found["mixed-dtypes"].names == ("c",)
    assert found["mixed-dtypes"].text.endswith("float16, float32")


def test_heads_as_they_were_drawn():
    torch.manual_seed(0)
    head = Head("classifier", 10, tensor="linear.weight")
    drawn = nn.Linear(512, 10)
    tensors = {"linear.weight": drawn.weight.detach(), "linear.bias": drawn.bias.detach()}
    assert "spread as a first draw" in kinds(tensors, head)["untrained-head"].text
    trained = {k: v + 0.05 * torch.randn_like(v) for k, v in tensors.items()}
    assert kinds(trained, head) == {}
    same = trained | {"linear.bias": torch.full((10,), -4.6)}  # as RetinaNet's start
    assert "all one number" in kinds(same, head)["untrained-head"].text
    assert kinds(tensors) == {}  # no head is known


def test_our_own_new_classifier_looks_new():
    torch.manual_seed(0)
    state = build_classifier("resnet18", 10).state_dict()
    assert set(kinds(state, infer_head(state))) == {"fresh-statistics", "untrained-head"}


def test_half_precision_is_looked_at():
    found = kinds({"a.weight": torch.tensor([[65504.0, 1.0]], dtype=torch.float16)})
    assert set(found) == {"extreme"}
