"""The options of the verb that designs networks of equal complexity. Engine-neutral."""

import argparse

from resnext_det.cli.json_option import add_json
from resnext_det.modeling.design_goals import CARDINALITIES, MATCHES, TOLERANCE
from resnext_det.modeling.designed_network import RES2_CHANNELS, STEM_CHANNELS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    after = parser.add_mutually_exclusive_group(required=True)
    after.add_argument("--like", metavar="VARIANT", help="design after it, such as resnet50")
    depth_help = "or after the ResNet 1x64d of that depth; 29 is CIFAR's"
    after.add_argument("--depth", type=int, metavar="N", help=depth_help)
    add("--template", metavar="CxDd", help="with --depth: after it, instead of the 1x64d")
    add("--cardinality", metavar="C,C,…", default=CARDINALITIES, help=f"default {CARDINALITIES}")
    match_help = "what to keep: block (Eq. 4, the default), or params or flops of the whole network"
    add("--match", choices=MATCHES, help=match_help)
    goal = parser.add_mutually_exclusive_group()
    goal.add_argument("--times", type=float, metavar="F", help="F times the complexity, default 1")
    goal.add_argument("--params", metavar="N", help="reach N parameters, such as 25.5M")
    goal.add_argument("--flops", metavar="N", help="reach N multiply-adds, such as 4.1G")
    tolerance_help = f"mark what differs by more than this, default {TOLERANCE:g}"
    add("--tolerance", type=float, default=TOLERANCE, metavar="PERCENT", help=tolerance_help)
    stem_help = f"channels of the stem, default {STEM_CHANNELS}"
    add("--stem-channels", type=int, metavar="N", help=stem_help)
    res2_help = f"channels out of res2, default {RES2_CHANNELS}; the reference's width follows"
    add("--res2-channels", type=int, metavar="N", help=res2_help)
    add("--write", metavar="FOLDER", help="write a config to train each network there")
    add("--detector", action="store_true", help="with --write: of a detector (FPN), too")
    add_json(parser, "the designs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Designs: see `cli.design`."""
    from resnext_det.cli import design

    return design.run(args)
