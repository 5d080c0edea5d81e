"""Evaluations of given weights as the runs of a study. Engine-neutral."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from projects.PublishedModels.models import MODELS, PublishedModel, find_model
from projects.studies.grid import Cell
from projects.studies.jobs import Job, make_job
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of

_WANTED = "write VARIANT=FILE_OR_NAME, as in --weights resnext50_32x4d=x50.pth"


def parse_weights(words: Sequence[str]) -> dict[PublishedModel, str]:
    """Reads VARIANT=FILE_OR_NAME, in the order of the table.

    Raises:
        UserError: there is none, one is malformed or given twice, or the table has no such network.
    """
    if not words:
        raise UserError(f"no weights: {_WANTED}")
    given: dict[PublishedModel, str] = {}
    for word in words:
        variant, equals, weights = (part.strip() for part in word.partition("="))
        if not (variant and equals and weights):
            raise UserError(f"--weights {word}: {_WANTED}")
        model = find_model(variant)
        if model in given:
            raise UserError(f"--weights {variant}: given twice, {given[model]} and {weights}")
        given[model] = weights
    return {model: given[model] for model in MODELS if model in given}


def evaluation_cells(
    weights: Mapping[PublishedModel, str], output: Path, test_data: str | None
) -> tuple[Cell, ...]:
    """Returns a run for each of the weights.

    Args:
        weights: a file or name for each network.
        output: the study's folder.
        test_data: NAME=FOLDER; None takes the config's set.
    """
    return tuple(
        Cell(model.row, 0, (_job(model, given, output, test_data),))
        for model, given in weights.items()
    )


def _job(model: PublishedModel, weights: str, output: Path, test_data: str | None) -> Job:
    options = ["--eval-only", *(["--test-data", test_data] if test_data else [])]
    job = make_job(
        f"{model.row.model}: evaluation",
        output / model.row.tag,
        model.config,
        seed=0,
        options=options,
        overrides=("MODEL.WEIGHTS", weights),
    )
    # Its result is in inference/. Other weights in the same file make it another run.
    file = sha256_of(Path(weights)) if Path(weights).is_file() else ""
    digest = hashlib.sha256(f"{job.digest}{file}".encode()).hexdigest()
    return replace(job, folder=job.folder / "inference", digest=digest, max_iter=1)
