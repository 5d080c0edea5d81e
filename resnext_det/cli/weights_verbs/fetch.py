"""The action that fetches weights into the cache. Engine-neutral."""

import argparse

from resnext_det.errors import UserError
from resnext_det.weights.remote import fetch_weights, is_remote

DESCRIPTION = "Fetch weights into the cache, for machines without a network, and print the path."
_FORMS = "torchvision://NAME/WEIGHTS, timm://NAME[.TAG], detectron2://PATH or an http(s) address"


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to `resnext-det weights`."""
    parser = verbs.add_parser("fetch", help=DESCRIPTION, description=DESCRIPTION)
    parser.add_argument("specs", nargs="+", metavar="SPEC", help=_FORMS)
    parser.set_defaults(act=act)


def act(args: argparse.Namespace) -> int:
    """Fetches each, and prints one path a line.

    Returns:
        The exit status, 0.

    Raises:
        UserError: one is no name, is unknown, or cannot be fetched.
    """
    for spec in args.specs:
        if not is_remote(spec):
            raise UserError(f"{spec}: is a path; give {_FORMS}")
        print(fetch_weights(spec).path)
    return 0
