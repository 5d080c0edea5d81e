"""The verb that looks whether this machine is fit for runs. Engine-neutral."""

import argparse

import torch
from rich.console import Console
from rich.text import Text

from resnext_det.cli.printing import STDOUT, check_json, write_json
from resnext_det.doctor.examine import Examination, Patient, as_json, examine
from resnext_det.doctor.findings import Finding, Verdict
from resnext_det.errors import UserError, one_line

_STYLES = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.PROBLEM: "bold red"}
_SUBJECT, _VERDICT = 14, 9  # columns of the first two


def run(args: argparse.Namespace) -> int:
    """Looks, and says what was found.

    Returns:
        The exit status: 0; 1 where there are problems.

    Raises:
        UserError: `--device` is none of torch's, or the JSON cannot be written.
    """
    check_json(args.json)
    _check_device(args.device)
    found = examine(Patient(args.output, args.device))
    print_examination(Console(quiet=args.json == STDOUT), found)
    write_json(args.json, as_json(found))
    return 1 if found.verdict is Verdict.PROBLEM else 0


def print_examination(console: Console, examination: Examination) -> None:
    """Prints each subject with its findings below each other, and advice below its finding."""
    before = ""
    for subject, finding in examination.findings:
        _print(console, "" if subject == before else subject, finding)
        before = subject
    problems, notes = examination.count(Verdict.PROBLEM), examination.count(Verdict.NOTE)
    console.print()
    took = f"in {examination.seconds:.1f} s"
    console.print(f"{problems} problem(s), {notes} note(s), {took}", highlight=False)


def _print(console: Console, subject: str, finding: Finding) -> None:
    line = Text()
    line.append(subject.ljust(_SUBJECT), "bold")
    line.append(str(finding.verdict).ljust(_VERDICT), _STYLES[finding.verdict])
    indent = _SUBJECT + _VERDICT
    width = max(20, console.width - indent)
    arrow = "→" if console.encoding.startswith("utf") else "->"
    body = Text(_printable(console, finding.text))
    if finding.advice:
        body.append(f"\n{arrow} {_printable(console, finding.advice)}")
    for number, part in enumerate(body.wrap(console, width, overflow="fold")):
        part.rstrip()
        console.print((line if number == 0 else Text(" " * indent)) + part, highlight=False)


def _printable(console: Console, text: str) -> str:
    """Returns a line that the terminal's encoding takes, which may be what the doctor tells of."""
    encoding = console.encoding
    return one_line(text).encode(encoding, "backslashreplace").decode(encoding)


def _check_device(name: str | None) -> None:
    try:
        torch.device(name or "cpu")
    except RuntimeError as error:
        raise UserError(f"--device {name}: no device of torch's; give cpu or cuda:0") from error
