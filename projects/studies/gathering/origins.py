"""Whether each finished run's files are those of its own job. Engine-neutral.

A record says what was started in a folder. Files that were copied, moved or trained anew since
are told by what they say themselves: the folder, the seed, and the weights the run began with.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from projects.studies.gathering.rows import FinishedCell, Run
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
    digests: dict[Path, str] = {}
    for cell in cells:
        for run in cell.runs:
            _check_place(run, output)
            _check_seed(run)
            for need in run.job.needs:
                _check_start(run, need / f"{FINAL}.pth", digests)


def _check_place(run: Run, output: Path) -> None:
    """Compares the end of the folder's path, which a moved study keeps."""
    folder = run.job.folder
    own = folder.relative_to(output) if folder.is_relative_to(output) else Path(folder.name)
    said = Path(str(run.cfg.OUTPUT_DIR))
    if said.parts[-len(own.parts) :] != own.parts:
        raise UserError(f"{folder}: its result is of the run in {said}: {_ANEW}")


def _check_seed(run: Run) -> None:
    wanted = _value(run.job.arguments, "SEED")
    found = {str(run.result.get("seed", wanted)), str(run.cfg.SEED)}
    if found != {wanted}:
        raise UserError(
            f"{run.job.folder}: its result is of seed {', '.join(sorted(found - {wanted}))}, not "
            f"of {wanted}: {_ANEW}"
        )


def _check_start(run: Run, weights: Path, digests: dict[Path, str]) -> None:
    """Compares the weights that a run began with, where it says them, with those there are."""
    began: Any = run.result.get("weights")
    said = began.get("sha256") if isinstance(began, dict) else None
    if (
        said is None
        or not weights.is_file()
        or _value(run.job.arguments, "MODEL.WEIGHTS") != str(weights)
    ):
        return
    if weights not in digests:
        digests[weights] = sha256_of(weights)
    if said != digests[weights]:
        raise UserError(
            f"{run.job.folder} began with other weights than {weights} holds now, so one row "
            f"cannot show both: {_ANEW}"
        )


def _value(arguments: Sequence[str], key: str) -> str | None:
    """Returns what a command sets a config key to; the last word on it counts."""
    places = [number for number, word in enumerate(arguments[:-1]) if word == key]
    return arguments[places[-1] + 1] if places else None
