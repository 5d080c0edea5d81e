"""What the quickstart trains and compares, as a grid of train_net.py runs. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from projects.studies.grid import Cell, Grid, StudyRow, TestSet
from projects.studies.jobs import Job, make_job

TITLE = "Quickstart: ResNet and ResNeXt in Faster R-CNN with FPN"
SCALE = "quickstart"
CONFIGS = "resnext_det://quick_schedules"
MAX_FLOPS_DIFFERENCE = 2.0  # percent
COMPARED = (
    "MODEL.WEIGHTS",
    "MODEL.RESNETS.VARIANT",
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
)
PRETRAINED = (
    StudyRow("ResNet-26", "R_26", pretrained=True, pretraining="digits"),
    StudyRow("ResNeXt-26 30x4d", "X_26", pretrained=True, pretraining="digits"),
)
SCRATCH = (
    StudyRow("ResNet-26", "R_26", pretrained=False),
    StudyRow("ResNeXt-26 30x4d", "X_26", pretrained=False),
)


@dataclass(frozen=True)
class Data:
    """The four sets as train_net.py takes them, FOLDER or JSON:IMAGES, and words on them."""

    classification_train: str
    classification_val: str
    detection_train: str
    detection_val: str
    description: str = ""


def quickstart_grid(data: Data, output: Path, engine: str, seeds: Sequence[int] = (0,)) -> Grid:
    """Returns the study: both models pretrained, then both from scratch.

    Args:
        data: the sets.
        output: the study's folder.
        engine: "d2" or "portable".
        seeds: of all runs of a row, one after the other.
    """
    cells = tuple(
        Cell(row, seed, _jobs(row, seed, data, output, engine))
        for row in (*PRETRAINED, *SCRATCH)
        for seed in seeds
    )
    return Grid(
        title=TITLE,
        kind="detection",
        scale=SCALE,
        output=output,
        cells=cells,
        pairs=(PRETRAINED, *zip(SCRATCH, PRETRAINED, strict=True)),
        test_set=TestSet(data.detection_val, data.description),
        compared=COMPARED,
        max_flops_difference=MAX_FLOPS_DIFFERENCE,
        published=("table8",),
    )


def _jobs(row: StudyRow, seed: int, data: Data, output: Path, engine: str) -> tuple[Job, ...]:
    ending, words = ("", "") if seed == 0 else (f"_seed{seed}", f", seed {seed}")
    pretraining = make_job(
        f"{row.model}: classification{words}",
        output / f"classification_{row.tag}{ending}",
        f"{CONFIGS}/classification_{row.tag}.yaml",
        seed=seed,
        sets=(data.classification_train, data.classification_val),
    )
    before = (pretraining,) if row.pretrained else ()
    start = "pretrained" if row.pretrained else "scratch"
    detection = make_job(
        f"{row.model}: detection, {'pretrained' if row.pretrained else 'from scratch'}{words}",
        output / f"detection_{row.tag}_{start}{ending}",
        f"{CONFIGS}/faster_rcnn_{row.tag}_FPN.yaml",
        seed=seed,
        sets=(data.detection_train, data.detection_val),
        options=("--engine", engine),
        overrides=(
            "MODEL.WEIGHTS",
            str(pretraining.folder / "model_final.pth") if row.pretrained else "",
        ),
        needs=tuple(job.folder for job in before),
    )
    return (*before, detection)
