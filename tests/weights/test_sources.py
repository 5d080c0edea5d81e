"""MODEL.WEIGHTS in all its forms, without a network. Engine-neutral."""

import json

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.modeling import build_classifier
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import (
    digest_of,
    header_entries,
    with_digest,
    write_beside,
)
from resnext_det.weights.sources import (
    resolve_weights,
    weights_from_checkpoint,
    weights_from_state,
)

CONFIG = """
INPUT: {FORMAT: BGR}
MODEL: {PIXEL_MEAN: [1.0, 2.0, 3.0], PIXEL_STD: [4.0, 5.0, 6.0], RESNETS: {STRIDE_IN_1X1: true}}
"""


@pytest.fixture(scope="module")
def state():
    return build_classifier("resnet18", 2).state_dict()


def refused(spec):
    with pytest.raises(UserError) as error:
        resolve_weights(str(spec))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_none_means_from_scratch_and_the_log_says_so(caplog):
    with caplog.at_level("INFO"):
        assert resolve_weights("") is None
    assert "training from scratch" in caplog.text


def test_our_checkpoint_knows_its_convention_and_classes(tmp_path, state):
    path = tmp_path / "model_final.pth"
    torch.save({"model": state, "config": CONFIG, "class_names": ["a", "b"], "iteration": 1}, path)
    weights = resolve_weights(str(path))
    assert weights.class_names == ("a", "b")
    assert weights.convention.format == "BGR"
    assert weights.convention.mean == (1.0, 2.0, 3.0)
    assert weights.convention.std == (4.0, 5.0, 6.0)
    assert weights.convention.stride_in_1x1
    assert weights.state.keys() == state.keys()


def test_safetensors(tmp_path, state):
    path = tmp_path / "w.safetensors"
    save_file(state, path, {"config": CONFIG, "class_names": json.dumps(["a", "b"])})
    weights = resolve_weights(str(path))
    assert weights.class_names == ("a", "b")
    assert weights.convention.format == "BGR"
    assert all(torch.equal(weights.state[k], v) for k, v in state.items())


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}])
def test_torchvisions_file_is_known_by_its_keys(tmp_path, wrap):
    theirs = torchvision.models.resnet18().state_dict()
    torch.save(wrap({f"module.{k}": v for k, v in theirs.items()}), tmp_path / "r.pth")
    weights = resolve_weights(str(tmp_path / "r.pth"))
    assert weights.convention == torchvision_convention()
    assert torch.equal(weights.state["stem.conv1.weight"], theirs["conv1.weight"])


def test_detectron2s_names_without_a_config_have_no_convention(tmp_path, state):
    torch.save({"model": {f"backbone.bottom_up.{k}": v for k, v in state.items()}}, tmp_path / "d")
    assert resolve_weights(str(tmp_path / "d")).convention is None


def test_a_name_of_no_scheme_says_which_there_are():
    assert refused("tmm://resnet50") == (
        "MODEL.WEIGHTS tmm://resnet50: give a file, an http(s) address, torchvision://NAME/WEIGHTS,"
        " timm://NAME[.TAG] or detectron2://PATH"
    )


def test_files_that_cannot_be_read(tmp_path):
    assert "no such file" in refused(tmp_path / "none.pth")
    for name in ("torn.pth", "torn.safetensors"):
        (tmp_path / name).write_bytes(b"torn")
        assert "torn" in refused(tmp_path / name)
    torch.save(torch.nn.Linear(1, 1), tmp_path / "code.pth")
    assert "could run code" in refused(tmp_path / "code.pth")
    torch.save([1], tmp_path / "list.pth")
    assert "holds a list" in refused(tmp_path / "list.pth")
    torch.save({}, tmp_path / "empty.pth")
    assert "holds no tensors where a state dict is looked for, but nothing" in refused(
        tmp_path / "empty.pth"
    )


def test_networks_that_are_no_plain_resnet():
    with pytest.raises(UserError, match=r"no ResNet or ResNeXt.*torchvision"):
        weights_from_state({"features.0.weight": torch.zeros(1)}, "vgg.pth")
    foreign = {"layer1.0.conv2.weight": torch.zeros(1), "layer1.0.se.fc1.weight": torch.zeros(1)}
    with pytest.raises(UserError, match=r"no plain ResNet.*layer1.0.se.fc1.weight"):
        weights_from_state(foreign, "se.pth")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("sparse", lambda value: value.to_sparse()),
        ("meta", lambda value: value.to("meta")),
        ("complex", lambda value: value.to(torch.complex64)),
    ],
    ids=["sparse", "meta", "complex"],
)
def test_a_tensor_without_plain_numbers_is_named(tmp_path, state, kind, change):
    torch.save({**state, "linear.weight": change(state["linear.weight"])}, tmp_path / "odd.pth")
    path = tmp_path / "odd.pth"
    expected = f"MODEL.WEIGHTS {path}: linear.weight is a {kind} tensor; save it as plain numbers"
    assert refused(path) == expected


def test_keys_that_are_no_text_are_no_names(tmp_path):
    torch.save({"model": {1: torch.zeros(2)}}, tmp_path / "keys.pth")
    assert "holds no tensors where a state dict is looked for, but nothing" in refused(
        tmp_path / "keys.pth"
    )


@pytest.mark.parametrize("names", [5, "abc", [1, 2], {"a": 1}], ids=["int", "text", "ints", "dict"])
def test_class_names_that_are_no_list_are_refused(tmp_path, state, names):
    torch.save({"model": state, "class_names": names}, tmp_path / "names.pth")
    assert "its class_names are no list of names" in refused(tmp_path / "names.pth")


def test_class_names_that_come_twice_are_refused(tmp_path, state):
    torch.save({"model": state, "class_names": ["cat", "cat"]}, tmp_path / "names.pth")
    assert "its class_names have a name twice" in refused(tmp_path / "names.pth")
    torch.save({"model": state, "class_names": []}, tmp_path / "names.pth")
    assert resolve_weights(str(tmp_path / "names.pth")).class_names == ()


def test_a_side_car_beside_a_file_goes_first(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({"model": state, "config": CONFIG, "class_names": ["a", "b"]}, path)
    known = SideCar(origin="o", licence="MIT", class_names=("c", "d"))
    write_beside(path, with_digest(known, state))
    weights = resolve_weights(str(path))
    assert weights.class_names == ("c", "d")  # the side-car's
    assert weights.convention.format == "BGR"  # its config's
    assert weights.side_car.naming == "detectron2"  # its names'
    assert (weights.side_car.licence, weights.side_car.origin) == ("MIT", "o")
    assert weights.file_sha256 == sha256_of(path)


def test_a_side_car_in_a_header_goes_before_one_beside(tmp_path, state):
    path = tmp_path / "w.safetensors"
    save_file(state, path, header_entries(with_digest(SideCar(licence="MIT"), state)))
    write_beside(path, SideCar(licence="Apache-2.0"))
    assert resolve_weights(str(path)).side_car.licence == "MIT"


def test_another_files_side_car_is_refused(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save(state, path)
    write_beside(path, with_digest(SideCar(), {"w": torch.ones(1)}))
    message = refused(path)
    assert f"MODEL.WEIGHTS {path}: its side-car is of other weights (sha256 " in message
    assert digest_of(state) in message


def test_a_damaged_side_car_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    (tmp_path / "w.pth.json").write_text("{")
    assert f"MODEL.WEIGHTS {tmp_path / 'w.pth.json'}: its side-car is damaged" in refused(
        tmp_path / "w.pth"
    )
    save_file(state, tmp_path / "w.safetensors", {"resnext_det": '{"version": 1, "licence": 3}'})
    assert "licence of its side-car is 3, but has to be one line" in refused(
        tmp_path / "w.safetensors"
    )


def test_another_epsilon_is_folded_into_the_variances(tmp_path, caplog):
    torch.manual_seed(0)
    model = build_classifier("resnet18", 2, norm="BN").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(1e-4, 2.0)
            module.eps = 1e-3  # as TensorFlow's
    path = tmp_path / "w.pth"
    torch.save(model.state_dict(), path)
    write_beside(path, with_digest(SideCar(norm_eps=1e-3), model.state_dict()))
    with caplog.at_level("INFO"):
        weights = resolve_weights(str(path))
    assert (
        f"{path}: its norms were trained with epsilon 0.001; what it has over 1e-05" in caplog.text
    )
    assert weights.side_car.norm_eps == 1e-5
    ours = build_classifier("resnet18", 2, norm="FrozenBN").eval()
    ours.load_state_dict(weights.state, strict=False)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), model(images), rtol=1e-5, atol=1e-6)


def test_group_norms_of_another_epsilon_are_refused(state):
    known = SideCar(norm="GN", norm_eps=1e-3)
    with pytest.raises(UserError, match=r"w\.pth: its group norms were trained with epsilon 0.001"):
        weights_from_state(state, "w.pth", known)


@pytest.mark.parametrize("eps", [None, 1e-5, 9.999999747378752e-06])  # the last as in float32
def test_our_epsilon_changes_nothing(state, eps):
    weights = weights_from_state(state, "w.pth", SideCar(norm_eps=eps))
    assert all(weights.state[key] is value for key, value in state.items())


def test_where_the_tutorials_keep_a_state_dict_and_where_nobody_looks():
    state = build_classifier("resnet18", 3).state_dict()
    found = weights_from_checkpoint({"model_state_dict": state, "epoch": 1}, "x.pth")
    assert found.state.keys() == state.keys()
    with pytest.raises(UserError, match=r"x\.pth: holds no tensors .*, but net, epoch; save the"):
        weights_from_checkpoint({"net": {"inner": state}, "epoch": 1}, "x.pth")
    with pytest.raises(UserError, match="class_names are no list of names"):
        weights_from_checkpoint({"model": state, "class_names": "[" * 100_000}, "x.pth")
