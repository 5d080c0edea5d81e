"""The mini scale: small networks trained in full, in minutes each. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from projects.DetectionComparison.rows import SCRATCH
from projects.studies.grid import Cell, StudyRow
from projects.studies.jobs import Job, make_job
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data

CONFIGS = "resnext_det://quick_schedules"
DATA_SEED = 0  # all seeds of the study train and are scored on the same pictures


@dataclass(frozen=True)
class MiniData:
    """The four sets, and what they need set differently from the configs.

    Attributes:
        classification: folders of class folders, for training and validation.
        detection: JSON:IMAGES, for training and for the test.
        description: words for the page.
        classification_overrides: KEY VALUE pairs of every pretraining.
        detection_overrides: KEY VALUE pairs of every fine-tuning.
    """

    classification: tuple[str, str]
    detection: tuple[str, str]
    description: str = ""
    classification_overrides: tuple[str, ...] = ()
    detection_overrides: tuple[str, ...] = ()


def built_in_data(folder: Path, params: QuickstartParams | None = None) -> MiniData:
    """Makes the quickstart's digits, unless they are there.

    Args:
        folder: that they are made in.
        params: of the pictures; None takes the quickstart's, with twice the held-out scenes.

    Raises:
        UserError: the folder holds other files.
    """
    params = params or QuickstartParams(val_scenes=300, seed=DATA_SEED)
    built = build_quickstart_data(folder, params=params)
    crops, scenes = (built.crops_train, built.crops_val), (built.scenes_train, built.scenes_val)
    return MiniData(
        classification=(str(crops[0].image_root), str(crops[1].image_root)),
        detection=(
            f"{scenes[0].json_file}:{scenes[0].image_root}",
            f"{scenes[1].json_file}:{scenes[1].image_root}",
        ),
        description=built.description,
    )


def cells(
    rows: Sequence[StudyRow], seeds: Sequence[int], data: MiniData, output: Path, engine: str
) -> tuple[Cell, ...]:
    """Returns every row at every seed; one seed draws a cell's pretraining and fine-tuning.

    Args:
        rows: of `rows.MINI`.
        seeds: of the study.
        data: the sets.
        output: the study's folder.
        engine: "d2" or "portable", for detection.

    Raises:
        UserError: see `make_job`.
    """
    return tuple(
        Cell(row, seed, _jobs(row, seed, data, output, engine)) for row in rows for seed in seeds
    )


def _jobs(row: StudyRow, seed: int, data: MiniData, output: Path, engine: str) -> tuple[Job, ...]:
    folder = output / row.tag / f"seed_{seed}"
    if not row.pretrained:
        return (_fine_tuning(row, seed, data, folder, engine, None),)
    pretraining = make_job(
        f"{row.model}, seed {seed}: classification",
        folder / "classification",
        f"{CONFIGS}/classification_{row.tag}.yaml",
        seed=seed,
        sets=data.classification,
        overrides=data.classification_overrides,
    )
    return pretraining, _fine_tuning(row, seed, data, folder, engine, pretraining)


def _fine_tuning(
    row: StudyRow, seed: int, data: MiniData, folder: Path, engine: str, pretraining: Job | None
) -> Job:
    weights = str(pretraining.folder / "model_final.pth") if pretraining else ""
    return make_job(
        f"{row.model}, seed {seed}: detection{'' if pretraining else ', from scratch'}",
        folder / "detection",
        f"{CONFIGS}/faster_rcnn_{row.tag.removesuffix(SCRATCH)}_FPN.yaml",
        seed=seed,
        sets=data.detection,
        options=("--engine", engine),
        overrides=(*data.detection_overrides, "MODEL.WEIGHTS", weights),
        needs=(pretraining.folder,) if pretraining else (),
    )
