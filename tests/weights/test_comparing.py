"""Two files beside each other: equal, near, other, of other names. Engine-neutral."""

import json
import math
from dataclasses import replace

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.weights.comparing import compare_weights
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import write_beside
from resnext_det.weights.sources import weights_from_state
from tests.weights.inspected_files import torchvision_state

CONV = "layer1.0.conv1.weight"
OURS = "res2.0.conv1.weight"


@pytest.fixture(scope="module")
def state():
    return torchvision_state()


@pytest.fixture
def compared(tmp_path):
    def compare(a, b, **kwargs):
        for name, content in (("a.pth", a), ("b.pth", b)):
            torch.save(content, tmp_path / name)
        found = compare_weights(str(tmp_path / "a.pth"), str(tmp_path / "b.pth"), **kwargs)
        json.dumps(found.as_json(), allow_nan=False)
        return found

    return compare


def test_the_same_file(compared, state):
    found = compared(state, state)
    assert found.is_same
    assert found.backbone_is_same
    assert len(found.equal) == len(state)
    assert (found.only_a, found.only_b, found.reshaped, found.differing) == ((), (), {}, ())
    assert found.fields == {}


def test_other_names_and_a_detectors_prefix(compared, state):
    ours = weights_from_state(state, "x").state
    detector = {f"backbone.bottom_up.{k}": v for k, v in ours.items() if "linear" not in k}
    detector = {k: v for k, v in detector.items() if "num_batches" not in k}
    assert compared(state, ours).is_same
    found = compared(state, detector)
    assert (found.is_same, found.backbone_is_same) == (False, True)
    assert (found.only_a, found.only_b) == (("linear.weight", "linear.bias"), ())
    assert all("num_batches" in name for name in found.ignored)
    assert found.fields["naming"] == ("torchvision", "detectron2")


def test_differences_are_measured_the_worst_first(compared, state):
    other = {k: v.clone() for k, v in state.items()}
    other[CONV][0, 0, 0, 0] += 0.25
    other["fc.bias"][:2] += 0.5
    other["fc.weight"] = torch.zeros(3, 512)
    del other["bn1.bias"]
    other["extra"] = torch.zeros(1)
    found = compared(state, {k: v for k, v in other.items() if k != "extra"})
    assert not found.is_same
    assert not found.backbone_is_same
    assert [t.name for t in found.differing] == ["linear.bias", OURS]
    worst, second = found.differing
    assert (worst.count, worst.total) == (2, 5)
    assert worst.largest == pytest.approx(0.5, abs=1e-6)
    assert (second.count, second.largest) == (1, pytest.approx(0.25, abs=1e-6))
    assert second.relative == pytest.approx(0.25 / float(state[CONV].abs().max()), rel=1e-5)
    assert found.only_a == ("stem.conv1.norm.bias",)
    assert found.reshaped == {"linear.weight": ([5, 512], [3, 512])}


def test_tolerance(compared, state):
    other = state | {CONV: state[CONV] + 1e-6}
    assert not compared(state, other).is_same
    found = compared(state, other, tolerance=1e-5)
    assert found.is_same
    assert found.within == (OURS,)


def test_bits_signs_of_zero_and_nan(compared):
    a = {"x": torch.tensor([0.0, math.nan]), "y": torch.tensor([1.0, math.nan])}
    b = {"x": torch.tensor([-0.0, math.nan]), "y": torch.tensor([1.0, 2.0])}
    found = compared(a, b)
    assert found.within == ("x",)  # equal as numbers, not to the bit
    (differing,) = found.differing
    assert (differing.name, differing.largest, differing.count) == ("y", math.inf, 1)
    assert compared(a, a).equal == ("x", "y")


def test_other_kinds_of_numbers(compared):
    a = {"x": torch.tensor([0.5, 1.0])}
    found = compared(a, {"x": a["x"].half()})
    assert found.is_same
    assert found.retyped == {"x": ("float32", "float16")}
    assert not compared({"x": torch.tensor([0.1])}, {"x": torch.tensor([0.1]).half()}).is_same


def test_empty_files_and_tensors(compared):
    assert compared({}, {}).is_same
    assert compared({"x": torch.zeros(0)}, {"x": torch.zeros(0)}).is_same
    assert compared({}, {"x": torch.zeros(0)}).only_b == ("x",)


def test_what_is_known_of_them(compared, state, tmp_path):
    usual = torchvision_convention()
    write_beside(tmp_path / "a.pth", SideCar(licence="MIT", convention=usual))
    bgr = replace(usual, format="BGR")
    write_beside(tmp_path / "b.pth", SideCar(convention=bgr, class_names=tuple("abcde")))
    found = compared(state, state)
    assert found.fields["licence"] == ("MIT", None)
    assert found.fields["class_names"] == (None, list("abcde"))
    assert found.fields["convention"][1]["format"] == "BGR"
    assert not found.is_same  # the same numbers, for other pixels
    assert found.backbone_is_same


def test_two_backbones_in_one_file_keep_their_names(compared, state):
    ours = weights_from_state(state, "x").state
    both = {f"{side}.{k}": v for side in ("student", "teacher") for k, v in ours.items()}
    found = compared(both, both)
    assert found.is_same
    assert f"student.{OURS}" in found.equal


def test_a_file_that_is_not_there(tmp_path, state):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"b\.pth: no such file"):
        compare_weights(str(tmp_path / "a.pth"), str(tmp_path / "b.pth"))
