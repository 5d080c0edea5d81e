"""The option --offline of the verbs that may fetch something. Engine-neutral."""

import argparse
import os

from resnext_det.cache_folder import OFFLINE


def add_offline(parser: argparse.ArgumentParser) -> None:
    """Adds `--offline`."""
    text = f"fetch nothing, take what the caches have; as {OFFLINE}=1 in the environment"
    parser.add_argument("--offline", action="store_true", help=text)


def apply_offline(args: argparse.Namespace) -> None:
    """Notes in the environment that nothing is fetched, for the processes started from here, too.

    Args:
        args: with `offline`; a verb without that option is left alone.
    """
    if getattr(args, "offline", False):
        os.environ[OFFLINE] = "1"
