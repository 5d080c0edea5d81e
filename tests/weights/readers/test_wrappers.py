"""Names that wrappers and trainers put before a network's own. Engine-neutral."""

import pytest
import torch
from safetensors.torch import save_file

from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier
from resnext_det.weights.load import load_weights, require_head
from resnext_det.weights.sources import resolve_weights

WRAPPED = ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module.",
           "model.", "net.", "network.", "model._orig_mod.", "model.net."]  # fmt: skip


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return build_classifier("resnet18", 5).state_dict()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", WRAPPED)
def test_wrappers_are_taken_off(tmp_path, state, prefix, suffix):
    path = tmp_path / f"x{suffix}"
    wrapped = {prefix + key: value for key, value in state.items()}
    if suffix == ".pth":
        torch.save({"state_dict": wrapped}, path)
    else:
        save_file(wrapped, path)
    weights = resolve_weights(str(path))
    assert weights.state.keys() == state.keys()
    require_head(load_weights(build_classifier("resnet18", 5), weights, min_share=1.0))


def test_a_part_that_was_compiled(tmp_path, state):
    path = tmp_path / "x.pth"
    torch.save({k.replace("res3.", "res3._orig_mod."): v for k, v in state.items()}, path)
    assert resolve_weights(str(path)).state.keys() == state.keys()


def test_names_beside_a_trainers_network_leave_its_attribute(tmp_path, state):
    path = tmp_path / "x.pth"
    torch.save({f"model.{k}": v for k, v in state.items()} | {"loss.weight": torch.ones(5)}, path)
    weights = resolve_weights(str(path))
    with pytest.raises(UserError, match=r"its names have 'model.' before those of the backbone"):
        load_weights(build_classifier("resnet18", 5), weights, min_share=0.9)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_name_with_and_without_its_wrapper_is_refused(tmp_path, state, suffix):
    path = tmp_path / f"x{suffix}"
    twice = dict(state) | {"module.linear.bias": torch.zeros(5)}
    if suffix == ".pth":
        torch.save(twice, path)
    else:
        save_file(twice, path)
    with pytest.raises(UserError, match=r"name .*comes twice"):
        resolve_weights(str(path))
