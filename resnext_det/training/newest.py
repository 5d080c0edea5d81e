"""Which checkpoint of a folder is the newest. Engine-neutral."""

from pathlib import Path

from resnext_det.errors import UserError

LAST = "last_checkpoint"  # Detectron2's name for the file that names the newest checkpoint
FINAL = "model_final"
BEST = "model_best"  # of TEST.BEST_METRIC


def latest_checkpoint(output_dir: str | Path) -> Path | None:
    """Returns the file that `last_checkpoint` in the folder names, or None without one.

    Raises:
        UserError: it names no file, or one that is not there.
    """
    marker = Path(output_dir) / LAST
    name = _read_marker(marker)
    if name is None:
        return None
    if not name or not name.isprintable():
        raise UserError(f"{marker} names no file: {other_checkpoints(marker)}")
    path = marker.parent / name
    if not path.is_file():
        raise UserError(
            f"{marker} names {path.name}, which is not there: {other_checkpoints(path)}"
        )
    return path


def unmarked_checkpoint(output_dir: str | Path) -> Path | None:
    """Returns the newest `model_*.pth` of a folder without `last_checkpoint`, else None."""
    marker = Path(output_dir) / LAST
    return None if marker.exists() else _newest(marker)


def other_checkpoints(path: Path) -> str:
    """Returns what to do where a checkpoint cannot be used: which other one there is."""
    newest = _newest(path)
    if newest is None:
        return f"no other checkpoint is in {path.parent}; start the run anew in another OUTPUT_DIR"
    return f"to go on from the one before, write {newest.name} into {path.parent / LAST}"


def _newest(path: Path) -> Path | None:
    """The newest checkpoint beside a file, itself left out."""
    best = path.parent / f"{BEST}.pth"  # which a run cannot go on from
    others = [p for p in path.parent.glob("model_*.pth") if p not in (path, best)]
    return max(others, key=lambda p: (p.stat().st_mtime_ns, p.name), default=None)


def _read_marker(marker: Path) -> str | None:
    """What `last_checkpoint` says: None without one, "" where it is no text."""
    try:
        return marker.read_text("utf-8").strip() if marker.is_file() else None
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise UserError(f"{marker}: cannot be read ({error.strerror})") from error
