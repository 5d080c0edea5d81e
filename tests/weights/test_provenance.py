"""What checkpoints keep of the weights that a run started from. Engine-neutral."""

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier
from resnext_det.weights.provenance import ENTRY, kept_provenance, provenance
from resnext_det.weights.side_car import FROM_SCRATCH, SideCar
from resnext_det.weights.sources import Weights, resolve_weights


@pytest.fixture(scope="module")
def state():
    return build_classifier("resnet18", 2).state_dict()


def test_what_is_known_is_kept_and_handed_on(tmp_path, state):
    side_car = SideCar(origin="https://host/w.t7", licence="cc-by-nc-4.0")
    first = Weights(state, "w.pth", side_car, "0" * 64)
    kept = provenance(first)
    assert kept == {
        "source": "w.pth",
        "sha256": "0" * 64,
        "licence": "CC-BY-NC-4.0",
        "origin": "https://host/w.t7",
    }
    torch.save({"model": state, ENTRY: kept}, tmp_path / "model_final.pth")
    tuned = resolve_weights(str(tmp_path / "model_final.pth"))
    assert tuned.side_car.licence == "CC-BY-NC-4.0"
    assert tuned.side_car.origin == "https://host/w.t7"
    assert tuned.side_car.origin_sha256 == "0" * 64
    again = provenance(tuned)
    assert again["source"] == str(tmp_path / "model_final.pth")
    assert (again["licence"], again["origin"]) == ("CC-BY-NC-4.0", "https://host/w.t7")


def test_what_is_not_known_is_left_out(state):
    assert provenance(Weights(state, "w.pth")) == {"source": "w.pth", "origin": "w.pth"}
    assert provenance(None) == {"origin": FROM_SCRATCH}


def test_a_run_that_goes_on_keeps_its_start():
    start = {"source": "w.pth", "origin": "w.pth"}
    assert kept_provenance({ENTRY: start}) == start
    assert kept_provenance({"model": {}}) == {}
    assert kept_provenance({ENTRY: 5}) == {}


@pytest.mark.parametrize(
    "start", [5, "x", {"licence": 5}, {"origin": "a\nb"}, {"sha256": "abc"}], ids=str
)
def test_what_no_run_writes_is_refused(tmp_path, state, start):
    path = tmp_path / "model_final.pth"
    torch.save({"model": state, ENTRY: start}, path)
    with pytest.raises(UserError) as error:
        resolve_weights(str(path))
    expected = f"MODEL.WEIGHTS {path}: its started_from is not what a run writes; remove it"
    assert str(error.value) == expected
