"""Fuzzes what reads files from strangers, guided by coverage. Engine-neutral.

python -m tests.fuzzing --seconds 450 --json output/fuzzing.json      all four, one after another
python -m tests.fuzzing configs --seconds 60 --keep FOLDER            one of them

A UserError is the only exception that an input may end in. Anything else, a hang, memory of one
input beyond its limit or growing memory is a failure: its file is kept under --keep and the exit
status is 1. Needs atheris: pip install -e '.[fuzz]' -c constraints.txt.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fuzzing.harness import CORPUS, LIMITS, NAMES, corpus_of

ROOT = Path(__file__).resolve().parents[2]
MOST_GROWTH, MOST_GROWTH_OF_ONE = 64.0, 8.0
"""MiB by which memory may grow between a quarter of the time and its end; or KiB for each input,
where many are read: libFuzzer and atheris remember inputs and comparisons, too."""

_PACKAGES = ("atheris", "numpy", "torch", "pycocotools", "hotcoco", "PyYAML", "Pillow")
_STATUS = re.compile(r"\bcov: (\d+) ft: (\d+) corp: (\d+)/")
_LONGEST_INPUT = 12_000  # bytes
_HANG = 120  # seconds of wall time for one input; processor time is limited in Python
_MEMORY = 3000  # MiB of the process, which torch and matplotlib need a part of
_FAST_FOLDER = Path("/dev/shm")


def fuzz(name: str, seconds: int, keep: Path) -> dict[str, Any]:
    """Runs one harness, again after the process died, and returns its row of the report."""
    end, rows = time.monotonic() + seconds, []
    while (left := int(end - time.monotonic())) > 0 and len(rows) < 5:
        rows.append(_run(name, left if rows else seconds, keep))
        if not rows[-1]["died"]:
            break
    row = rows[-1]
    for key in ("executions", "accepted", "refused", "failed", "seconds"):
        row[key] = round(sum(other[key] for other in rows), 1)
    row["findings"] = [finding for other in rows for finding in other["findings"]]
    return row


def _run(name: str, seconds: int, keep: Path) -> dict[str, Any]:
    fast = _FAST_FOLDER if os.access(_FAST_FOLDER, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fuzzing-", dir=fast) as folder:
        state, found = Path(folder) / "state.json", Path(folder) / "found"
        found.mkdir()
        (Path(folder) / "inputs").mkdir()
        command = [sys.executable, "-m", "tests.fuzzing.worker", name, str(state), str(keep)]
        command += [f"-max_total_time={seconds}", f"-timeout={_HANG}", f"-rss_limit_mb={_MEMORY}"]
        command += [f"-max_len={_LONGEST_INPUT}", "-len_control=0", "-print_final_stats=1"]
        command += [f"-artifact_prefix={keep}/{name}-", str(found), str(CORPUS / name)]
        environment = {**os.environ, "TMPDIR": str(Path(folder) / "inputs"), "MPLBACKEND": "Agg"}
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        log = done.stderr.decode("utf-8", "replace")
        report = json.loads(state.read_text()) if state.exists() else _nothing()
    row = {"harness": name, **report, **_coverage(log), "died": done.returncode != 0}
    if done.returncode:
        what = f"the process ended with {done.returncode}: {' '.join(log.split())[-400:]}"
        row["findings"].append({"what": what, "count": 1})
    allowed = max(MOST_GROWTH, 0.75 * row["executions"] * MOST_GROWTH_OF_ONE / 1024)
    if (growth := row["last"]["rss_mib"] - row["warm"]["rss_mib"]) > allowed:
        row["findings"].append({"what": f"memory grew by {growth:.0f} MiB", "count": 1})
    if (more := row["last"]["open_files"] - row["warm"]["open_files"]) > 2:
        row["findings"].append({"what": f"{more} more open files", "count": 1})
    return row


def _nothing() -> dict[str, Any]:
    numbers = dict.fromkeys(("executions", "accepted", "refused", "failed", "seconds"), 0)
    now = {"rss_mib": 0.0, "open_files": 0}
    return {**numbers, "warm": now, "last": now, "findings": []}


def _coverage(log: str) -> dict[str, int]:
    """Returns the edges covered by the corpus alone and in the end, and the inputs found."""
    lines = _STATUS.findall(log)
    first, last = (lines[0], lines[-1]) if lines else (("0",) * 3, ("0",) * 3)
    return {
        "edges_of_corpus": int(first[0]),
        "edges": int(last[0]),
        "features": int(last[1]),
        "inputs_kept": int(last[2]),
    }


def versions() -> dict[str, str]:
    """Returns the versions of what reads."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def main() -> int:
    """Runs the command; returns 1 where something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("harness", nargs="*", choices=(*NAMES, []), help="all where none is given")
    parser.add_argument("--seconds", type=int, default=450, help="for each")
    parser.add_argument("--jobs", type=int, default=1, help="harnesses at a time")
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"), help="failing inputs")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(
            "error: fuzzing needs atheris: pip install -e '.[fuzz]' -c constraints.txt",
            file=sys.stderr,
        )
        return 2
    keep: Path = arguments.keep.resolve()
    keep.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        names = arguments.harness or NAMES
        rows = list(pool.map(lambda name: fuzz(name, arguments.seconds, keep), names))
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    with contextlib.suppress(OSError):  # it holds what failed
        keep.rmdir()
    if arguments.json:
        words = [*arguments.harness, f"--seconds {arguments.seconds} --jobs {arguments.jobs}"]
        report = {
            "command": f"python -m tests.fuzzing {' '.join(words)} --json {arguments.json.name}",
            "limits": {
                "cpu_seconds": LIMITS.seconds,
                "mib": LIMITS.memory,
                "growth_mib": MOST_GROWTH,
                "growth_kib_of_one_input": MOST_GROWTH_OF_ONE,
            },
            "versions": versions(),
            "corpus_files": {name: len(corpus_of(name)) for name in NAMES},
            "harnesses": rows,
        }
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return int(any(row["findings"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
