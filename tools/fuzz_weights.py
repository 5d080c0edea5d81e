"""Reads mutated weights files by the thousand; each must end in a clean error or a load.

python -m tools.fuzz_weights --count 10000 --json tests/weights/fuzz.json
python -m tools.fuzz_weights --count 10000 --reader torch-zip --keep FOLDER

A clean error is a UserError of one line. A load's tensors take no more bytes than the file has,
times four. Any other exception, more than --seconds for one file, more than --memory MiB of memory
beside what the imports took, or a crash is a failure, whose file is kept under --keep.
Engine-neutral.
"""

import argparse
import json
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.readers.reading import read_weights_file
from resnext_det.weights.side_car_files import path_beside, read_beside
from tests.weights.fuzzing import READERS, mutated, seeds

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20


class TooLong(BaseException):
    """A file took longer than it may; no reader may catch this."""


def outcome(reader: str, path: Path) -> str:
    """Reads a file, and says how it ended: "refused", "loaded" or what is wrong."""
    tensors: Mapping[str, Tensor] = {}
    try:
        if reader == "side-car":
            path.rename(path_beside(path))
            read_beside(path)
        else:
            tensors = read_weights_file(path, "file").tensors
    except UserError as error:
        message = str(error)
        clean = (
            message.isprintable() and "file" in message.partition(": ")[0] and len(message) < 1000
        )
        return "refused" if clean else f"not one line: {message[:200]!r}"
    except TooLong:
        return "too long"
    except BaseException as error:  # a PanicException of Rust is no Exception
        return f"{type(error).__name__}: {str(error)[:200]}"
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    return (
        "loaded" if not size or size <= MIB + 4 * path.stat().st_size else f"loaded {size:,} bytes"
    )


def fuzz(
    reader: str, count: int, seconds: int, memory: int, keep: Path, seed: int
) -> dict[str, Any]:
    """Reads `count` mutations in this process, and returns what became of them."""
    files, results, failures = seeds(reader), Counter(), []
    signal.signal(signal.SIGALRM, _stop)
    before = _allow(memory)
    start, slowest = time.monotonic(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for number in range(count):
            data = mutated(reader, files, number, seed)
            path.write_bytes(data)
            (keep / f"{reader}-last").write_bytes(data)  # what is left when the process dies
            began = time.monotonic()
            signal.alarm(seconds)
            result = outcome(reader, path)
            signal.alarm(0)
            slowest = max(slowest, time.monotonic() - began)
            results[result if result in ("refused", "loaded") else "failed"] += 1
            if result not in ("refused", "loaded"):
                failures.append({"number": number, "what": result})
                (keep / f"{reader}-{number}").write_bytes(data)
    (keep / f"{reader}-last").unlink()
    return {
        "reader": reader,
        "count": count,
        **{kind: results[kind] for kind in ("refused", "loaded", "failed")},
        "failures": failures[:20],
        "seconds": round(time.monotonic() - start, 1),
        "slowest_file_seconds": round(slowest, 3),
        "peak_growth_mib": round(_peak() - before, 1),
    }


def _stop(*_: object) -> None:
    raise TooLong


def _peak() -> float:
    """MiB of memory at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _allow(memory: int) -> float:
    """Lets the process have `memory` MiB more than it has; returns its peak so far, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    return _peak()


def run_reader(reader: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs `fuzz` in a process of its own, so that a crash is a failure like any other."""
    command = [sys.executable, "-m", "tools.fuzz_weights", "--count", str(arguments.count)]
    command += ["--seconds", str(arguments.seconds), "--memory", str(arguments.memory)]
    command += ["--seed", str(arguments.seed), "--keep", str(arguments.keep)]
    command += ["--in-process", reader]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        what = f"the process ended with {done.returncode}: {done.stderr.strip()[-500:]}"
        return {"reader": reader, "count": arguments.count, "failed": 1, "failures": [what]}
    return json.loads(done.stdout)


def versions() -> dict[str, str]:
    """Returns the versions of what reads."""
    import numpy
    import safetensors
    import torch

    return {
        "python": platform.python_version(),
        **{module.__name__: module.__version__ for module in (torch, numpy, safetensors)},
    }


def main() -> int:
    """Runs the command; returns 1 where a file failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz_weights", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="mutations of each reader")
    parser.add_argument("--reader", choices=READERS, help="this one alone")
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"), help="failing files")
    parser.add_argument("--seconds", type=int, default=10, help="that one file may take")
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time")
    parser.add_argument("--memory", type=int, default=256, help="MiB that a reader may take")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other mutations")
    parser.add_argument("--in-process", choices=READERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    if reader := arguments.in_process:
        limits = (arguments.count, arguments.seconds, arguments.memory)
        report = fuzz(reader, *limits, arguments.keep, arguments.seed)
        print(json.dumps(report))
        return 0
    readers = [arguments.reader] if arguments.reader else READERS
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda reader: run_reader(reader, arguments), readers))
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    if not any(arguments.keep.iterdir()):
        arguments.keep.rmdir()
    if arguments.json:
        limits = ("count", "seconds", "memory", "jobs", "seed")
        options = " ".join(f"--{name} {getattr(arguments, name)}" for name in limits)
        command = f"python -m tools.fuzz_weights {options} --json {arguments.json.name}"
        report = {"command": command, "versions": versions(), "readers": rows}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
