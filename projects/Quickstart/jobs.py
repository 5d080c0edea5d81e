"""What the quickstart trains, as commands of train_net.py. Engine-neutral."""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnext_det.config import dump_config, load_config

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = "resnext_det://quick_schedules"
SEED = 0


@dataclass(frozen=True)
class Model:
    """One backbone of the comparison.

    Attributes:
        name: for tables.
        tag: as in the config files' names.
    """

    name: str
    tag: str


MODELS = (
    Model("ResNet-26", "R_26"),
    Model("ResNeXt-26 30x4d", "X_26"),
)


@dataclass(frozen=True)
class Job:
    """One run of train_net.py.

    Attributes:
        title: for the progress display.
        folder: its OUTPUT_DIR.
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


@dataclass(frozen=True)
class Detector:
    """One row of the comparison: a model and the job that fine-tunes it.

    Attributes:
        model: its backbone.
        job: the run that makes it.
        pretraining: the run that its weights come from; None from scratch.
    """

    model: Model
    job: Job
    pretraining: Job | None


@dataclass(frozen=True)
class Data:
    """The four sets as train_net.py takes them: FOLDER, or JSON:IMAGES."""

    classification_train: str
    classification_val: str
    detection_train: str
    detection_val: str


def pretraining_job(model: Model, data: Data, output: Path) -> Job:
    """Returns the run that pretrains a backbone on single digits."""
    return _job(
        f"{model.name}: classification",
        output / f"classification_{model.tag}",
        f"classification_{model.tag}.yaml",
        (data.classification_train, data.classification_val),
    )


def detectors(data: Data, output: Path, engine: str) -> list[Detector]:
    """Returns the rows, the pretrained ones first.

    Args:
        data: the sets.
        output: the study's folder.
        engine: "d2" or "portable".
    """
    pretraining = {model: pretraining_job(model, data, output) for model in MODELS}
    starts = [(model, pretraining[model]) for model in MODELS] + [(model, None) for model in MODELS]
    return [
        Detector(model, _detector_job(model, job, data, output, engine), job)
        for model, job in starts
    ]


def _detector_job(
    model: Model, pretraining: Job | None, data: Data, output: Path, engine: str
) -> Job:
    start = "pretrained" if pretraining else "scratch"
    weights = pretraining.folder / "model_final.pth" if pretraining else ""
    return _job(
        f"{model.name}: detection, {'pretrained' if pretraining else 'from scratch'}",
        output / f"detection_{model.tag}_{start}",
        f"faster_rcnn_{model.tag}_FPN.yaml",
        (data.detection_train, data.detection_val),
        options=("--engine", engine),
        overrides=("MODEL.WEIGHTS", str(weights)),
        needs=(pretraining.folder,) if pretraining else (),
    )


def _job(
    title: str,
    folder: Path,
    config: str,
    sets: tuple[str, str],
    *,
    options: Sequence[str] = (),
    overrides: Sequence[str] = (),
    needs: tuple[Path, ...] = (),
) -> Job:
    overrides = [*overrides, "SEED", str(SEED), "OUTPUT_DIR", str(folder)]
    cfg = load_config(f"{CONFIGS}/{config}", overrides).cfg
    arguments = ("--config-file", f"{CONFIGS}/{config}", *options)
    for option, dataset, source in zip(
        ("--train-data", "--test-data"),
        (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST),
        sets,
        strict=True,
    ):
        arguments += (option, f"{dataset}={source}")
    arguments += tuple(overrides)
    fingerprint = dump_config(cfg) + "\0".join(arguments)
    digest = hashlib.sha256(fingerprint.encode()).hexdigest()
    return Job(title, folder, arguments, int(cfg.SOLVER.MAX_ITER), digest, needs)


def command(job: Job, script: Path = REPOSITORY / "train_net.py") -> list[str]:
    """Returns the words that start a job in a new process."""
    return [sys.executable, str(script), *job.arguments]
