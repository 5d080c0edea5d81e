"""One harness under atheris, in a process of its own. Engine-neutral.

python -m tests.fuzzing.worker NAME STATE.json KEEP [libFuzzer's options and corpus folders]

What failed is kept and counted, and fuzzing goes on; only a hang in compiled code, a crash of the
process or memory beyond libFuzzer's own limits end it, and leave its file below KEEP.
"""

import hashlib
import json
import random
import sys
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import atheris  # pyright: ignore[reportMissingImports]

from tests.fuzzing.harness import ENDS, Harness, corpus_of, harness_of, judge, peak_memory

_WRITE_EVERY = 1.0  # seconds
_WARM = 0.25  # of the time, after which memory has to be flat
_MOST_FINDINGS = 50
_FRESH = 0.3  # the share of mutations that start from the corpus's files, most of which are sound


class Run:
    """A campaign of one harness as far as it has come; `state.json` is written every second."""

    def __init__(self, name: str, harness: Harness, state: Path, keep: Path, seconds: float):
        self._name, self._harness, self._state, self._keep = name, harness, state, keep
        self._start, self._seconds, self._written = time.monotonic(), seconds, 0.0
        self._ends: Counter[str] = Counter()
        self._findings: dict[str, dict[str, Any]] = {}
        self._slowest = self._peak = 0.0
        self._warm: dict[str, float] = {}

    def one_input(self, data: bytes) -> None:
        """Judges an input and counts its end."""
        began = time.process_time()
        thorough = zlib.crc32(data) % self._harness.every == 0
        end = judge(self._harness, data, thorough=thorough)
        self._slowest = max(self._slowest, time.process_time() - began)
        self._peak = max(self._peak, peak_memory())
        self._ends[end if end in ENDS else "failed"] += 1
        if end not in ENDS:
            self._keep_finding(end, data)
        if time.monotonic() - self._written >= _WRITE_EVERY:
            self._write()

    def _keep_finding(self, what: str, data: bytes) -> None:
        if what in self._findings:
            self._findings[what]["count"] += 1
        elif len(self._findings) < _MOST_FINDINGS:
            file = f"{self._name}-{hashlib.sha256(data).hexdigest()[:12]}"
            (self._keep / file).write_bytes(data)
            self._findings[what] = {"what": what, "count": 1, "file": file}
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        now = {
            "rss_mib": round(_resident(), 1),
            "open_files": len(list(Path("/proc/self/fd").iterdir())),
        }
        passed = self._written - self._start
        if passed >= _WARM * self._seconds and not self._warm:
            self._warm = now
        report = {
            "executions": self._ends.total(),
            **{end: self._ends[end] for end in (*ENDS, "failed")},
            "seconds": round(passed, 1),
            "slowest_input_cpu_seconds": round(self._slowest, 3),
            "peak_mib": round(self._peak, 1),
            "warm": self._warm or now,
            "last": now,
            "findings": list(self._findings.values()),
        }
        partial = self._state.with_suffix(".part")
        partial.write_text(json.dumps(report))
        partial.replace(self._state)


def _resident() -> float:
    """MiB of memory that the process has now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return peak_memory()


def main() -> None:
    """Runs the harness until libFuzzer's time is up."""
    name, state, keep, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["resnext_det"]):
        harness = harness_of(name)
        corpus = [path.read_bytes() for path in corpus_of(name)]
        for data in corpus:  # whatever is imported late is imported now
            judge(harness, data)
    seconds = next(float(o.partition("=")[2]) for o in options if o.startswith("-max_total_time="))
    run = Run(name, harness, Path(state), Path(keep), seconds)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if draw.random() < 0.1:
            return atheris.Mutate(data, max_size)
        start = draw.choice(corpus) if draw.random() < _FRESH else bytes(data)
        for _ in range(4):
            changed = harness.mutate(draw, start)
            if len(changed) <= max_size:
                return changed
        return changed[:max_size]

    atheris.Setup([sys.argv[0], *options], run.one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
