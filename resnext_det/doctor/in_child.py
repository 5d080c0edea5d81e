"""A look in a process of its own, which may crash or hang. Engine-neutral.

Code that was compiled for another processor, card or driver ends its process without an exception.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence

from resnext_det.doctor.findings import Finding, Verdict, problem

SECONDS = 180.0
"""That it may take; seconds are usual, most of them for importing torch."""


def look_in_child(check: str, module: str, words: Sequence[str], advice: str) -> list[Finding]:
    """Runs a module, which ends with `answer`.

    Args:
        check: what it looks at.
        module: its name.
        words: its arguments.
        advice: what to do where it does not answer.

    Returns:
        What it answered; a problem where it crashed or hung.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words], capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return [problem(check, f"did not end within {SECONDS:g} s", advice)]
    if done.returncode:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()][-1:]
        text = ": ".join([f"ended with {_how(done.returncode)}", *last])
        return [problem(check, text, advice, status=done.returncode)]
    return [
        Finding(**entry | {"verdict": Verdict(entry["verdict"])})
        for entry in json.loads(done.stdout.splitlines()[-1])  # libraries print, too
    ]


def answer(findings: Iterable[Finding]) -> None:
    """Prints findings for the process that has asked."""
    print(json.dumps([vars(finding) for finding in findings], default=dict), flush=True)


def _how(status: int) -> str:
    """Writes an exit status; a negative one is that of a signal."""
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
