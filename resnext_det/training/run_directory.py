"""The folder of a run: new, continued or finished, never a mixture. Engine-neutral."""

import logging
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.errors import UserError
from resnext_det.training.checkpoint import latest_checkpoint, load_checkpoint, write_text_safe
from resnext_det.training.distributed import barrier, broadcast_object, is_main
from resnext_det.training.log import start_logging
from resnext_det.training.result import RESULT


@dataclass(frozen=True)
class RunStart:
    """Where a run starts.

    Attributes:
        cfg: the configuration with SEED settled (a drawn one where it was negative).
        start_iteration: first iteration to do, counted from 0.
        checkpoint: the file to continue from, or None for a new run.
        state: what that file holds; empty for a new run.
        finished: training and its result are there: nothing is left to do.
    """

    cfg: CfgNode
    start_iteration: int = 0
    checkpoint: Path | None = None
    state: dict[str, Any] = field(default_factory=dict)
    finished: bool = False


def open_run(cfg: CfgNode, output_dir: str | Path, *, resume: bool) -> RunStart:
    """Opens the folder of a training run and says where the run starts.

    A finished run is left untouched. Otherwise `log.txt` is opened and `config.yaml`
    written. Training that ended before its result was written starts at MAX_ITER, so
    that only the evaluation is left.

    Raises:
        UserError: `resume` and no checkpoint there; a checkpoint there and no `resume`;
            a torn checkpoint; a SEED other than the one the run began with.
    """
    folder = Path(output_dir)
    latest = latest_checkpoint(folder)
    _check_intent(folder, latest, resume)
    state = {} if latest is None else load_checkpoint(latest)
    start = int(state.get("iteration", -1)) + 1
    barrier()  # every process has looked at the folder before one changes it
    start_logging(folder)
    if latest and start >= cfg.SOLVER.MAX_ITER and (folder / RESULT).is_file():
        _say("%s: this run is finished (%s), nothing is left to do", folder, latest.name)
        return RunStart(cfg, start, latest, state, finished=True)
    cfg = settle_seed(cfg, state.get("seed"))
    write_config(cfg, folder)
    if latest:
        _say("Resuming from %s at iteration %d", latest, start)
    return RunStart(cfg, start, latest, state)


def write_config(cfg: CfgNode, output_dir: str | Path) -> None:
    """Writes `config.yaml`; again when the weights' convention has changed the configuration."""
    if is_main():
        write_text_safe(Path(output_dir) / "config.yaml", cfg.dump())


def settle_seed(cfg: CfgNode, earlier: int | None = None) -> CfgNode:
    """Returns the configuration with the one SEED that every process of the run uses.

    A negative SEED (Detectron2's default) means any: the one of the run that is
    continued, or a drawn one.

    Args:
        cfg: the configuration; it is not changed.
        earlier: the seed in the checkpoint that is continued.

    Raises:
        UserError: SEED is given and is not the one the run began with.
    """
    if earlier is not None and 0 <= cfg.SEED != earlier:
        raise UserError(
            f"SEED is {cfg.SEED}, but the run that --resume continues began with {earlier}: "
            f"leave SEED out or set it to {earlier}"
        )
    seed = cfg.SEED if earlier is None else earlier
    if seed < 0:
        seed = broadcast_object(secrets.randbelow(2**31))
    settled = cfg.clone()
    settled.defrost()
    settled.SEED = seed
    settled.freeze()
    return settled


def _check_intent(folder: Path, latest: Path | None, resume: bool) -> None:
    if resume and latest is None:
        raise UserError(
            f"--resume: {folder} holds no checkpoint to continue; leave --resume out to "
            "start from MODEL.WEIGHTS"
        )
    if latest is not None and not resume:
        raise UserError(
            f"{folder} already holds a run ({latest.name}): add --resume to continue it, or "
            "choose another OUTPUT_DIR to start from MODEL.WEIGHTS"
        )


def _say(message: str, *values: object) -> None:
    if is_main():
        logging.getLogger(__name__).info(message, *values)
