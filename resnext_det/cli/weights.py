"""The verb for weights files. Engine-neutral.

An action is one module of `cli.weights_verbs` with an `add_parser(verbs)` that sets the default
`act`: a function of the arguments that returns the exit status.
"""

import argparse
import sys
from types import ModuleType

from resnext_det.cli.offline import add_offline, apply_offline
from resnext_det.cli.weights_verbs import convert, diff, fetch, inspect, list, verify

DESCRIPTION = "Look into weights files, convert them, and prove that they are what they say."
ACTIONS: tuple[ModuleType, ...] = (inspect, convert, verify, diff, list, fetch)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb to `resnext-det`."""
    parser = subparsers.add_parser("weights", help=DESCRIPTION, description=DESCRIPTION)
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action in ACTIONS:
        action.add_parser(verbs)
    for action_parser in verbs.choices.values():
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
