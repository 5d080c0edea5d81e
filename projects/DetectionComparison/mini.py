"""The mini scale: small networks trained in full, in minutes each. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from projects.DetectionComparison.rows import SCRATCH
from projects.studies.grid import Cell, StudyRow
from projects.studies.jobs import Job, make_job
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data
from resnext_det.errors import UserError

CONFIGS = "resnext_det://quick_schedules"
DATA_SEED = 0  # all seeds of the study train and are scored on the same pictures


@dataclass(frozen=True)
class MiniData:
    """The four sets, and what they need set differently from the configs.

    Attributes:
        classification: folders of class folders, for training and validation.
        detection: JSON:IMAGES, for training and for the test.
        description: words for the page.
        pretraining: what tables call the classification set.
        classification_overrides: KEY VALUE pairs of every pretraining.
        detection_overrides: KEY VALUE pairs of every fine-tuning.
    """

    classification: tuple[str, str]
    detection: tuple[str, str]
    description: str = ""
    pretraining: str = ""
    classification_overrides: tuple[str, ...] = ()
    detection_overrides: tuple[str, ...] = ()


def built_in_data(
    folder: Path, params: QuickstartParams | None = None, *, ready: Path | None = None
) -> MiniData:
    """Makes the quickstart's digits, unless they are there.

    Args:
        folder: that they are made in.
        params: of the pictures; None takes the quickstart's, with twice the held-out scenes.
        ready: as `build_quickstart_data` takes it.

    Raises:
        UserError: the folder holds other files.
    """
    params = params or QuickstartParams(val_scenes=300, seed=DATA_SEED)
    built = build_quickstart_data(folder, params=params, ready=ready)
    crops, scenes = (built.crops_train, built.crops_val), (built.scenes_train, built.scenes_val)
    return MiniData(
        classification=(str(crops[0].image_root), str(crops[1].image_root)),
        detection=(
            f"{scenes[0].json_file}:{scenes[0].image_root}",
            f"{scenes[1].json_file}:{scenes[1].image_root}",
        ),
        description=built.description,
        pretraining="digits",
    )


def with_lengths(data: MiniData, pretraining: int | None, fine_tuning: int | None) -> MiniData:
    """Returns the data with other numbers of iterations than the configs'.

    Args:
        data: the sets.
        pretraining: iterations of each pretraining; None leaves the config's.
        fine_tuning: iterations of each fine-tuning; None leaves the config's.

    Raises:
        UserError: fewer than one.
    """
    for option, number in (("--pretrain-iterations", pretraining), ("--iterations", fine_tuning)):
        if number is not None and number < 1:
            raise UserError(f"{option} {number}: at least 1")
    return replace(
        data,
        classification_overrides=(*data.classification_overrides, *_length(pretraining)),
        detection_overrides=(*data.detection_overrides, *_length(fine_tuning)),
    )


def _length(iterations: int | None) -> tuple[str, ...]:
    """The schedule of the configs, stretched: steps at 80 % and 95 %, warm-up at most a sixth."""
    if iterations is None:
        return ()
    steps = sorted({iterations * 4 // 5, iterations * 19 // 20} - {0})
    return (
        *("SOLVER.MAX_ITER", str(iterations)),
        *("SOLVER.STEPS", str(steps)),
        *("SOLVER.WARMUP_ITERS", str(min(50, iterations // 6))),
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
