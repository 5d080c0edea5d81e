"""How long the command takes to answer what needs no torch. Engine-neutral.

    python -m tools.start_up_cost --rounds 9 --json tests/cli/start_up_cost.json
    python -m tools.start_up_cost --rounds 2 --before CHECKOUT --before-name 81b2c7a

Each round starts each command once, and two of them in the checkout to compare with, too, in an
order that changes from round to round; a round before them, which fills the caches, does not
count. The processor's seconds are those of the process that was started: a busy machine stretches
the wall clock's, and these less.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resnext_det.cli import VERBS
from resnext_det.timing.results import as_text, write_results

REPOSITORY = Path(__file__).resolve().parents[1]
NOW, BEFORE = "now", "before"
_COMMAND = ("-m", "resnext_det")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "python alone": ("-c", ""),
    "import resnext_det": ("-c", "import resnext_det"),
    "resnext-det --help": (*_COMMAND, "--help"),
    **{f"resnext-det {verb} --help": (*_COMMAND, verb, "--help") for verb in VERBS},
    "train_net.py --help": ("train_net.py", "--help"),
    "a mistyped option": (*_COMMAND, "train", "--confg-file", "a.yaml"),
    "a missing config": (*_COMMAND, "train", "--config-file", "nothing.yaml"),
    "a missing weights file": (*_COMMAND, "weights", "inspect", "nothing.pth"),
}
"""What is timed -> the arguments of Python, in the checkout's root."""
COMPARED = ("resnext-det --help", "train_net.py --help")
"""Of these, what is timed in the earlier version, too, where each takes seconds."""


def seconds_of(words: Sequence[str], checkout: Path) -> dict[str, float]:
    """Returns the seconds of the processor and of the clock that a command takes."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    used, began = _of_children(), time.perf_counter()
    # Its exit status is 2 where the command is mistyped.
    subprocess.run(
        [sys.executable, *words], cwd=checkout, env=environment, capture_output=True, check=False
    )
    wall = time.perf_counter() - began
    return {"cpu": round(_of_children() - used, 4), "wall": round(wall, 4)}


def measure(
    commands: Mapping[str, Sequence[str]], checkouts: Mapping[str, Path], rounds: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Times each command in each checkout.

    Args:
        commands: name -> the arguments of Python.
        checkouts: name -> the root of a checkout.
        rounds: how often each is started, but for the round that does not count; outside this
            checkout only those of `COMPARED`.

    Returns:
        Command -> checkout -> the medians "cpu" and "wall", in seconds, and the "rounds".
    """
    pairs = [
        (name, checkout)
        for name in commands
        for checkout in checkouts
        if checkout == NOW or name in COMPARED
    ]
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in commands}
    for number in range(rounds + 1):
        for name, checkout in pairs if number % 2 else reversed(pairs):
            taken = seconds_of(commands[name], checkouts[checkout])
            if number:
                found[name].setdefault(checkout, []).append(taken)
    return {
        name: {checkout: _summary(taken) for checkout, taken in sides.items()}
        for name, sides in found.items()
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(prog="tools.start_up_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--before", type=Path, help="a checkout of an earlier version")
    parser.add_argument("--before-name", default="", help="what the JSON calls it")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    checkouts = {NOW: REPOSITORY}
    command = f"python -m tools.start_up_cost --rounds {args.rounds}"
    if args.before:
        checkouts[BEFORE] = args.before.resolve()
        command += f" --before CHECKOUT --before-name {args.before_name}"
    seconds = measure(COMMANDS, checkouts, args.rounds)
    content = {
        "command": command,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "niceness": os.nice(0),
        "load_average_at_the_end": [round(load, 2) for load in os.getloadavg()],
        "before": args.before_name,
        "seconds": seconds,
    }
    print(as_text(content))
    if args.json:
        write_results(args.json, content)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _summary(taken: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    medians = {
        clock: round(statistics.median(seconds[clock] for seconds in taken), 4)
        for clock in ("cpu", "wall")
    }
    return {**medians, "rounds": list(taken)}


if __name__ == "__main__":
    main()
