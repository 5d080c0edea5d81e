"""pycls' networks in ours and back: names to the letter, equal logits. Engine-neutral.

What the library itself computed is in golden/pycls.json; see make_foreign_golden.
"""

import json
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.weights.naming.pycls import PYCLS, pycls_convention
from resnext_det.weights.sources import resolve_weights, weights_from_checkpoint
from tests.weights.naming.foreign import digest_of_names, fill, pycls_cifar_shapes, pycls_shapes
from tests.weights.naming.ours import answer, assert_close

GOLDEN = json.loads((Path(__file__).parent / "golden" / "pycls.json").read_text())["networks"]
SHAPES = {
    "resnet50": pycls_shapes(50),
    "resnet101": pycls_shapes(101),
    "resnet152": pycls_shapes(152),
    "resnet50_msra": pycls_shapes(50),
    "resnext50_32x4d": pycls_shapes(50, 32, 4),
    "resnext50_32x4d_anynet": pycls_shapes(50, 32, 4),
    "resnext101_32x4d": pycls_shapes(101, 32, 4),
    "resnet20_cifar": pycls_cifar_shapes(3),
}
QUICK = ("resnet50", "resnet50_msra", "resnext50_32x4d_anynet")
NETWORKS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in SHAPES
    if name != "resnet20_cifar"  # of a width and a depth that our networks do not have
]


def checkpoint(network, **entries):
    """As pycls saves it, but for the optimizer."""
    state = fill(SHAPES[network])
    return {"epoch": 99, "model_state": state, "cfg": GOLDEN[network]["config"], **entries}


@pytest.mark.parametrize("network", SHAPES)
def test_names_written_down_here_are_the_librarys(network):
    assert SHAPES.keys() == GOLDEN.keys()
    assert digest_of_names(SHAPES[network]) == GOLDEN[network]["crc32"]


@pytest.mark.parametrize("network", NETWORKS)
def test_logits_are_the_librarys(network, tmp_path):
    torch.save(checkpoint(network), tmp_path / "net.pyth")
    weights = resolve_weights(str(tmp_path / "net.pyth"))
    assert weights.convention == pycls_convention(stride_in_1x1=network == "resnet50_msra")
    assert (weights.side_car.naming, weights.side_car.norm_eps) == ("pycls", 1e-5)
    assert_close(answer(weights, network), GOLDEN[network]["logits"])


@pytest.mark.parametrize("network", ["resnext50_32x4d", "resnet20_cifar"])
def test_theirs_to_ours_and_back_is_the_same_to_the_bit(network):
    state = fill(SHAPES[network])
    back = PYCLS.from_ours(weights_from_checkpoint({"model_state": state}, "x.pyth").state)
    assert list(back) == list(state)
    assert all(back[key] is state[key] for key in state)


def test_cifars_images_are_in_rgb():
    found = weights_from_checkpoint(checkpoint("resnet20_cifar"), "x.pyth").convention
    assert (found.format, found.mean) == ("RGB", (125.3, 123.0, 113.9))


@pytest.mark.parametrize(
    ("errors", "taken"),
    [
        ({"test_err": 23.0, "ema_err": 22.0}, "averaged"),
        ({"test_err": 22.0, "ema_err": 22.0}, "trained"),
        ({"test_err": 22.0}, "trained"),
        ({"ema_err": 22.0}, "averaged"),
        ({}, "trained"),
    ],
    ids=["averaged-better", "equal", "averaged-unknown", "trained-unknown", "older"],
)
def test_the_better_of_trained_and_averaged_weights_is_taken(errors, taken, caplog):
    state = fill(SHAPES["resnet20_cifar"])
    averaged = {key: value + 1 for key, value in state.items()}
    content = {"model_state": state, "ema_state": averaged, **errors}
    with caplog.at_level("INFO"):
        found = weights_from_checkpoint(content, "x.pyth").state["linear.bias"]
    expected = {"trained": state, "averaged": averaged}[taken]["head.fc.bias"]
    assert torch.equal(found, expected)
    assert ("its averaged weights (ema_state) are taken" in caplog.text) is (taken == "averaged")


def test_the_epsilon_in_the_config_goes_into_the_variances():
    usual = weights_from_checkpoint(checkpoint("resnet20_cifar"), "x.pyth")
    content = checkpoint("resnet20_cifar", cfg="BN:\n  EPS: 0.001\n")
    found = weights_from_checkpoint(content, "x.pyth")
    assert found.side_car.norm_eps == 1e-5
    name = "stem.conv1.norm.running_var"
    torch.testing.assert_close(found.state[name] + 1e-5, usual.state[name] + 1e-3)
    assert (found.state[name] > usual.state[name]).all()


@pytest.mark.parametrize("text", ["a: b: c", "[1]", "", 7, "BN: 1", "BN: {EPS: 2.0}", "{" * 3000])
def test_a_config_that_cannot_be_read_is_none(text):
    content = {"model_state": fill(SHAPES["resnext50_32x4d"]), "cfg": text}
    found = weights_from_checkpoint(content, "x.pyth")
    assert found.convention == pycls_convention()
    assert found.side_car.norm_eps is None


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("s1.b1.f.se.f_ex.0.weight", r"attention over channels \(s1.b1.f.se.f_ex.0.weight\)"),
        ("s1.b0.f.a.weight", "s1.b0.f.a.weight"),
        ("s5.b1.f.a.weight", "s5.b1.f.a.weight"),
        ("s1.b1.f.d.weight", "s1.b1.f.d.weight"),
        ("head.conv.weight", "head.conv.weight"),
    ],
)
def test_what_no_plain_resnet_has_is_refused_by_name(extra, told):
    state = fill(SHAPES["resnet20_cifar"]) | {extra: torch.ones(1)}
    with pytest.raises(UserError, match=f"x.pyth: no plain ResNet or ResNeXt, it also has {told}"):
        weights_from_checkpoint({"model_state": state}, "x.pyth")


def test_a_regnet_is_told_by_its_stem():
    state = fill(SHAPES["resnext50_32x4d"]) | {"stem.conv.weight": torch.ones(64, 3, 3, 3)}
    with pytest.raises(UserError, match="a 3x3 stem before bottleneck blocks, .* a RegNet"):
        weights_from_checkpoint({"model_state": state}, "x.pyth")
