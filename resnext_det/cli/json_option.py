"""The option --json of the verbs that measure something. Engine-neutral."""

import argparse


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds `--json FILE`; `cli.printing` checks and writes it.

    Args:
        parser: of the verb.
        what: is written there, as in "the counts".
    """
    parser.add_argument(
        "--json",
        metavar="FILE",
        help=f"write {what} there, too; on stdout for -, instead of the text",
    )
