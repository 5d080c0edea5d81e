"""The runner with the real train_net.py, whose names and options it rests on."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from projects.studies.code_version import REPOSITORY
from projects.studies.folders.records import read_record
from projects.studies.jobs import Job, make_job
from projects.studies.places import cpu_places
from projects.studies.running.processes import LOCK, is_held
from projects.studies.running.runner import run_jobs
from resnext_det.folder_locks import read_holder
from resnext_det.training.checkpoint import load_checkpoint


def write_images(root: Path) -> None:
    random = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        (root / name).mkdir(parents=True)
        for number in range(4):
            pixels = random.integers(0, 60, (40, 40, 3), dtype=np.uint8)
            pixels[..., channel] += 180
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def make_run(root: Path, output: Path) -> Job:
    keys = {
        "MODEL.WEIGHTS": "", "MODEL.CLASSIFIER.NUM_CLASSES": 2, "SOLVER.MAX_ITER": 12,
        "SOLVER.STEPS": [], "SOLVER.CHECKPOINT_PERIOD": 1, "SOLVER.IMS_PER_BATCH": 4,
        "SOLVER.WARMUP_ITERS": 1,
    }  # fmt: skip
    return make_job(
        "a run",
        output / "a",
        "resnext_det://quick_schedules/classification_R_26.yaml",
        seed=1,
        sets=(str(root / "train"), str(root / "val")),
        overrides=[str(word) for pair in keys.items() for word in pair],
    )


@pytest.mark.slow  # three starts of train_net.py
def test_a_study_that_lost_its_machine_comes_to_the_same_result(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_images(tmp_path / split)
    whole, broken = (make_run(tmp_path, tmp_path / name) for name in ("whole", "broken"))
    console = Console(file=io.StringIO())
    assert run_jobs([whole], places=cpu_places(1), console=console)
    lose_the_machine(broken)
    assert not run_jobs([broken], places=cpu_places(1), console=console)
    assert "Resuming from" in (broken.folder / "console.txt").read_text()

    found = [json.loads((job.folder / "result.json").read_text()) for job in (whole, broken)]
    assert found[0]["metrics"] == found[1]["metrics"]
    weights = [load_checkpoint(job.folder / "model_final.pth")["model"] for job in (whole, broken)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    record = read_record(broken.folder)
    assert record.started is None
    assert record.seconds > 0
    assert record.command.startswith("python train_net.py --config-file resnext_det://quick")


def lose_the_machine(job: Job) -> None:
    """Runs a job's study, and kills it and what it began once there is a checkpoint."""
    code = f"""
from pathlib import Path
from rich.console import Console
from projects.studies.jobs import Job
from projects.studies.places import cpu_places
from projects.studies.running.runner import run_jobs
jobs = [Job({job.title!r}, Path({str(job.folder)!r}), {job.arguments!r}, 12, {job.digest!r})]
run_jobs(jobs, places=cpu_places(1), console=Console(stderr=True))
"""
    study = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    wait_for(job.folder / "last_checkpoint")
    holder = read_holder(job.folder / LOCK)
    os.kill(holder.pid, signal.SIGSTOP)  # it must not come to its end meanwhile
    study.kill()
    study.wait()
    assert not (job.folder / "result.json").exists()
    os.kill(holder.pid, signal.SIGKILL)
    while is_held(job):
        time.sleep(0.02)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
