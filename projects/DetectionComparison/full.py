"""Full networks on COCO: FPN 1x, and the paper's own C4 in two runs. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from projects.DetectionComparison.starts import Starts
from projects.studies.grid import Cell, StudyRow
from projects.studies.jobs import Job, make_job
from resnext_det.config import load_config

FPN = "resnext_det://COCO-Detection/faster_rcnn_{}_FPN_1x.yaml"
RPN = "resnext_det://Paper/rpn_{}_C4_paper.yaml"
FAST_RCNN = "resnext_det://Paper/fast_rcnn_{}_C4_paper.yaml"


def named_weights(row: StudyRow, pattern: str) -> str:
    """Returns the weights that a row's config starts from; empty where it names none."""
    return str(load_config(pattern.format(row.tag)).cfg.MODEL.WEIGHTS)


def described(rows: Sequence[StudyRow], starts: Starts, pattern: str) -> tuple[StudyRow, ...]:
    """Returns the rows with words on what they start from."""
    return tuple(
        replace(row, pretraining=starts.words(row, named_weights(row, pattern))) for row in rows
    )


def coco_cells(
    rows: Sequence[StudyRow], seeds: Sequence[int], starts: Starts, output: Path, engine: str
) -> tuple[Cell, ...]:
    """Returns Faster R-CNN with FPN, 1x, of every row at every seed.

    Args:
        rows: of `rows.FULL`.
        seeds: of the fine-tuning; all of a row start from the same weights.
        starts: where those come from.
        output: the study's folder.
        engine: "d2" or "portable".

    Raises:
        UserError: see `make_job`.
    """
    return tuple(
        Cell(
            row, seed, (*_first(pretraining), _fpn(row, seed, starts, pretraining, output, engine))
        )
        for row, pretraining in _pretrained(rows, starts, output)
        for seed in seeds
    )


def paper_cells(
    rows: Sequence[StudyRow], seeds: Sequence[int], starts: Starts, output: Path
) -> tuple[Cell, ...]:
    """Returns the paper's RPN, then its Fast R-CNN on what that proposes; d2 engine.

    Args:
        rows: of `rows.FULL`.
        seeds: of both runs; all of a row start from the same weights.
        starts: where those come from.
        output: the study's folder.

    Raises:
        UserError: see `make_job`.
    """
    return tuple(
        Cell(row, seed, (*_first(pretraining), *_two_runs(row, seed, starts, pretraining, output)))
        for row, pretraining in _pretrained(rows, starts, output)
        for seed in seeds
    )


def _pretrained(
    rows: Sequence[StudyRow], starts: Starts, output: Path
) -> list[tuple[StudyRow, Job | None]]:
    return [(row, starts.pretraining(row, output)) for row in rows]


def _first(pretraining: Job | None) -> tuple[Job, ...]:
    return (pretraining,) if pretraining else ()


def _fpn(
    row: StudyRow, seed: int, starts: Starts, pretraining: Job | None, output: Path, engine: str
) -> Job:
    return make_job(
        f"{row.model}, seed {seed}: Faster R-CNN",
        _folder(output, row, seed) / "detection",
        FPN.format(row.tag),
        seed=seed,
        options=("--engine", engine),
        overrides=starts.overrides(row, pretraining),
        needs=tuple(job.folder for job in _first(pretraining)),
    )


def _two_runs(
    row: StudyRow, seed: int, starts: Starts, pretraining: Job | None, output: Path
) -> tuple[Job, Job]:
    weights, needs = (
        starts.overrides(row, pretraining),
        tuple(j.folder for j in _first(pretraining)),
    )
    rpn = make_job(
        f"{row.model}, seed {seed}: RPN",
        _folder(output, row, seed) / "rpn",
        RPN.format(row.tag),
        seed=seed,
        options=("--engine", "d2"),
        overrides=weights,
        needs=needs,
    )
    fast_rcnn = make_job(
        f"{row.model}, seed {seed}: Fast R-CNN",
        _folder(output, row, seed) / "fast_rcnn",
        FAST_RCNN.format(row.tag),
        seed=seed,
        options=("--engine", "d2"),
        overrides=(*weights, *_proposals(row, rpn)),
        needs=(*needs, rpn.folder),
    )
    return rpn, fast_rcnn


def _proposals(row: StudyRow, rpn: Job) -> tuple[str, ...]:
    """KEY VALUE pairs: the files that the RPN's run leaves for each set of the second."""
    datasets = load_config(FAST_RCNN.format(row.tag)).cfg.DATASETS
    words: tuple[str, ...] = ()
    for split in ("TRAIN", "TEST"):
        files = [
            str(rpn.folder / "inference" / name / "box_proposals.npz") for name in datasets[split]
        ]
        words += (f"DATASETS.PROPOSAL_FILES_{split}", str(files))
    return words


def _folder(output: Path, row: StudyRow, seed: int) -> Path:
    return output / row.tag / f"seed_{seed}"
