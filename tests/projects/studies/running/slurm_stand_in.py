"""SLURM's commands over a queue in a file: a stand-in that runs the scripts when it is told to.

python slurm_stand_in.py QUEUE sbatch|squeue|sacct|scancel WORDS …
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Cluster:
    """A queue, and a folder with the commands for PATH."""

    def __init__(self, folder: Path) -> None:
        self.queue, self.commands = folder / "queue.json", folder / "bin"
        self.commands.mkdir(parents=True)
        self.queue.write_text("[]")
        for name in ("sbatch", "squeue", "sacct", "scancel"):
            path = self.commands / name
            words = f'"{sys.executable}" "{__file__}" "{self.queue}" {name} "$@"'
            path.write_text(f"#!/bin/sh\nexec {words}\n")
            path.chmod(0o755)

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return json.loads(self.queue.read_text())

    def states(self) -> list[str]:
        return [job["state"] for job in self.jobs]

    def set_state(self, number: int, state: str) -> None:
        jobs = self.jobs
        next(job for job in jobs if job["id"] == str(number))["state"] = state
        self.queue.write_text(json.dumps(jobs))

    def work(self) -> None:
        """Runs what can be run, in the order of the queue, until nothing changes."""
        jobs = self.jobs
        states = {job["id"]: job["state"] for job in jobs}
        for job in jobs:
            if job["state"] != "PENDING":
                continue
            before = [states[number] for number in job["after"]]
            if all(state == "COMPLETED" for state in before):
                with Path(job["output"].replace("%%", "%")).open("ab") as output:
                    done = subprocess.run(["bash", job["script"]], stdout=output, stderr=output)
                job["state"] = "FAILED" if done.returncode else "COMPLETED"
            elif job["kill"] and any(state not in ("COMPLETED", "PENDING") for state in before):
                job["state"] = "CANCELLED by 0"
            states[job["id"]] = job["state"]
        self.queue.write_text(json.dumps(jobs))


def sbatch(jobs: list[dict[str, Any]], words: list[str]) -> str:
    parser = argparse.ArgumentParser()
    for name in ("--job-name", "--output", "--open-mode", "--gres", "--dependency", "-p"):
        parser.add_argument(name)
    parser.add_argument("--parsable", action="store_true")
    parser.add_argument("--kill-on-invalid-dep")
    parser.add_argument("script")
    args = parser.parse_args(words)
    if args.p == "absent":
        sys.exit("sbatch: error: invalid partition specified: absent")
    after = args.dependency.removeprefix("afterok:").split(":") if args.dependency else []
    assert set(after) <= {job["id"] for job in jobs}
    number = str(100 + len(jobs))
    jobs.append(
        {
            "id": number, "state": "PENDING", "after": after, "name": args.job_name,
            "output": args.output, "script": args.script, "gres": args.gres,
            "kill": args.kill_on_invalid_dep == "yes",
        }
    )  # fmt: skip
    return f"{number};cluster" if args.parsable else f"Submitted batch job {number}"


def main(queue: Path, command: str, words: list[str]) -> None:
    jobs = json.loads(queue.read_text())
    if command == "sbatch":
        print(sbatch(jobs, words))
    elif command == "squeue":
        assert "--format=%i %T" in words
        for job in jobs:
            if job["state"] in ("PENDING", "RUNNING"):
                print(job["id"], job["state"])
    elif command == "sacct":
        for job in jobs:
            if job["id"] in words[-1].removeprefix("--jobs=").split(","):
                print(f"{job['id']}|{job['state']}")
    else:
        next(job for job in jobs if job["id"] == words[0])["state"] = "CANCELLED by 0"
    queue.write_text(json.dumps(jobs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
