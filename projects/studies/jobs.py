"""One run of train_net.py: its command, its folder, what it waits for. Engine-neutral."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from projects.studies.code_version import REPOSITORY
from resnext_det.config import dump_config, load_config


@dataclass(frozen=True)
class Job:
    """One run of train_net.py.

    Attributes:
        title: for the progress display.
        folder: where its result.json is: its OUTPUT_DIR, or `inference/` below that where it
            only evaluates.
        arguments: what follows train_net.py on the command line.
        max_iter: iterations it trains for.
        digest: fingerprint of its configuration and arguments.
        needs: folders of the jobs that have to be finished first.
    """

    title: str
    folder: Path
    arguments: tuple[str, ...]
    max_iter: int
    digest: str
    needs: tuple[Path, ...] = ()


def make_job(
    title: str,
    folder: Path,
    config: str,
    *,
    seed: int,
    sets: tuple[str, str] | None = None,
    options: Sequence[str] = (),
    overrides: Sequence[str] = (),
    needs: tuple[Path, ...] = (),
) -> Job:
    """Describes one run.

    Args:
        title: for the progress display.
        folder: its OUTPUT_DIR.
        config: the config file.
        seed: its SEED.
        sets: what stands for the config's one training and one test set, as FOLDER or
            JSON:IMAGES; None takes the sets that the config names.
        options: of train_net.py, before the KEY VALUE pairs.
        overrides: KEY VALUE pairs.
        needs: folders of the jobs that have to be finished first.

    Raises:
        UserError: the config is missing or malformed.
    """
    overrides = [*overrides, "SEED", str(seed), "OUTPUT_DIR", str(folder)]
    cfg = load_config(config, overrides).cfg
    arguments = ("--config-file", config, *options)
    if sets is not None:
        names = (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)
        for option, name, source in zip(("--train-data", "--test-data"), names, sets, strict=True):
            arguments += (option, f"{name}={source}")
    arguments += tuple(overrides)
    # A study that was moved, folder and all, is the same.
    fingerprint = (dump_config(cfg) + "\0".join(arguments)).replace(f"{folder.parent}/", "")
    digest = hashlib.sha256(fingerprint.encode()).hexdigest()
    return Job(title, folder, arguments, int(cfg.SOLVER.MAX_ITER), digest, needs)


def command(job: Job, script: Path = REPOSITORY / "train_net.py") -> list[str]:
    """Returns the words that start a job in a new process."""
    return [sys.executable, str(script), *job.arguments]
