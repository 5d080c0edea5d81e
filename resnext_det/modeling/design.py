"""Widths that keep a network's complexity at other cardinalities. Engine-neutral.

The paper's Section 3.3: for each cardinality C the width d of a group is chosen so that a
block's parameters, C · (256 d + 9 d² + 256 d) (Eq. 4), stay what ResNet-50's are. Here d is the
whole number, from 1 on, whose complexity is nearest; of two equally near ones the smaller.
Table 2's widths, 64, 40, 24, 14 and 4 for C = 1, 2, 4, 8 and 32, are what that rule gives.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from math import isfinite
from numbers import Integral

from resnext_det.errors import UserError
from resnext_det.modeling.design_goals import TOLERANCE, Match
from resnext_det.modeling.designed_network import MAX_GROUP_WIDTH, DesignedNetwork
from resnext_det.modeling.width_costs import WidthCost, block_cost, block_positions, network_costs

# Tables 2 and 4, in res2: C -> d at the block of 1x64d, and at twice its complexity.
PAPER_WIDTHS: dict[float, tuple[str, dict[int, int]]] = {
    1.0: ("Table 2", {1: 64, 2: 40, 4: 24, 8: 14, 32: 4}),
    2.0: ("Table 4", {1: 100, 2: 64, 64: 4}),
}


@dataclass(frozen=True)
class Costs:
    """What a network costs, or by how many percent that differs.

    Attributes:
        block_params: weights of the block template in res2, Eq. 4.
        block_flops: its multiply-adds on one image.
        params: of the whole classifier, the norms' included.
        flops: multiply-adds of the whole classifier on one image.
    """

    block_params: float
    block_flops: float
    params: float
    flops: float

    def percent_above(self, other: "Costs") -> "Costs":
        """Returns by how many percent these exceed others; negative where they are less."""
        return Costs(
            *(100 * (a / b - 1) for a, b in zip(astuple(self), astuple(other), strict=True))
        )

    def times(self, factor: float) -> "Costs":
        """Returns a multiple of these."""
        return Costs(*(factor * value for value in astuple(self)))

    def of(self, match: Match) -> float:
        """Returns the one that is matched."""
        return {"block": self.block_params, "params": self.params, "flops": self.flops}[match]


@dataclass(frozen=True)
class Design:
    """A network of the complexity that was asked for, as nearly as its cardinality allows.

    Attributes:
        network: with the width found.
        costs: its own.
        differences: percent above those asked for.
        within: whether the matched one differs by the tolerance at most.
        paper_width: d of the paper's Table 2 or 4 where that is another one.
        paper_table: "Table 2" or "Table 4" then.
    """

    network: DesignedNetwork
    costs: Costs
    differences: Costs
    within: bool
    paper_width: int | None = None
    paper_table: str = ""


@dataclass(frozen=True)
class DesignedWidths:
    """The answer of `design_widths`.

    Attributes:
        reference: what the networks are designed after.
        reference_costs: of it.
        match: which cost is kept.
        times: the multiple of the reference's costs that was asked for.
        tolerance: percent.
        designs: one for each cardinality, in the order asked.
    """

    reference: DesignedNetwork
    reference_costs: Costs
    match: Match
    times: float
    tolerance: float
    designs: tuple[Design, ...]

    @property
    def target(self) -> float:
        """The complexity asked for, of what is matched."""
        return self.times * self.reference_costs.of(self.match)


def design_widths(
    reference: DesignedNetwork,
    cardinalities: Sequence[int],
    *,
    match: Match = "block",
    times: float = 1.0,
    budget: float | None = None,
    tolerance: float = TOLERANCE,
) -> DesignedWidths:
    """Finds, for each cardinality, the width that keeps the complexity.

    For example `design_widths(reference_network(like="resnet50"), (1, 2, 4, 8, 32))`, whose
    `designs` have the widths of Table 2.

    Args:
        reference: what to design after; see `reference_network`.
        cardinalities: C, each at least 1 and named once.
        match: what to keep: the block's parameters (Eq. 4, the paper's rule; its multiply-adds
            on a map of one size follow them), or parameters or multiply-adds of the whole network.
        times: of the reference's.
        budget: parameters or multiply-adds to reach instead of `times` the reference's.
        tolerance: percent; a design that differs by more is marked, not left out.

    Raises:
        UserError: a cardinality is no whole number from 1 on, is named twice or needs more
            channels than any network here; `times`, `budget` or `tolerance` makes no sense.
    """
    _check_cardinalities(cardinalities)
    _check_positive("times", times)
    _check_positive("tolerance", tolerance)
    block, (params, flops) = block_cost(reference), network_costs(reference)
    positions = block_positions(reference)

    def costs_of(network: DesignedNetwork) -> Costs:
        c, d = network.num_groups, network.width_per_group
        return Costs(block.at(c, d), positions * block.at(c, d), params.at(c, d), flops.at(c, d))

    reference_costs = costs_of(reference)
    matched: WidthCost = {"block": block, "params": params, "flops": flops}[match]
    if budget is not None:
        _check_budget(match, budget, matched)
        times = budget / reference_costs.of(match)
    goal = reference_costs.times(times)
    _check_goal(match, goal.of(match), matched)
    designs = []
    for c in cardinalities:
        network = replace(
            reference, num_groups=c, width_per_group=matched.nearest_width(c, goal.of(match))
        )
        _check_width(network)
        costs = costs_of(network)
        differences = costs.percent_above(goal)
        within = abs(differences.of(match)) <= tolerance
        paper = _paper_width(reference, network, match, times)
        designs.append(Design(network, costs, differences, within, *paper))
    return DesignedWidths(reference, reference_costs, match, times, tolerance, tuple(designs))


def _paper_width(
    reference: DesignedNetwork, network: DesignedNetwork, match: Match, times: float
) -> tuple[int | None, str]:
    """The paper's own width and its table, where it has one and that is not the one found."""
    template = (reference.num_groups, reference.width_per_group, reference.res2_out_channels)
    if match != "block" or template != (1, 64, 256) or times not in PAPER_WIDTHS:
        return None, ""
    table, widths = PAPER_WIDTHS[times]
    width = widths.get(network.num_groups, network.width_per_group)
    return (width, table) if width != network.width_per_group else (None, "")


def _check_cardinalities(cardinalities: Sequence[int]) -> None:
    if not cardinalities:
        raise UserError("no cardinality is named: give at least one, such as 1,2,4,8,32")
    seen: set[int] = set()
    for c in cardinalities:
        if not isinstance(c, Integral) or isinstance(c, bool) or not 1 <= c <= MAX_GROUP_WIDTH:
            raise UserError(
                f"cardinality {c!r} is no whole number from 1 to {MAX_GROUP_WIDTH}, the most "
                "groups designed for"
            )
        if c in seen:
            raise UserError(f"cardinality {c} is named twice: name each once")
        seen.add(c)


def _check_width(network: DesignedNetwork) -> None:
    if network.group_width > MAX_GROUP_WIDTH:
        raise UserError(
            f"cardinality {network.num_groups} needs d = {network.width_per_group} and so C·d = "
            f"{network.group_width} channels in res2, more than the {MAX_GROUP_WIDTH} designed "
            "for: ask for less complexity"
        )


def _check_positive(name: str, value: float) -> None:
    if not isfinite(value) or value <= 0:
        raise UserError(f"{name} {value:g}: it must be above 0, and finite")


def _check_budget(match: Match, budget: float, cost: WidthCost) -> None:
    """Refuses what no width reaches, as numbers whose unit was forgotten are."""
    _check_positive(f"budget of {match}", budget)
    least = cost.at(1, 1)
    if budget < least:
        raise UserError(
            f"a budget of {budget:,.0f} {match} is less than the narrowest network of this depth "
            f"has, {least:,} at 1x1d: is its unit missing, as in 25.5M or 4.1G?"
        )


def _check_goal(match: Match, target: float, cost: WidthCost) -> None:
    """Refuses what only networks wider than any here would reach."""
    most = cost.at(1, MAX_GROUP_WIDTH)
    if target > most:
        raise UserError(
            f"{target:.3g} is asked for, of {match}, but 1x{MAX_GROUP_WIDTH}d has {most:.3g}, the "
            "widest that is designed: ask for less complexity"
        )
