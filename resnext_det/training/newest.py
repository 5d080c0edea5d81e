"""Which checkpoints a folder holds, the newest first, by their names. Engine-neutral."""

import errno
import re
from pathlib import Path

from resnext_det.errors import UserError
from resnext_det.small_files import read_small

LAST = "last_checkpoint"  # Detectron2's name for the file that names the newest checkpoint
FINAL = "model_final"
BEST = "model_best"  # of TEST.BEST_METRIC, which no run goes on from
PERIODIC = re.compile(r"model_(\d{7,})")  # named by the last finished iteration, from 0
_MOST_CHARACTERS = 100
"""Of a checkpoint's name."""


def latest_checkpoint(output_dir: str | Path) -> Path | None:
    """Returns the file that `last_checkpoint` names, else the newest by name; None without one."""
    named, _ = marked_checkpoint(output_dir)
    return named or next(iter(checkpoints(output_dir)), None)


def marked_checkpoint(output_dir: str | Path) -> tuple[Path | None, str]:
    """Returns the file that `last_checkpoint` in the folder names.

    It can name one of a run's checkpoints in the folder. Any other (weights, model_best, which
    Detectron2 names at times, one of another run's folder) is none to go on from.

    Returns:
        The file, and "". Where there is none, None and what is wrong with `last_checkpoint`.

    Raises:
        UserError: `last_checkpoint` cannot be read.
    """
    marker = Path(output_dir) / LAST
    try:
        name = read_small(marker, 4 * _MOST_CHARACTERS).decode("utf-8").strip()
    except FileNotFoundError:
        return None, "is not there"
    except UnicodeDecodeError:
        name = ""
    except OSError as error:
        if error.errno not in (errno.EFBIG, errno.EINVAL):
            raise UserError(f"{marker}: cannot be read ({error.strerror})") from error
        told = str(error.strerror)
        return None, told if error.errno == errno.EFBIG else f"cannot be read ({told})"
    if not name or not name.isprintable() or len(name) > _MOST_CHARACTERS:
        return None, "names no file"
    path = marker.parent / name
    if path.name != name or path.suffix != ".pth" or not _is_of_a_run(path):
        return None, f"names {name}, which is no name of a run's checkpoint"
    return (path, "") if path.is_file() else (None, f"names {name}, which is not there")


def checkpoints(output_dir: str | Path) -> list[Path]:
    """Returns the run's own checkpoints, the newest first: model_final, then by iteration."""
    paths = [path for path in Path(output_dir).glob("model_*.pth") if _is_of_a_run(path)]
    return sorted(paths, key=iteration_in_name, reverse=True)


def iteration_in_name(path: Path) -> float:
    """Returns the iteration that a checkpoint's name tells; infinity for model_final."""
    found = PERIODIC.fullmatch(path.stem)
    return int(found[1]) if found else float("inf")


def holds_run(output_dir: str | Path) -> bool:
    """Tells whether a folder holds a run that has come to a checkpoint."""
    return (Path(output_dir) / LAST).exists() or bool(checkpoints(output_dir))


def _is_of_a_run(path: Path) -> bool:
    return path.stem == FINAL or bool(PERIODIC.fullmatch(path.stem))
