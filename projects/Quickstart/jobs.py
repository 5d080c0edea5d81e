"""What the quickstart trains, as commands of train_net.py. Engine-neutral."""

from dataclasses import dataclass
from pathlib import Path

from projects.studies.jobs import Job, make_job

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
    return make_job(
        f"{model.name}: classification",
        output / f"classification_{model.tag}",
        f"{CONFIGS}/classification_{model.tag}.yaml",
        seed=SEED,
        sets=(data.classification_train, data.classification_val),
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
    return make_job(
        f"{model.name}: detection, {'pretrained' if pretraining else 'from scratch'}",
        output / f"detection_{model.tag}_{start}",
        f"{CONFIGS}/faster_rcnn_{model.tag}_FPN.yaml",
        seed=SEED,
        sets=(data.detection_train, data.detection_val),
        options=("--engine", engine),
        overrides=("MODEL.WEIGHTS", str(weights)),
        needs=(pretraining.folder,) if pretraining else (),
    )
