"""Weights of one convention in another: equal outputs, or a reason. Engine-neutral."""

import pytest
import torch

from resnext_det.modeling import build_classifier
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.expressing import NORM_EPS, NotExpressible, express, fold_norm_eps

RGB = torchvision_convention()
BGR = Convention("BGR", RGB.mean[::-1], RGB.std[::-1])
BGR_STD_1 = Convention("BGR", RGB.mean[::-1], (1.0, 1.0, 1.0))
CONVENTIONS = [
    pytest.param(RGB, id="RGB"),
    pytest.param(BGR, id="BGR"),
    pytest.param(BGR_STD_1, id="BGR-std-1"),
]


def logits(state, convention, pixels):
    """pixels: (3, H, W) RGB, 0-255; the answer to them, prepared as the convention says."""
    model = build_classifier("resnet18", num_classes=7).double().eval()
    model.load_state_dict(state)
    ordered = pixels if convention.format == "RGB" else pixels.flip(0)
    mean, std = (
        torch.tensor(v, dtype=torch.float64).reshape(3, 1, 1)
        for v in (convention.mean, convention.std)
    )
    with torch.no_grad():
        return model(((ordered - mean) / std)[None])[0]


@pytest.fixture(scope="module")
def pixels():
    return 255 * torch.rand(3, 33, 47, generator=torch.Generator().manual_seed(3)).double()


@pytest.mark.parametrize("to", CONVENTIONS)
@pytest.mark.parametrize("from_", CONVENTIONS)
def test_outputs_are_equal_padding_included(from_, to, pixels, randomise):
    torch.manual_seed(0)
    model = randomise(build_classifier("resnet18", num_classes=7).double())
    state = model.state_dict()
    expected = logits(state, from_, pixels)
    found = logits(express(state, from_, to), to, pixels)
    assert (expected - found).abs().max() <= 1e-10 * expected.abs().max()
    if from_ != to:
        assert (logits(state, to, pixels) - expected).abs().max() > 1e-3 * expected.abs().max()


def test_a_flip_there_and_back_is_the_same_to_the_bit():
    state = build_classifier("resnet18").state_dict()
    back = express(express(state, RGB, BGR), BGR, RGB)
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_a_std_that_differs_by_rounding_changes_nothing():
    state = build_classifier("resnet18").state_dict()
    timms = Convention("RGB", RGB.mean, tuple(255 * s for s in (0.229, 0.224, 0.225)))
    same = express(state, timms, RGB)
    assert all(same[key] is state[key] for key in state)


def test_the_input_is_left_alone():
    state = {"backbone.bottom_up.stem.conv1.weight": torch.ones(4, 3, 7, 7)}
    written = express(state, RGB, BGR_STD_1)["backbone.bottom_up.stem.conv1.weight"]
    assert torch.equal(state["backbone.bottom_up.stem.conv1.weight"], torch.ones(4, 3, 7, 7))
    # One unit of a pixel is 1 / std before and 1 after: the weight has to shrink by the std.
    assert written[0, :, 0, 0].tolist() == pytest.approx([1 / 57.375, 1 / 57.12, 1 / 58.395])


def test_another_mean_is_refused_with_both():
    other = Convention("BGR", (102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0))
    with pytest.raises(NotExpressible, match=r"the mean is 102.98, 115.947, 122.772 \(BGR\), not "
                       r"123.675, 116.28, 103.53 \(RGB\), .* where images are padded"):  # fmt: skip
        express({}, other, RGB)


def test_another_stride_is_refused_where_there_are_bottlenecks():
    msra = Convention("RGB", RGB.mean, RGB.std, stride_in_1x1=True)
    with pytest.raises(NotExpressible, match="its stages stride in the 1x1, not in the 3x3"):
        express({"res2.0.conv3.weight": torch.ones(1)}, msra, RGB)
    assert express({"res2.0.conv2.weight": torch.ones(1)}, msra, RGB)


@pytest.mark.parametrize("eps", [1e-3, 2e-5, 0.0])
def test_an_epsilon_moves_into_the_variances(eps, randomise):
    torch.manual_seed(0)
    model = randomise(build_classifier("resnet18", num_classes=7).double())
    state = model.state_dict()
    theirs = build_classifier("resnet18", num_classes=7).double().eval()
    theirs.load_state_dict(state)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = eps
    model.load_state_dict(fold_norm_eps(state, eps))
    image = torch.rand(1, 3, 40, 40).double()
    with torch.no_grad():
        expected, found = theirs(image), model(image)
    assert (expected - found).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize("eps", [None, NORM_EPS])
def test_the_usual_epsilon_changes_nothing(eps):
    state = {"res2.0.conv1.norm.running_var": torch.ones(2)}
    folded = fold_norm_eps(state, eps)
    assert folded["res2.0.conv1.norm.running_var"] is state["res2.0.conv1.norm.running_var"]


def test_a_variance_near_zero_keeps_its_sum():
    var = torch.tensor([0.0, 1e-12, 1.0])
    folded = fold_norm_eps({"a.running_var": var}, 2e-5)["a.running_var"]
    assert (folded + 1e-5).tolist() == pytest.approx((var + 2e-5).tolist(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("eps", [1e-3, 0.0])
def test_half_precision_does_not_round_an_epsilon_away(dtype, eps):
    var = torch.tensor([1e-3, 0.25, 3.0]).to(dtype)
    folded = fold_norm_eps({"a.running_var": var}, eps)["a.running_var"]
    wanted = var.double() + eps
    assert ((folded.double() + NORM_EPS - wanted).abs() <= 1e-6 * wanted).all()


def test_half_precision_is_kept_by_a_flip_and_left_by_another_std():
    rgb = torchvision_convention()
    state = {"stem.conv1.weight": torch.rand(4, 3, 7, 7).half()}
    bgr = Convention("BGR", rgb.mean[::-1], rgb.std[::-1])
    flipped = express(state, rgb, bgr)["stem.conv1.weight"]
    assert torch.equal(flipped, state["stem.conv1.weight"].flip(1))
    assert flipped.dtype == torch.float16
    scaled = express(state, Convention("RGB", rgb.mean, (1.0,) * 3), rgb)["stem.conv1.weight"]
    wanted = state["stem.conv1.weight"].double() * torch.tensor(rgb.std).double()[:, None, None]
    assert ((scaled.double() - wanted).abs() <= 1e-6 * wanted.abs()).all()
