"""The options of the verb that counts parameters and FLOPs. Engine-neutral."""

import argparse

from resnext_det.cli.json_option import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    what = "a variant or a config file; all variants and all configs by default"
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=what)
    add_json(parser, "the counts")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Counts: see `cli.complexity`.

    Raises:
        UserError: as there; a mistyped name is found before torch is imported.
    """
    from resnext_det.cli.network_names import check_networks

    check_networks(args.networks)
    from resnext_det.cli import complexity

    return complexity.run(args)
