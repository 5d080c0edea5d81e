"""Counted complexity against every figure in print, and against fvcore."""

import pytest
import torch
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

from resnext_det import build_backbone, build_classifier
from resnext_det.modeling.complexity import count_parameters, measure_complexity, measure_variant

# The published model table: params (M), FLOPs (G) in its own convention, as printed.
PUBLISHED = {
    "resnext50_32x4d": ("25.03", "4.27"),
    "resnext101_32x4d": ("44.18", "8.03"),
    "resnext101_32x8d": ("88.79", "16.5"),
    "resnext152_32x4d": ("59.95", "11.8"),
}
PUBLISHED_EXACT = {  # G, the same convention, to four digits
    "resnext50_32x4d": "4.2731",
    "resnext101_32x4d": "8.0331",
    "resnext101_32x8d": "16.5070",
    "resnext152_32x4d": "11.7979",
}
# Paper: params (exact, or M as printed) and multiply-adds (G).
PAPER = {
    "resnet50": ("25557032", "4.089"),
    "resnext50_2x40d": ("25.43", "4.125"),
    "resnext50_4x24d": ("25.29", "4.160"),
    "resnext50_8x14d": ("25.60", "4.267"),
    "resnext50_32x4d": ("25028904", "4.230"),
    "resnet101": ("44549160", "7.801"),
    "resnext101_2x40d": ("44.46", "7.844"),
    "resnext101_4x24d": ("44.36", "7.886"),
    "resnext101_8x14d": ("45.10", "8.077"),
    "resnext101_32x4d": ("44177704", "7.970"),
    "resnet101_1x100d": ("85.61", "15.273"),
    "resnext101_2x64d": ("84.20", "15.123"),
    "resnext101_64x4d": ("83455272", "15.460"),
    "resnext101_32x8d": ("88791336", "16.414"),
    "resnext152_32x4d": ("59951400", "11.710"),
    "resnext152_32x8d": ("122.37", "24.384"),
    "resnext29_8x64d": ("34.43", "5.387"),
    "resnext29_16x64d": ("68.16", "10.689"),
    "resnet29_1x64d": ("4.91", "0.748"),
}


def as_printed(count: int, figure: str, unit: float) -> str:
    """Rounds a count to the digits of a printed figure."""
    return f"{count / unit:.{len(figure.partition('.')[2])}f}"


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_table(name):
    complexity = measure_variant(name)
    params, flops = PUBLISHED[name]
    assert as_printed(complexity.params, params, 1e6) == params
    assert as_printed(complexity.flops_table, flops, 1e9) == flops
    exact = PUBLISHED_EXACT[name]
    assert as_printed(complexity.flops_table, exact, 1e9) == exact


@pytest.mark.parametrize("name", PAPER)
def test_papers_counts(name):
    complexity = measure_variant(name)
    params, flops = PAPER[name]
    assert as_printed(complexity.params, params, 1e6 if "." in params else 1) == params
    assert as_printed(complexity.flops, flops, 1e9) == flops


@pytest.mark.parametrize("name", ["resnet18", "resnext26_32x4d", "resnext29_8x64d"])
def test_fvcore_agrees(name):
    network = build_classifier(name, 10).eval()
    ours = measure_complexity(network, 64)
    image = torch.zeros(1, 3, 64, 64)
    flops = FlopCountAnalysis(network, image).unsupported_ops_warnings(False)
    flops.uncalled_modules_warnings(False).tracer_warnings("none")
    by_operator = flops.by_operator()
    assert ours.flops == by_operator["conv"] + by_operator["linear"]
    activations = ActivationCountAnalysis(network, image).unsupported_ops_warnings(False)
    activations.uncalled_modules_warnings(False).tracer_warnings("none")
    assert ours.activations == activations.total()


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "FrozenBN", "GN"])
def test_the_norm_does_not_change_the_counts(norm):
    reference = build_classifier("resnet26", norm="BN")
    network = build_classifier("resnet26", norm=norm, freeze_at=3)
    assert measure_complexity(network, 64) == measure_complexity(reference, 64)


@pytest.mark.parametrize("form", ["split", "concat"])
def test_all_forms_cost_the_same_multiply_adds(form):
    with torch.device("meta"):
        one, other = (build_backbone("resnext26_32x4d", block_form=f) for f in ("grouped", form))
    assert measure_complexity(one).flops == measure_complexity(other).flops
    assert count_parameters(one) == count_parameters(other)


def test_measuring_leaves_the_network_as_it_was():
    network = build_classifier("resnet26", norm="BN").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    measure_complexity(network, 32)
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
