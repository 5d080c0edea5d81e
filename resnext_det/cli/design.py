"""The verb that designs networks of equal complexity, after the paper's Eq. 4. Engine-neutral."""

import argparse
import re
import shlex
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from resnext_det.cli.design_configs import write_configs
from resnext_det.cli.printing import check_json, open_console, write_json
from resnext_det.errors import UserError
from resnext_det.modeling.design import (
    Design,
    DesignedWidths,
    Match,
    design_widths,
)
from resnext_det.modeling.design_goals import CARDINALITIES
from resnext_det.modeling.designed_network import (
    RES2_CHANNELS,
    STEM_CHANNELS,
    DesignedNetwork,
    reference_network,
)

CAPTION = (
    "d: the whole number whose cost is nearest, C·d: channels of res2's grouped convolutions. "
    "block: C · (2 · {channels} · d + 9 · d²) weights, the paper's Eq. 4, and their multiply-adds "
    "in res2. params, FLOPs: of the whole classifier, multiply-adds of convolutions and linear "
    "layers, one image of {size} px. In brackets: the difference from {goal}."
)
_NAMES: dict[Match, str] = {
    "block": "the block's parameters (Eq. 4)",
    "params": "the whole network's parameters",
    "flops": "the whole network's multiply-adds",
}
# Options that decide what a design is like.
_DESIGNING = ("like", "depth", "template", "stem-channels", "res2-channels")
_DESIGNING += ("match", "times", "params", "flops")
_UNITS = {"": 1.0, "K": 1e3, "k": 1e3, "M": 1e6, "G": 1e9}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?)([KkMG]?)")


def run(args: argparse.Namespace) -> int:
    """Designs, writes the configs and the JSON, and prints the table.

    Returns:
        The exit status, 0.

    Raises:
        UserError: an option makes no sense or contradicts another, or a file cannot be written.
    """
    check_json(args.json)
    if args.detector and not args.write:
        raise UserError("--detector writes configs, but no folder is named: add --write FOLDER")
    cardinalities = parse_cardinalities(args.cardinality)
    reference = reference_network(
        like=args.like,
        depth=args.depth,
        template=args.template,
        stem_channels=STEM_CHANNELS if args.stem_channels is None else args.stem_channels,
        res2_channels=RES2_CHANNELS if args.res2_channels is None else args.res2_channels,
    )
    match, budget = _parse_goal(args)
    designed = design_widths(
        reference,
        cardinalities,
        match=match,
        times=1.0 if args.times is None else args.times,
        budget=budget,
        tolerance=args.tolerance,
    )
    written: list[str] = []
    if args.write:
        written = write_configs(designed, args.write, design_command(args), detector=args.detector)
    console = open_console(args.json)
    print_designs(console, designed)
    for path in written:
        console.print(path, markup=False, highlight=False, soft_wrap=True)
    write_json(args.json, as_json(designed))
    return 0


def parse_cardinalities(text: str) -> list[int]:
    """Reads C,C,….

    Raises:
        UserError: a part is no positive whole number.
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}", part):
            raise UserError(
                f"--cardinality {text}: {part!r} is no positive whole number; numbers with commas "
                f"between are wanted, as in {CARDINALITIES}"
            )
    return [int(part) for part in parts]


def parse_amount(option: str, text: str) -> float:
    """Reads 25.5M, 4.1G, 25557032 or 4.1e9.

    Raises:
        UserError: it is none of that, or a part of one.
    """
    match = _AMOUNT.fullmatch(text)
    amount = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if amount < 1:
        raise UserError(f"{option} {text}: a number is wanted, with K, M or G, as in 25.5M or 4.1G")
    return amount


def design_command(args: argparse.Namespace) -> str:
    """Returns the command without cardinalities, and without where its answer is written.

    So what a config says of its network does not depend on which others were asked for with it.
    """
    words = ["resnext-det", "design"]
    for option in _DESIGNING:
        value = getattr(args, option.replace("-", "_"))
        if value is not None:
            words += [f"--{option}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def print_designs(console: Console, designed: DesignedWidths) -> None:
    """Prints what was asked for, the table and the notes."""
    console.print(f"Designed after {_reference_text(designed)}.", highlight=False)
    console.print(make_table(designed))
    for note in notes(designed):
        console.print(note, highlight=False)


def make_table(designed: DesignedWidths) -> Table:
    """Lays out the designs: params in M (the block's in full), FLOPs in M and G."""
    reference = designed.reference
    goal = reference.name if designed.times == 1 else f"{designed.times:.4g} times {reference.name}"
    channels, size = reference.res2_out_channels, reference.image_size
    caption = CAPTION.format(channels=channels, size=size, goal=goal)
    table = Table(caption=caption, caption_justify="left")
    titles = ("C", "d", "C·d", "block", "block FLOPs M", "params M", "FLOPs G")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("variant", overflow="fold")
    marked = any(not design.within for design in designed.designs)
    if marked:
        table.add_column("note")
    for design in designed.designs:
        mark = "" if design.within else f"beyond {designed.tolerance:g} %"
        cells = [*_numbers(design), design.network.variant or "–", *([mark] if marked else [])]
        table.add_row(*cells)
    return table


def notes(designed: DesignedWidths) -> list[str]:
    """Sentences on what a reader of the table may take amiss."""
    sentences = []
    for design in designed.designs:
        network, width = design.network, design.paper_width
        if width is not None:
            sentences.append(
                f"The paper's {design.paper_table} has {network.num_groups}x{width}d, rounded; "
                f"the nearest width is {network.width_per_group}."
            )
    beyond = [str(design.network.num_groups) for design in designed.designs if not design.within]
    if beyond:
        sentences.append(
            f"No whole width comes within {designed.tolerance:g} % at C = {', '.join(beyond)}: "
            "the nearest is shown."
        )
    return sentences


def as_json(designed: DesignedWidths) -> dict[str, Any]:
    """Returns all of it as numbers and strings; widths and costs of every design in "rows"."""
    return {
        "reference": {
            **_network_json(designed.reference),
            **asdict(designed.reference_costs),
        },
        "match": designed.match,
        "times": designed.times,
        "target": designed.target,
        "tolerance": designed.tolerance,
        "rows": [_row_json(design) for design in designed.designs],
        "notes": notes(designed),
    }


def _row_json(design: Design) -> dict[str, Any]:
    return {
        **_network_json(design.network),
        **asdict(design.costs),
        "differences": asdict(design.differences),
        "within_tolerance": design.within,
        "paper_width": design.paper_width,
    }


def _network_json(network: DesignedNetwork) -> dict[str, Any]:
    more = {"group_width": network.group_width, "variant": network.variant}
    return {"model": network.name, **asdict(network), **more}


def _parse_goal(args: argparse.Namespace) -> tuple[Match, float | None]:
    """What to keep, and the budget where one is named; a budget says what to keep."""
    budgets: dict[Match, str | None] = {"params": args.params, "flops": args.flops}
    for match, text in budgets.items():
        if text is None:
            continue
        if args.match not in (None, match):
            raise UserError(f"--match {args.match} and --{match} contradict each other: drop one")
        return match, parse_amount(f"--{match}", text)
    return args.match or "block", None


def _reference_text(designed: DesignedWidths) -> str:
    network, costs = designed.reference, designed.reference_costs
    name = (
        network.name if network.template in network.name else f"{network.name} {network.template}"
    )
    channels = ""
    if not network.has_usual_channels:
        channels = f", stem {network.stem_out_channels}, res2 {network.res2_out_channels} channels"
    kept = f"{_NAMES[designed.match]}, {designed.target:,.0f}"
    return (
        f"{name} ({costs.params / 1e6:.2f} M parameters, {costs.flops / 1e9:.3f} G multiply-adds, "
        f"block {costs.block_params:,.0f}{channels}); kept: {kept}"
    )


def _numbers(design: Design) -> list[str]:
    network, costs, above = design.network, design.costs, design.differences
    return [
        str(network.num_groups),
        str(network.width_per_group),
        str(network.group_width),
        f"{costs.block_params:,} ({above.block_params:+.1f} %)",
        f"{costs.block_flops / 1e6:.1f} ({above.block_flops:+.1f} %)",
        f"{costs.params / 1e6:.2f} ({above.params:+.1f} %)",
        f"{costs.flops / 1e9:.3f} ({above.flops:+.1f} %)",
    ]
