"""The action that proves weights to be what they say. Engine-neutral."""

import argparse

from rich.table import Table
from rich.text import Text

from resnext_det.cli.printing import (
    check_json,
    files_of_weights,
    open_console,
    write_json,
)
from resnext_det.errors import one_line
from resnext_det.weights.verifying import Verification, verify_weights

_STYLES = {"passed": "green", "failed": "red", "not done": "dim"}
_VERDICTS = {
    "passed": "verified: everything that could be compared is equal",
    "failed": "not verified: see what failed",
    "not done": "not verified: there is nothing to compare with",
}


def act(args: argparse.Namespace) -> int:
    """Compares, prints what was done, and writes the JSON.

    Returns:
        The exit status: 0 if at least one comparison was done and all that were passed, else 1.

    Raises:
        UserError: it is no file of a ResNet or ResNeXt, or the JSON cannot be written.
    """
    check_json(args.json, files_of_weights(args.weights))
    verification = verify_weights(args.weights)
    open_console(args.json).print(_table(verification))
    write_json(args.json, verification.as_json())
    return 0 if verification.verdict == "passed" else 1


def _table(verification: Verification) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in verification.checks:
        status = Text(check.status, style=_STYLES[check.status])
        table.add_row(check.name, status, Text(one_line(check.text)))
    style = "red" if verification.verdict == "failed" else ""
    table.add_row("", "", Text(_VERDICTS[verification.verdict], style=style))
    return table
