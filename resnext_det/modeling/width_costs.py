"""Complexity as a function of cardinality and width: Eq. 4 of the paper. Engine-neutral."""

from dataclasses import dataclass, replace
from functools import cache
from math import ceil, floor, sqrt

import torch

from resnext_det.modeling.classifier import Classifier
from resnext_det.modeling.complexity import Complexity, measure_complexity
from resnext_det.modeling.designed_network import DesignedNetwork


@dataclass(frozen=True)
class WidthCost:
    """fixed + C · (linear · d + quadratic · d²), whatever the cardinality C and the width d.

    A block's parameters have that form (Eq. 4: fixed 0, linear 2 · 256, quadratic 9), and so
    have the parameters and multiply-adds of a whole network: C · d channels go in and out of its
    1x1 convolutions and norms, d of them in and out of each of the C groups.
    """

    fixed: int
    linear: int
    quadratic: int

    def at(self, num_groups: int, width_per_group: int) -> int:
        """Returns the cost of one cardinality and width."""
        per_group = self.linear * width_per_group + self.quadratic * width_per_group**2
        return self.fixed + num_groups * per_group

    def nearest_width(self, num_groups: int, target: float) -> int:
        """Returns the width, at least 1, whose cost is nearest; of two such the smaller.

        The cost grows with d, so it is one of the whole numbers around the positive root of
        quadratic · d² + linear · d = (target - fixed) / C; below 1 there is none to choose.
        """
        b, per_group = self.linear, (target - self.fixed) / num_groups
        root = (sqrt(max(b * b + 4 * self.quadratic * per_group, 0.0)) - b) / (2 * self.quadratic)
        low = max(1, floor(root))
        return min((low, low + 1), key=lambda d: abs(self.at(num_groups, d) - target))


def block_cost(network: DesignedNetwork) -> WidthCost:
    """Eq. 4: weights of the template's 1x1, grouped 3x3 and 1x1 convolutions in res2.

    Every later stage doubles all of its channels, which makes four times this of each term.
    """
    return WidthCost(fixed=0, linear=2 * network.res2_out_channels, quadratic=3 * 3)


def block_positions(network: DesignedNetwork) -> int:
    """Positions of res2's map, at each of which a weight of the template multiplies once."""
    side = network.image_size
    if network.stem == "imagenet":  # a convolution and a max-pool of stride 2, which round up
        side = ceil(side / 4)
    return side * side


def network_costs(network: DesignedNetwork) -> tuple[WidthCost, WidthCost]:
    """Parameters and multiply-adds of the whole classifier, of any cardinality and width.

    Three networks are built on the meta device and counted, a few seconds of work that is kept;
    three points fix the polynomial exactly, in whole numbers.
    """
    return _network_costs(replace(network, num_groups=1, width_per_group=1))


@cache
def _network_costs(narrowest: DesignedNetwork) -> tuple[WidthCost, WidthCost]:
    counts = [_measure(replace(narrowest, width_per_group=d)) for d in (1, 2, 3)]
    params = _through(*(count.params for count in counts))
    return params, _through(*(count.flops for count in counts))


def _through(one: int, two: int, three: int) -> WidthCost:
    """The polynomial with these values at d = 1, 2 and 3 of a single group."""
    quadratic = (three - 2 * two + one) // 2
    linear = two - one - 3 * quadratic
    return WidthCost(one - linear - quadratic, linear, quadratic)


def _measure(network: DesignedNetwork) -> Complexity:
    with torch.device("meta"):
        classifier = Classifier(num_classes=network.num_classes, **network.arguments)
    return measure_complexity(classifier, network.image_size)
