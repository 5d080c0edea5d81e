"""The action that fetches weights into the cache. Engine-neutral."""

import argparse

from resnext_det.errors import UserError
from resnext_det.weights.choices import FETCHED
from resnext_det.weights.remote import fetch_weights, is_remote


def act(args: argparse.Namespace) -> int:
    """Fetches each, and prints one path a line.

    Returns:
        The exit status, 0.

    Raises:
        UserError: one is no name, is unknown, or cannot be fetched.
    """
    for spec in args.specs:
        if not is_remote(spec):
            raise UserError(f"{spec}: is a path; give {FETCHED}")
        print(fetch_weights(spec).path)
    return 0
