"""A signal that comes while a command imports its libraries."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# The first library that is imported; the signal comes in the middle of it.
STAND_IN = """
import os, signal, time
os.kill(os.getpid(), signal.Signals[os.environ["SIGNAL"]])
time.sleep(60)
"""
SCRIPT = ("train_net.py",)
MODULE = ("-m", "resnext_det")


def installed() -> tuple[str, ...]:
    """What the script does that an installation writes."""
    content = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    module, _, function = content["project"]["scripts"]["resnext-det"].partition(":")
    return ("-c", f"import sys; from {module} import {function}; sys.exit({function}())")


def told(folder: Path, *words: str, number: str = "SIGTERM") -> subprocess.CompletedProcess[str]:
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(STAND_IN)
    paths = os.pathsep.join((str(folder), str(REPOSITORY)))
    return subprocess.run(
        [sys.executable, *words],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": paths, "SIGNAL": number},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("number", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize(
    "command",
    [SCRIPT, (*MODULE, "train"), (*installed(), "train")],
    ids=["train_net.py", "python -m", "installed"],
)
def test_training_ends_with_75(tmp_path: Path, command: tuple[str, ...], number: str) -> None:
    ended = told(tmp_path, *command, "--config-file", "a.yaml", number=number)
    assert ended.stderr == f"stopped by {number} outside training, nothing is lost\n"
    assert ended.returncode == 75


@pytest.mark.parametrize(
    "command",
    [
        (*SCRIPT, "--eval-only"),
        (*MODULE, "train", "--eval-only"),
        (*MODULE, "doctor"),
        (*MODULE, "weights", "inspect", "train"),
    ],
    ids=["evaluation", "evaluation by the verb", "another verb", "a file named train"],
)
def test_what_nothing_goes_on_with_is_ended_by_the_signal(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = told(tmp_path, *command)
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, "")


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import resnext_det, sys; assert 'torch' not in sys.modules;"
        "assert set(resnext_det.__all__) <= set(dir(resnext_det))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=300)


def test_the_package_has_what_it_says() -> None:
    import resnext_det

    assert all(callable(getattr(resnext_det, name)) for name in resnext_det.__all__)
    with pytest.raises(AttributeError, match="module 'resnext_det' has no attribute 'nothing'"):
        _ = resnext_det.nothing
