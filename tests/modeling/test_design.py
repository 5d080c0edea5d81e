"""Widths of equal complexity: the paper's tables, Eq. 4 searched whole, real networks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from resnext_det.config import config_root
from resnext_det.errors import UserError
from resnext_det.modeling import Classifier, build_classifier, get_variant, list_variants
from resnext_det.modeling.complexity import count_parameters, measure_complexity
from resnext_det.modeling.design import design_widths
from resnext_det.modeling.designed_network import DesignedNetwork, reference_network
from resnext_det.modeling.layout import BASIC_DEPTHS
from resnext_det.modeling.width_costs import WidthCost, network_costs

TABLE_2 = {1: 64, 2: 40, 4: 24, 8: 14, 32: 4}
CARDINALITIES = (1, 2, 3, 4, 5, 8, 16, 27, 32, 64)
# Measured of whole networks; a test of the complexity verb counts them again.
COUNTED = json.loads((config_root() / "complexity.json").read_text(encoding="utf-8"))["variants"]
BOTTLENECKS = [name for name in list_variants() if get_variant(name).depth not in BASIC_DEPTHS]


def widths(designed):
    return {d.network.num_groups: d.network.width_per_group for d in designed.designs}


def block(channels, num_groups, width):
    """Eq. 4 as the paper writes it."""
    return num_groups * (channels * width + 3 * 3 * width * width + width * channels)


def nearest(cost, target):
    """The width of the nearest cost, of all that there can be; min takes the smaller of two."""
    return min(range(1, 8193), key=lambda width: abs(cost(width) - target))


@pytest.mark.parametrize("name", ["resnet50", "resnet101"])
def test_table_2(name):
    designed = design_widths(reference_network(like=name), tuple(TABLE_2))
    assert widths(designed) == TABLE_2
    assert all(design.within for design in designed.designs)
    assert [design.paper_width for design in designed.designs] == [None] * 5
    assert [design.network.group_width for design in designed.designs] == [64, 80, 96, 112, 128]


def test_table_4():
    designed = design_widths(reference_network(like="resnet101"), (1, 2, 64), times=2)
    assert widths(designed) == {1: 99, 2: 64, 64: 4}
    noted = {d.network.num_groups: (d.paper_width, d.paper_table) for d in designed.designs}
    assert noted == {1: (100, "Table 4"), 2: (None, ""), 64: (None, "")}
    assert designed.target == 2 * block(256, 1, 64)


def test_table_4s_rounded_width_is_the_papers_own_rule_off_by_one():
    target = 2 * block(256, 1, 64)
    assert abs(block(256, 1, 99) - target) < abs(block(256, 1, 100) - target)


@pytest.mark.parametrize("times", [0.3, 1, 1.7, 2])
@pytest.mark.parametrize("channels", [32, 128, 256, 1024])
@pytest.mark.parametrize("template", ["1x64d", "1x25d", "32x4d"])
def test_closed_form_is_the_search_over_all_widths(template, channels, times):
    reference = reference_network(depth=26, template=template, res2_channels=channels)
    target = times * block(channels, reference.num_groups, reference.width_per_group)
    cost = WidthCost(0, 2 * channels, 9)
    for c in CARDINALITIES:
        searched = nearest(lambda width, c=c: block(channels, c, width), target)
        assert cost.nearest_width(c, target) == searched


def test_of_two_equally_near_widths_the_smaller():
    cost = WidthCost(fixed=0, linear=10, quadratic=2)  # 12, 28, 48
    assert cost.nearest_width(1, 20) == 1
    assert cost.nearest_width(1, 38) == 2
    assert cost.nearest_width(1, 39) == 3


def test_no_width_is_below_1():
    assert WidthCost(100, 10, 2).nearest_width(4, 5) == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if get_variant(name).depth > 101 else [])
        for name in BOTTLENECKS
    ],
)
def test_costs_are_those_counted_of_the_real_network(name):
    variant = get_variant(name)
    reference = reference_network(like=name)
    designed = design_widths(reference, (variant.num_groups,))
    (design,) = designed.designs
    assert design.network == reference
    assert design.network.variant == name
    counted = COUNTED[name]
    assert (design.costs.params, design.costs.flops) == (counted["params"], counted["flops"])
    assert set(vars(design.differences).values()) == {0}


@pytest.mark.parametrize(
    "network",
    [
        DesignedNetwork(26, 32, 2, stem_out_channels=32, res2_out_channels=128, image_size=97),
        DesignedNetwork(29, 5, 7, stem="cifar", res2_out_channels=96, image_size=30, num_classes=7),
    ],
    ids=lambda network: network.tag,
)
def test_costs_of_unusual_networks(network):
    params, flops = network_costs(network)
    with torch.device("meta"):
        real = Classifier(num_classes=network.num_classes, **network.arguments)
    counted = measure_complexity(real, network.image_size)
    assert params.at(network.num_groups, network.width_per_group) == counted.params
    assert flops.at(network.num_groups, network.width_per_group) == counted.flops


def test_the_template_is_a_block_of_the_network():
    designed = design_widths(reference_network(like="resnext50_32x4d"), (32,))
    network = build_classifier("resnext50_32x4d", norm="")
    template = network.stages()[0][1]  # 256 channels in and out
    (design,) = designed.designs
    assert design.costs.block_params == count_parameters(template)
    assert design.costs.block_flops == 56 * 56 * count_parameters(template)


def test_cifars_template():
    reference = reference_network(like="resnext29_8x64d")
    assert (reference.image_size, reference.num_classes) == (32, 10)
    designed = design_widths(reference, (1, 8, 16))
    assert widths(designed) == {
        c: nearest(lambda width, c=c: block(256, c, width), block(256, 8, 64)) for c in (1, 8, 16)
    }
    costs = designed.reference_costs
    assert costs.block_flops == 32 * 32 * costs.block_params
    assert f"{costs.params / 1e6:.2f}" == "34.43"


def test_half_width_networks():
    half = reference_network(depth=26, stem_channels=32, res2_channels=128)
    assert (
        half
        == reference_network(like="resnet26", stem_channels=32, res2_channels=128)
        == replace(half, width_per_group=32)
    )
    designed = design_widths(half, (1, 32))
    assert widths(designed) == {1: 32, 32: 2}
    assert [d.network.name for d in designed.designs] == ["ResNet-26 1x32d", "ResNeXt-26 32x2d"]
    assert [d.network.tag for d in designed.designs] == [
        "R_26_1x32d_stem32_stages128",
        "X_26_32x2d_stem32_stages128",
    ]
    assert [d.network.variant for d in designed.designs] == [None, None]


def test_half_of_tables_2_and_4():
    """What projects/Cardinality trains in small: Eq. 4 gives the paper's widths, halved."""
    half = reference_network(depth=26, stem_channels=32, res2_channels=128)
    halved = {c: width // 2 for c, width in TABLE_2.items()}
    assert widths(design_widths(half, tuple(halved))) == halved
    assert widths(design_widths(half, (1, 2, 64), times=2)) == {1: 50, 2: 32, 64: 2}


def test_half_width_pair_of_equal_multiply_adds():
    """What projects/DetectionComparison trains: configs/quick_schedules, 30x2d beside 32x2d."""
    half = reference_network(depth=26, stem_channels=32, res2_channels=128)
    designed = design_widths(half, (30, 32), match="flops")
    assert widths(designed) == {30: 2, 32: 2}
    assert [f"{d.differences.flops:+.1f}" for d in designed.designs] == ["+0.2", "+5.2"]
    assert [d.within for d in designed.designs] == [True, False]


@pytest.mark.parametrize("match", ["params", "flops"])
def test_the_whole_networks_cost_is_kept(match):
    reference = reference_network(like="resnet26")
    cost = network_costs(reference)[("params", "flops").index(match)]
    designed = design_widths(reference, CARDINALITIES, match=match)
    for design in designed.designs:
        c = design.network.num_groups
        searched = nearest(lambda width, c=c: cost.at(c, width), cost.at(1, 64))
        assert design.network.width_per_group == searched
        assert getattr(design.costs, match) == cost.at(c, searched)


@pytest.mark.parametrize(("match", "budget"), [("params", 25.5e6), ("flops", 4.1e9)])
def test_budget(match, budget):
    designed = design_widths(reference_network(depth=50), (1, 32), match=match, budget=budget)
    assert designed.target == pytest.approx(budget)
    for design in designed.designs:
        off = 100 * (getattr(design.costs, match) / budget - 1)
        assert getattr(design.differences, match) == pytest.approx(off)
        c, d = design.network.num_groups, design.network.width_per_group
        for other in (d - 1, d + 1):
            costs = network_costs(design.network)[("params", "flops").index(match)]
            assert abs(costs.at(c, other) - budget) > abs(costs.at(c, d) - budget)


def test_what_differs_by_more_than_the_tolerance_is_marked_and_kept():
    reference = reference_network(like="resnet50")
    assert [d.within for d in design_widths(reference, (16, 32)).designs] == [False, True]
    wide = design_widths(reference, (16, 512), tolerance=8)
    assert [d.within for d in wide.designs] == [True, False]
    assert widths(wide) == {16: 8, 512: 1}
    assert wide.designs[1].differences.block_params == pytest.approx(283.0883, abs=1e-4)


def test_whole_numbers_of_numpy():
    reference = reference_network(depth=26)
    assert widths(design_widths(reference, np.array([4]))) == {4: 24}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"like": "resnet5"}, "no variant is named 'resnet5'; the nearest is 'resnet50'"),
        ({"like": "resnet18"}, "resnet18 is made of basic blocks"),
        ({"depth": 34}, "resnet34 is made of basic blocks"),
        ({"depth": 51}, "depth 51 is known: choose one of 26, 29, 50, 101, 152, 200"),
        ({}, "one of a variant's name and a depth"),
        ({"like": "resnet50", "depth": 50}, "one of a variant's name and a depth"),
        ({"like": "resnet50", "template": "1x32d"}, "contradict each other"),
        ({"depth": 50, "template": "32"}, "cardinality and width are wanted, as in 1x64d"),
        ({"depth": 50, "template": "0x4d"}, "cardinality and width are wanted"),
        ({"depth": 50, "template": "99x99d"}, "C·d is 9801, more than the 8192"),
        ({"depth": 50, "stem_channels": 0}, "stem channels 0: there must be 1 to 8192"),
        ({"depth": 50, "res2_channels": 9000}, "res2 channels 9000: there must be 1 to 8192"),
        ({"depth": 50, "res2_channels": 3}, "no whole number: name depth and template"),
    ],
    ids=str,
)
def test_references_that_cannot_be(wrong, message):
    with pytest.raises(UserError, match=message):
        reference_network(**wrong)


@pytest.mark.parametrize(
    ("cardinalities", "more", "message"),
    [
        ((), {}, "no cardinality is named"),
        ((0,), {}, "cardinality 0 is no whole number from 1 to 8192"),
        ((2.0,), {}, "cardinality 2.0 is no whole number"),
        ((True,), {}, "cardinality True is no whole number"),
        ((8193,), {}, "cardinality 8193 is no whole number from 1 to 8192"),
        ((2, 4, 2), {}, "cardinality 2 is named twice"),
        ((1,), {"times": 0}, "times 0: it must be above 0"),
        ((1,), {"times": float("nan")}, "times nan"),
        ((1,), {"times": float("inf")}, "times inf"),
        ((1,), {"tolerance": -1}, "tolerance -1"),
        ((1,), {"times": 1e300}, "ask for less complexity"),
        ((8192,), {"times": 500}, "so C·d = 57344 channels"),
        ((1,), {"match": "params", "budget": 25}, "unit missing, as in 25.5M"),
        ((1,), {"match": "flops", "budget": 4.1e15}, "ask for less complexity"),
    ],
    ids=str,
)
def test_designs_that_cannot_be(cardinalities, more, message):
    with pytest.raises(UserError, match=message):
        design_widths(reference_network(depth=26), cardinalities, **more)
