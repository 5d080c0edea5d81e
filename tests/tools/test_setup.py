"""What the set-up script refuses, before it installs anything. Engine-neutral."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "setup.sh"


def run_setup(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TORCH", "TORCHVISION", "RESNEXT_DET_DETECTRON2", "MAKEFLAGS")
    }
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    environment["VENV"] = str(folder / "venv")
    return subprocess.run(
        ["bash", str(SCRIPT)],
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def write_command(folder: Path, name: str, script: str) -> Path:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def assert_refused(finished: subprocess.CompletedProcess[str], message: str) -> None:
    assert finished.returncode == 1
    assert finished.stderr.splitlines() == [message]


def test_old_python(tmp_path: Path) -> None:
    python = write_command(
        tmp_path, "python-old", '[ "$1" = --version ] && echo "Python 3.9.2"; exit 1'
    )
    assert_refused(
        run_setup(tmp_path, PYTHON=str(python)),
        "setup: Python 3.9.2 is too old: Python 3.11 or newer is needed (PYTHON=… names one).",
    )


def test_no_python(tmp_path: Path) -> None:
    assert_refused(
        run_setup(tmp_path, PYTHON="no-such-python"),
        "setup: no-such-python is not there: install Python 3.11 or newer.",
    )


def test_python_without_venv(tmp_path: Path) -> None:
    python = write_command(tmp_path, "python-bare", 'case "$2" in *ensurepip*) exit 1;; esac')
    assert_refused(
        run_setup(tmp_path, PYTHON=str(python)),
        "setup: this Python lacks the venv module (on Debian: apt-get install python3-venv).",
    )


def test_full_disk(tmp_path: Path) -> None:
    write_command(tmp_path, "df", 'echo "Filesystem blocks used available"; echo "/ 9 9 4194304"')
    finished = run_setup(tmp_path)
    assert_refused(
        finished, f"setup: 4 GB are free beside {tmp_path / 'venv'}, about 12 GB are needed."
    )
    assert not (tmp_path / "venv").exists()


def test_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "venv" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    finished = run_setup(tmp_path)
    assert finished.returncode == 1
    assert "is not a virtual environment" in finished.stderr
    assert thesis.read_text() == "years of work"


@pytest.mark.parametrize("name", ["TORCH", "TORCHVISION"])
def test_torch_and_torchvision_go_together(tmp_path: Path, name: str) -> None:
    assert_refused(
        run_setup(tmp_path, **{name: "2.11.0"}),
        "setup: TORCH and TORCHVISION go together, for example TORCH=2.11.0 TORCHVISION=0.26.0.",
    )
