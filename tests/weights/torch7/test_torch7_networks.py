"""Classifiers filled from .t7 files give the logits of the tree in the file. Engine-neutral."""

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier, get_variant, list_variants
from resnext_det.modeling.classifier import Classifier
from resnext_det.modeling.layout import BASIC_DEPTHS, BLOCKS_PER_STAGE
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.inspecting import inspect_weights
from resnext_det.weights.load import load_weights
from resnext_det.weights.naming.registry import give_our_names
from resnext_det.weights.readers.reading import read_weights_file
from resnext_det.weights.sources import weights_from_content
from tests.weights.torch7.lua_forward import forward
from tests.weights.torch7.lua_networks import TINY_B, TINY_BASIC, TINY_C, Net, modules_of
from tests.weights.torch7.lua_writer import LuaObject, lua_list, save, tensor


def read(path, value):
    save(path, value)
    return weights_from_content(read_weights_file(path, path.name), path.name)


def fill(model, weights):
    """Loads as at runs, where another eps of the norms goes into their variances."""
    report = load_weights(model, weights, min_share=1.0)
    assert not report.missing
    assert not report.mismatched
    assert not report.unexpected
    return model.eval()


def tiny_classifier(basic=False, **arguments):
    depth = 18 if basic else 26
    shape = {"num_groups": 4, "width_per_group": 2, "res2_out_channels": 32} | arguments
    shape = {"res2_out_channels": 8} if basic else shape
    return Classifier(depth=depth, stem_out_channels=8, num_classes=7, **shape)


def assert_equal_logits(model, tree, size=64):
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(model(images), forward(tree, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["Float", "Double", "Half", "Cuda", "CudaHalf"])
@pytest.mark.parametrize("shape", [TINY_C, TINY_B, TINY_BASIC], ids=["C", "B", "basic"])
def test_small_networks(tmp_path, shape, kind):
    tree = Net(kind=kind).network(**shape)
    weights = read(tmp_path / "model_90.t7", tree)
    assert all(value.dtype == torch.float32 for value in weights.state.values())
    assert weights.convention == torchvision_convention()
    assert (weights.side_car.naming, weights.side_car.norm) == ("torch7", "BN")
    assert weights.side_car.norm_eps == 1e-5
    assert_equal_logits(fill(tiny_classifier(shape is TINY_BASIC), weights), tree)


def test_form_b_is_said_to_be_merged(tmp_path, caplog):
    with caplog.at_level("INFO"):
        read(tmp_path / "b.t7", Net().network(**TINY_B))
    assert "form (b) of 4 paths is merged into grouped convolutions, exactly" in caplog.text


PACKAGES = {
    "nn": ({"conv": "nn", "norm": "nn"}, TINY_BASIC),  # nn's convolutions have no groups
    "cudnn-norm": ({"norm": "cudnn"}, TINY_C),
    "fbnn": ({"norm": "fbnn"}, TINY_C),
    "eps": ({"eps": 1e-3}, TINY_C),
    "zero-bias": ({"bias": False}, TINY_C),
    "bias": ({"bias": True}, TINY_C),
    "bias-B": ({"bias": True}, TINY_B),
}


@pytest.mark.parametrize("case", PACKAGES)
def test_modules_of_all_packages(tmp_path, caplog, case):
    options, shape = PACKAGES[case]
    tree = Net(**options).network(**shape)
    with caplog.at_level("INFO"):
        weights = read(tmp_path / "m.t7", tree)
    renamed = give_our_names(read_weights_file(tmp_path / "m.t7", "m"), "m")
    assert renamed.side_car.norm_eps == options.get("eps", 1e-5)
    # A stem, 8 blocks of 3, and 4 projections.
    folded = "the biases of 29 convolutions are moved into their norms" in caplog.text
    assert folded == (options.get("bias") is True)
    assert_equal_logits(fill(tiny_classifier(shape is TINY_BASIC), weights), tree)


def test_old_files_running_std(tmp_path):
    net = Net(kind="Double")
    net.old_std = True
    tree = net.network(**TINY_C)
    assert_equal_logits(fill(tiny_classifier(), read(tmp_path / "m.t7", tree)), tree)


def test_two_dimensional_weights(tmp_path):
    net = Net(conv="nn")
    net.flat_weights = True
    tree = net.network(**TINY_BASIC)
    assert_equal_logits(fill(tiny_classifier(basic=True), read(tmp_path / "m.t7", tree)), tree)


def test_norms_of_several_eps_get_one(tmp_path, caplog):
    tree = Net(eps=1e-3).network(**TINY_C)
    next(m for m in modules_of(tree) if "running_var" in m.fields).fields["eps"] = 1e-1
    with caplog.at_level("INFO"):
        weights = read(tmp_path / "m.t7", tree)
    renamed = give_our_names(read_weights_file(tmp_path / "m.t7", "m"), "m")
    assert renamed.side_car.norm_eps == 1e-3
    assert "the eps of 1 norms is moved into their variances" in caplog.text
    assert_equal_logits(fill(tiny_classifier(), weights), tree)


def test_the_place_of_the_stride_is_the_files(tmp_path):
    tree = Net().network(**TINY_C, in_1x1=True)
    weights = read(tmp_path / "m.t7", tree)
    assert weights.convention.stride_in_1x1
    assert_equal_logits(fill(tiny_classifier(stride_in_1x1=True), weights), tree)


@pytest.mark.parametrize(("classes", "mean"), [(10, 125.3), (100, 129.3), (7, None)])
def test_cifar_has_a_convention_of_its_own(tmp_path, classes, mean):
    shape = TINY_C | {"counts": (1, 1, 1), "stem": "cifar", "classes": classes}
    weights = read(tmp_path / "m.t7", Net().network(**shape))
    assert (weights.convention.mean[0] if mean else weights.convention) == mean


def wrapped(tree, way):
    if way == "DataParallelTable":
        gpus = lua_list([1, 2])
        fields = {"modules": lua_list([tree]), "gpuAssignments": gpus}
        return LuaObject("nn.DataParallelTable", fields, 3, gpus)
    if way == "old DataParallelTable":
        return LuaObject("nn.DataParallelTable", {"modules": lua_list([tree, tree])}, 1)
    if way == "model":
        return {"epoch": 90, "model": tree, "optimState": {"dfdx": tensor([1.0])}}
    if way == "any one entry":
        return {"classifier": tree, "epoch": 90}
    return Net().sequential(tree) if way == "Sequential" else tree


WAYS = ["DataParallelTable", "old DataParallelTable", "model", "any one entry", "Sequential"]


@pytest.mark.parametrize("way", WAYS)
def test_wrapped_networks(tmp_path, way):
    tree = Net().network(**TINY_C)
    plain = read(tmp_path / "plain.t7", tree)
    weights = read(tmp_path / "wrapped.t7", wrapped(tree, way))
    assert weights.state.keys() == plain.state.keys()
    assert all(torch.equal(weights.state[key], plain.state[key]) for key in plain.state)


def test_a_network_without_its_head_and_one_with_probabilities(tmp_path, caplog):
    tree = Net().network(**TINY_C)
    modules = list(tree.fields["modules"].values())
    whole = read(tmp_path / "whole.t7", tree)
    with caplog.at_level("INFO"):
        soft = read(tmp_path / "soft.t7", Net().sequential(*modules, LuaObject("nn.LogSoftMax")))
        body = read(tmp_path / "body.t7", Net().sequential(*modules[:-1]))
    assert "nn.LogSoftMax at modules.12 behind the logits is left out" in caplog.text
    assert "it has no linear layer" in caplog.text
    assert soft.state.keys() == whole.state.keys()
    assert set(whole.state) - set(body.state) == {"linear.weight", "linear.bias"}


def test_inspection_says_what_a_file_is(tmp_path):
    found = inspect_weights(str(save(tmp_path / "m.t7", Net().network(**TINY_C))))
    assert (found.opened.naming.name, found.share_known) == ("torch7", 1.0)
    other = inspect_weights(str(save(tmp_path / "o.t7", changed(kind="C"))))
    assert "a shortcut of type C" in other.opened.refusal


def counts_and_shape(variant):
    counts = BLOCKS_PER_STAGE[variant.depth]
    shape = {"stem": variant.stem, "classes": variant.num_classes}
    if variant.depth in BASIC_DEPTHS:
        return shape | {"counts": counts, "form": "basic"}
    sizes = {"width": variant.width_per_group, "groups": variant.num_groups}
    return shape | sizes | {"counts": counts, "form": "C"}


@pytest.mark.slow
@pytest.mark.parametrize("name", list_variants())
def test_every_variant(tmp_path, name):
    variant = get_variant(name)
    size, pool = (32, 8) if variant.stem == "cifar" else (64, 2)
    tree = Net().network(**counts_and_shape(variant), pool=pool)
    weights = read(tmp_path / "m.t7", tree)
    assert_equal_logits(fill(build_classifier(name, variant.num_classes), weights), tree, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnext50_2x40d", "resnext29_8x64d"])
def test_form_b_of_named_variants(tmp_path, name):
    variant = get_variant(name)
    size, pool = (32, 8) if variant.stem == "cifar" else (224, 7)
    tree = Net().network(**counts_and_shape(variant) | {"form": "B"}, pool=pool)
    weights = read(tmp_path / "m.t7", tree)
    assert_equal_logits(fill(build_classifier(name, variant.num_classes), weights), tree, size)


def changed(shape=TINY_C, **block):
    return Net().network(**shape, **block)


def with_norm_after_addition():
    tree = changed()
    block = tree.fields["modules"][5].fields["modules"][1]
    modules = list(block.fields["modules"].values())
    block.fields["modules"] = lua_list([*modules[:2], Net().norm(32), modules[2]])
    return tree


def preactivated(first_too):
    net = Net()
    stem = net.conv(3, 8, 7, 2, 3), net.norm(8), net.relu()
    window = {"kW": 3, "kH": 3, "dW": 2, "dH": 2, "padW": 1, "padH": 1}
    branch = [net.conv(8, 8, 3, 1, 1), net.norm(8), net.relu(), net.conv(8, 8, 3, 1, 1)]
    before = [net.norm(8), net.relu()] if first_too else []
    table = net.container(
        "nn.ConcatTable", net.sequential(*before, *branch), net.module("nn.Identity")
    )
    after = [net.norm(8), net.relu()]
    pool = net.module("nn.SpatialMaxPooling", **window)
    return net.sequential(*stem, pool, table, net.module("nn.CAddTable"), *after)


def replaced(name, **fields):
    tree = changed()
    module = next(m for m in modules_of(tree) if m.name.endswith(name))
    module.fields |= fields
    return tree


def repeated_block():
    tree = changed()
    stage = tree.fields["modules"][5]
    blocks = stage.fields["modules"]
    stage.fields["modules"] = lua_list([blocks[1], *[blocks[2]] * 50])
    return tree


def renamed(old, new):
    tree = changed()
    next(m for m in modules_of(tree) if m.name == old).name = new
    return tree


REFUSED = {
    "type A": (lambda: changed(kind="A"), r"a shortcut of type A: nn.SpatialAveragePooling at"),
    "type C": (lambda: changed(kind="C"), r"a shortcut of type C: nn.ConcatTable at modules\.5\."),
    "norm after addition": (with_norm_after_addition, r"a norm after the addition, .*ResNet-50"),
    "pre-activation": (lambda: preactivated(True), r"pre-activation: nn.SpatialBatchNormalization"),
    "pre-activation 1": (lambda: preactivated(False), r"a norm after the addition, .* and pre-act"),
    "eps": (lambda: replaced("BatchNormalization", eps="x"), r"at modules\.2 with eps x"),
    "no mean": (lambda: replaced("BatchNormalization", running_mean=None), r"without statistics"),
    "text as mean": (lambda: replaced("Normalization", running_mean="x"), r"holds no real numbers"),
    "no weight": (lambda: replaced("Convolution", weight=None), r"modules\.1 without weights"),
    "short weight": (
        lambda: replaced("Convolution", weight=tensor([1.0, 2.0])),
        r"cudnn.SpatialConvolution at modules\.1 with 2 numbers as weight, not 1176",
    ),
    "whole numbers": (
        lambda: replaced("Convolution", weight=tensor([1] * 1176, "Int")), "holds no real numbers"
    ),
    "kernel": (lambda: replaced("Convolution", kW=5), r"modules\.1 that is not square"),
    "infinite kernel": (lambda: replaced("Convolution", kW=float("inf")), r"with kW inf"),
    "no stride": (lambda: replaced("Convolution", dW=0, dH=0), r"stride 0"),
    "no groups": (lambda: replaced("Convolution", groups=0), r"channels in 0 groups"),
    "padding": (lambda: replaced("Convolution", padW=0, padH=0), r"stride 2 and padding 0"),
    "ceiling": (lambda: replaced("MaxPooling", ceil_mode=True), r"rounded down"),
    "dilated": (
        lambda: renamed("cudnn.SpatialConvolution", "nn.SpatialDilatedConvolution"),
        r"nn.SpatialDilatedConvolution at modules\.1 where a convolution is expected",
    ),
    "other package": (lambda: renamed("cudnn.ReLU", "mine.ReLU"), r"mine.ReLU at modules\.3 wh"),
    "graph": (lambda: LuaObject("nn.gModule", {}), r"none of their modules: it begins with nn.g"),
    "repeated block": (repeated_block, r"that stands in two places"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_other_networks_are_refused_by_name(tmp_path, case):
    build, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path / "other.t7", build())
    assert str(error.value).startswith("other.t7: no plain ResNet or ResNeXt, it also has ")
    assert "\n" not in str(error.value)
