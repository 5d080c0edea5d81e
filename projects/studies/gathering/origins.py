"""Whether each finished run's files are those of its own job. Engine-neutral.

A record says what was started in a folder. Files that were copied, moved or trained anew since
are told by what they say themselves: the folder, the seed, and the weights the run began with.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from projects.studies.gathering.rows import FinishedCell, Run
from projects.studies.job_words import WEIGHTS, given_value, output_folder
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.training.newest import FINAL

_ANEW = "remove the folder, and the same command trains it anew"


def check_origins(cells: Sequence[FinishedCell], output: Path) -> None:
    """Refuses results of another row, of another seed, or of weights that are no longer there.

    Args:
        cells: the study's finished rows, seed by seed.
        output: the study's folder, which may have been moved since.

    Raises:
        UserError: one of them is; names the folder.
    """
    digest = functools.cache(sha256_of)  # several runs may begin with one file
    for cell in cells:
        for run in cell.runs:
            _check_place(run, output)
            _check_seed(run)
            for need in run.job.needs:
                _check_start(run, need / f"{FINAL}.pth", digest)


def _check_place(run: Run, output: Path) -> None:
    """Compares the end of the path that its command gave, which a moved study keeps."""
    given = output_folder(run.job)
    own = given.relative_to(output) if given.is_relative_to(output) else Path(given.name)
    said = Path(str(run.cfg.OUTPUT_DIR))
    if said.parts[-len(own.parts) :] != own.parts:
        raise UserError(f"{run.job.folder}: its result is of the run in {said}: {_ANEW}")


def _check_seed(run: Run) -> None:
    wanted = given_value(run.job, "SEED")
    found = {str(run.result.get("seed", wanted)), str(run.cfg.SEED)}
    if found != {wanted}:
        raise UserError(
            f"{run.job.folder}: its result is of seed {', '.join(sorted(found - {wanted}))}, not "
            f"of {wanted}: {_ANEW}"
        )


def _check_start(run: Run, weights: Path, digest: Callable[[Path], str]) -> None:
    """Compares the weights that a run began with, where it says them, with those there are."""
    began: Any = run.result.get("weights")
    said = began.get("sha256") if isinstance(began, dict) else None
    if said is None or not weights.is_file() or given_value(run.job, WEIGHTS) != str(weights):
        return
    if said != digest(weights):
        raise UserError(
            f"{run.job.folder} began with other weights than {weights} holds now, so one row "
            f"cannot show both: {_ANEW}"
        )
