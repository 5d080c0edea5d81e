"""The options of the verb for weights files, action by action. Engine-neutral.

An action sets the default `act`: a function of the arguments that returns the exit status.
"""

import argparse
import math
import sys
from pathlib import Path

from resnext_det.cli.json_option import add_json
from resnext_det.cli.offline import add_offline, apply_offline
from resnext_det.weights.choices import (
    ANY,
    COMMERCIAL,
    FETCHED,
    KNOWN_COMMERCIAL,
    PARTS,
    TARGET_NAMES,
)
from resnext_det.weights.readers.plain_file import check_plain_file

INSPECT = (
    "Say what a weights file is: its form, whose names it has, architecture, head, convention, "
    "licence, digests, and numbers that look wrong. Nothing in it is executed."
)
CONVERT = "Write weights under another project's names, in its convention, with a side-car."
VERIFY = (
    "Prove that weights are what they say: compare their digest and their outputs for a reference "
    "image with the side-car, and the outputs with the library that they come from."
)
VERIFY_EPILOG = (
    "Exit status: 0 if at least one comparison was done and all passed; 1 otherwise; 2: error."
)
DIFF = "Compare two weights files tensor by tensor, whatever names each has."
DIFF_EPILOG = "Exit status: 0 if they are the same, 1 if they differ, 2 after an error."
LIST = "List the public weights for each network, with their accuracy and licence."
LIST_EPILOG = (
    "Give the last column to MODEL.WEIGHTS. --json FILE also names the source of each figure."
)
FETCH = "Fetch weights into the cache, for machines without a network, and print the path."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_inspect(actions)
    _add_convert(actions)
    _add_verify(actions)
    _add_diff(actions)
    _add_list(actions)
    _add_fetch(actions)
    for action_parser in actions.choices.values():
        add_offline(action_parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the action.

    Returns:
        The exit status: the action's own; 130 after an interrupt.

    Raises:
        UserError: anything the user can mend.
    """
    apply_offline(args)
    try:
        return args.act(args)
    except KeyboardInterrupt:
        print("interrupted: no file was left half written", file=sys.stderr)
        return 130


def _add_inspect(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("inspect", help=INSPECT, description=INSPECT)
    what = "a weights file of any form, or whatever else MODEL.WEIGHTS takes"
    parser.add_argument("weights", metavar="FILE|NAME", help=what)
    parser.add_argument("--tensors", action="store_true", help="list every tensor, too")
    add_json(parser, "everything")
    parser.set_defaults(act=_inspect)


def _add_convert(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("convert", help=CONVERT, description=CONVERT)
    source = "a file of any form, or a name: whatever MODEL.WEIGHTS takes"
    parser.add_argument("source", metavar="SOURCE", help=source)
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="the file to write")
    parser.add_argument("--to", required=True, choices=TARGET_NAMES, help="whose names")
    parts = "'backbone' leaves a detector's or a classifier's head out"
    parser.add_argument("--part", choices=PARTS, default=PARTS[0], help=parts)
    licence = "SPDX identifier of the weights' licence, where the source says none"
    parser.add_argument("--licence", metavar="SPDX", help=licence)
    names = "names of the head's classes, a line each or a JSON list"
    parser.add_argument("--class-names", metavar="FILE", type=Path, help=names)
    parser.add_argument("--force", action="store_true", help="replace OUTPUT if it is there")
    add_json(parser, "what was converted")
    parser.set_defaults(act=_convert)


def _add_verify(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("verify", help=VERIFY, description=VERIFY, epilog=VERIFY_EPILOG)
    what = "a weights file of any form, or whatever else MODEL.WEIGHTS takes"
    parser.add_argument("weights", metavar="FILE|NAME", help=what)
    add_json(parser, "the comparisons")
    parser.set_defaults(act=_verify)


def _add_diff(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("diff", help=DIFF, description=DIFF, epilog=DIFF_EPILOG)
    what = "a weights file of any form, or whatever else MODEL.WEIGHTS takes"
    parser.add_argument("a", metavar="A", help=what)
    parser.add_argument("b", metavar="B", help="likewise")
    tolerance = "absolute difference of two numbers that counts as none (0)"
    parser.add_argument(
        "--tolerance", type=_not_negative, default=0.0, metavar="NUMBER", help=tolerance
    )
    add_json(parser, "all of it")
    parser.set_defaults(act=_diff)


def _add_list(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("list", help=LIST, description=LIST, epilog=LIST_EPILOG)
    add = parser.add_argument
    add("variants", nargs="*", metavar="VARIANT", help="such as resnext50_32x4d; all by default")
    policies = (ANY, COMMERCIAL, KNOWN_COMMERCIAL)
    policy_help = "leave out what MODEL.WEIGHTS_LICENCE_POLICY refuses at this value"
    add("--licence-policy", choices=policies, default=ANY, help=policy_help)
    add("--cached", action="store_true", help="leave out what is not on this machine")
    tasks = ("classification", "detection")
    add("--task", choices=tasks, help="leave out the other: ImageNet's, or whole detectors")
    add_json(parser, "all that is known of each")
    parser.set_defaults(act=_list)


def _add_fetch(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("fetch", help=FETCH, description=FETCH)
    parser.add_argument("specs", nargs="+", metavar="SPEC", help=FETCHED)
    parser.set_defaults(act=_fetch)


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError("a number from 0 on is wanted")
    return value


def _check_files(*specs: str) -> None:
    """Finds a mistyped path before torch is imported; a name is looked up later."""
    for spec in specs:
        if "://" not in spec:
            check_plain_file(Path(spec), spec)


def _inspect(args: argparse.Namespace) -> int:
    _check_files(args.weights)
    from resnext_det.cli.weights_verbs import inspect

    return inspect.act(args)


def _convert(args: argparse.Namespace) -> int:
    _check_files(args.source)
    from resnext_det.cli.weights_verbs import convert

    return convert.act(args)


def _verify(args: argparse.Namespace) -> int:
    _check_files(args.weights)
    from resnext_det.cli.weights_verbs import verify

    return verify.act(args)


def _diff(args: argparse.Namespace) -> int:
    _check_files(args.a, args.b)
    from resnext_det.cli.weights_verbs import diff

    return diff.act(args)


def _list(args: argparse.Namespace) -> int:
    from resnext_det.weights.catalog import entries_of

    for variant in args.variants:
        entries_of(variant)
    from resnext_det.cli.weights_verbs import list

    return list.act(args)


def _fetch(args: argparse.Namespace) -> int:
    from resnext_det.cli.weights_verbs import fetch

    return fetch.act(args)
