"""All subjects in their order, whatever goes wrong with one. Engine-neutral.

What `as_json` returns keeps its form as long as `FORMAT` stays; new checks and facts may come:

    {"format": 1, "verdict": "ok" | "note" | "problem", "problems": N, "notes": N, "seconds": S,
     "findings": [{"subject": "…", "check": "…", "verdict": "ok" | "note" | "problem",
                   "text": "…", "advice": "…", "facts": {…}}, …]}
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.doctor import (
    cuda,
    data_folders,
    detection_engine,
    disk,
    forward_pass,
    memory,
    output_folder,
    packages,
    text_encoding,
    threads,
)
from resnext_det.doctor.findings import Finding, Verdict, problem, said

FORMAT = 1


@dataclass(frozen=True)
class Patient:
    """What to look at besides the machine itself.

    Attributes:
        output: the folder that runs are to be written into; it need not be there.
        device: torch's name of the device of the forward pass; None for the best there is.
    """

    output: Path
    device: str | None = None


@dataclass(frozen=True)
class Subject:
    """A part of the doctor's look.

    Attributes:
        name: of the part, as in "cuda".
        look: yields what it finds; it may raise anything.
    """

    name: str
    look: Callable[[Patient], Iterator[Finding]]


@dataclass(frozen=True)
class Examination:
    """Everything that was found.

    Attributes:
        findings: with the subject of each, in the subjects' order.
        seconds: it took.
    """

    findings: Sequence[tuple[str, Finding]]
    seconds: float

    def count(self, verdict: Verdict) -> int:
        """Returns how many findings are of a verdict."""
        return sum(finding.verdict is verdict for _, finding in self.findings)

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        found = {finding.verdict for _, finding in self.findings}
        worst_first = (Verdict.PROBLEM, Verdict.NOTE)
        return next((verdict for verdict in worst_first if verdict in found), Verdict.OK)


SUBJECTS: Sequence[Subject] = (
    Subject("versions", lambda _: packages.look()),
    Subject("detectron2", lambda _: detection_engine.look()),
    Subject("cuda", lambda _: cuda.look()),
    Subject("data", lambda _: data_folders.look()),
    Subject("output", lambda patient: output_folder.look(patient.output)),
    Subject("disk", lambda patient: disk.look(patient.output)),
    Subject("memory", lambda _: memory.look()),
    Subject("threads", lambda _: threads.look()),
    Subject("text", lambda _: text_encoding.look()),
    Subject("forward pass", lambda patient: forward_pass.look(patient.device)),
)


def examine(patient: Patient, subjects: Sequence[Subject] = SUBJECTS) -> Examination:
    """Looks at one subject after the other; one that raises is a problem by itself."""
    began = time.perf_counter()
    findings = [(subject.name, found) for subject in subjects for found in _of(subject, patient)]
    return Examination(findings, time.perf_counter() - began)


def _of(subject: Subject, patient: Patient) -> list[Finding]:
    findings = []
    try:
        for finding in subject.look(patient):
            findings.append(finding)  # what came before an error counts, too
    except Exception as error:
        advice = "This check itself failed; please report it with this line"
        findings.append(problem("check", f"broke off: {said(error)}", advice))
    return findings


def as_json(examination: Examination) -> dict[str, Any]:
    """Returns what `--json` writes; see the module's first lines."""
    return {
        "format": FORMAT,
        "verdict": str(examination.verdict),
        "problems": examination.count(Verdict.PROBLEM),
        "notes": examination.count(Verdict.NOTE),
        "seconds": round(examination.seconds, 3),
        "findings": [
            {
                "subject": subject,
                "check": finding.check,
                "verdict": str(finding.verdict),
                "text": finding.text,
                "advice": finding.advice,
                "facts": dict(finding.facts),
            }
            for subject, finding in examination.findings
        ],
    }
