"""The reference image, and what networks answer to it. Engine-neutral."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision

from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.reference import (
    CannotRun,
    compute_outputs,
    normalised_input,
    reference_image,
    reference_outputs,
)
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.sources import Weights, weights_from_state

OURS = SideCar(convention=torchvision_convention())


@pytest.fixture
def classifier(randomise):
    torch.manual_seed(0)
    return randomise(build_classifier("resnet18", 12))


def test_the_image_is_its_formula():
    image = reference_image(5)
    assert (image.shape, image.dtype) == ((5, 5, 3), np.uint8)
    for y, x in ((0, 0), (4, 1), (2, 3)):  # by hand: two waves of each channel, their mean
        red = (abs(3 * y + 7 * x - 255) + abs(11 * y + 2 * x - 255)) // 2
        green = (abs(5 * y + 4 * x - 255) + abs(1 * y + 13 * x - 255)) // 2
        blue = (abs(9 * y + 1 * x - 255) + abs(6 * y + 5 * x - 255)) // 2
        assert image[y, x].tolist() == [red, green, blue]


def test_the_image_shows_every_mix_up():
    image = reference_image(224)
    assert (image.min(), image.max()) == (0, 255)
    for other in (image[..., ::-1], image[::-1], image[:, ::-1], image.transpose(1, 0, 2)):
        assert np.abs(image.astype(int) - other).mean() > 30
    assert np.array_equal(reference_image(32), image[:32, :32])


def test_conventions_give_their_pixels():
    image = reference_image(8)
    bgr = Convention("BGR", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    found = normalised_input(image, bgr)
    expected = (image[..., ::-1].astype(np.float32) - [1, 2, 3]) / [4, 5, 6]
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, rtol=1e-6)


def test_logits_are_those_of_the_network_itself(classifier):
    weights = Weights(classifier.state_dict(), "x", OURS)
    what, found = compute_outputs(weights)
    with torch.inference_mode():
        expected = classifier(normalised_input(reference_image(224), torchvision_convention()))
    assert what == "logits"
    torch.testing.assert_close(found, expected[0], rtol=1e-5, atol=1e-5)


def test_what_a_side_car_keeps(classifier):
    weights = Weights(classifier.state_dict(), "x", OURS)
    kept = json.loads(json.dumps(reference_outputs(weights), allow_nan=False))
    logits = compute_outputs(weights)[1]
    assert (kept["formula"], kept["image_size"]) == ("triangles-1", 224)
    assert (kept["what"], kept["count"]) == ("logits", 12)
    assert kept["values"] == logits[:8].tolist()
    assert kept["norm"] == pytest.approx(float(logits.square().sum().sqrt()), rel=1e-5)
    assert kept["largest"] == pytest.approx(float(logits.abs().max()))


@pytest.mark.parametrize("prefix", ["", "backbone.bottom_up."])
def test_a_backbone_gives_the_mean_of_its_last_map(randomise, prefix):
    torch.manual_seed(0)
    network = randomise(build_backbone("resnext26_32x4d", norm="BN"))
    state = {prefix + key: value for key, value in network.state_dict().items()}
    what, found = compute_outputs(Weights(state, "x", OURS))
    with torch.inference_mode():
        maps = network(normalised_input(reference_image(224), torchvision_convention()))
    assert what == "res5"
    torch.testing.assert_close(found, maps["res5"].mean((2, 3))[0], rtol=1e-4, atol=1e-4)


def test_a_c4_detectors_res5_is_found(classifier):
    state = {
        ("roi_heads." if key.startswith("res5") else "backbone.") + key: value
        for key, value in classifier.state_dict().items()
        if not key.startswith("linear")
    }
    plain = {k: v for k, v in classifier.state_dict().items() if not k.startswith("linear")}
    found, expected = (compute_outputs(Weights(s, "x", OURS)) for s in (state, plain))
    assert found[0] == expected[0] == "res5"
    assert torch.equal(found[1], expected[1])


def test_the_stride_and_the_epsilon_are_the_weights_own(randomise):
    torch.manual_seed(0)
    network = randomise(build_classifier("resnet26", 4, stride_in_1x1=True))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    strided = replace(torchvision_convention(), stride_in_1x1=True)
    with torch.inference_mode():
        expected = network(normalised_input(reference_image(224), strided))[0]
    state = network.state_dict()
    told = compute_outputs(Weights(state, "x", SideCar(convention=strided, norm_eps=1e-3)))[1]
    torch.testing.assert_close(told, expected, rtol=1e-4, atol=1e-5)
    for side_car in (SideCar(convention=strided), replace(OURS, norm_eps=1e-3)):
        other = compute_outputs(Weights(state, "x", side_car))[1]
        assert (other - expected).abs().max() > 1e-3 * expected.abs().max()


def test_cifar_networks_get_a_small_image():
    torch.manual_seed(0)
    kept = reference_outputs(
        Weights(build_classifier("resnet29_1x64d", 10).state_dict(), "x", OURS)
    )
    assert (kept["image_size"], kept["count"]) == (32, 10)


def test_a_torchvision_file_gives_torchvisions_logits(randomise):
    torch.manual_seed(0)
    theirs = randomise(torchvision.models.resnet18(num_classes=5))
    weights = weights_from_state(theirs.state_dict(), "x")
    mean, std = (
        torch.tensor(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    pixels = torch.from_numpy(reference_image(224)).permute(2, 0, 1) / 255
    with torch.inference_mode():
        expected = theirs(((pixels - mean) / std).unsqueeze(0))[0]
    torch.testing.assert_close(compute_outputs(weights)[1], expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_run(classifier):
    state = classifier.state_dict()
    cases = {
        "nobody knows how its images": Weights(state, "x"),
        "1 of the network's tensors are not in it (res2.0.conv1.weight": Weights(
            {k: v for k, v in state.items() if k != "res2.0.conv1.weight"}, "x", OURS
        ),
        "it has two backbones": Weights(state | {"b." + k: v for k, v in state.items()}, "x", OURS),
        "other shapes": Weights(state | {"res2.1.conv1.weight": torch.zeros(1)}, "x", OURS),
        "no ResNet or ResNeXt": Weights({}, "x", OURS),
        "(it has deformable convolutions)": Weights(
            build_backbone(
                "resnet50", deform_on_per_stage=(False, False, False, True)
            ).state_dict(),
            "x",
            OURS,
        ),
    }
    for words, weights in cases.items():
        with pytest.raises(CannotRun) as error:
            compute_outputs(weights)
        assert words in str(error.value)
        assert reference_outputs(weights) == {}


def test_outputs_that_are_not_finite_are_not_kept(classifier):
    state = classifier.state_dict()
    state["linear.bias"] = torch.full((12,), torch.inf)
    assert infer_architecture(state) is not None
    assert reference_outputs(Weights(state, "x", OURS)) == {}
