"""What a look at this machine found: one line, a verdict, advice. Engine-neutral."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        check: what was looked at, as in "torch"; the same name on every machine.
        verdict: how bad it is.
        text: what was found.
        advice: what to do; empty where nothing is to be done.
        facts: numbers and names behind the text, for programs: JSON's kinds of values.
    """

    check: str
    verdict: Verdict
    text: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def fine(check: str, text: str, /, **facts: Any) -> Finding:
    """Returns a finding that nothing is wrong with."""
    return Finding(check, Verdict.OK, text, "", facts)


def note(check: str, text: str, advice: str, /, **facts: Any) -> Finding:
    """Returns a finding that some runs do without."""
    return Finding(check, Verdict.NOTE, text, advice, facts)


def problem(check: str, text: str, advice: str, /, **facts: Any) -> Finding:
    """Returns a finding that has to be mended."""
    return Finding(check, Verdict.PROBLEM, text, advice, facts)


def said(error: BaseException) -> str:
    """Returns an exception's kind and message in one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def gigabytes(size: int) -> str:
    """Writes a number of bytes as messages do."""
    return f"{size / 1e9:.1f} GB"
