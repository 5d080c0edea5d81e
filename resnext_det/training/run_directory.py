"""The folder of a run: new, continued or finished, never a mixture. Engine-neutral."""

import logging
import math
import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fvcore.common.config import CfgNode

from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.training.best import has_stopped
from resnext_det.training.distributed import barrier, broadcast_object, is_main
from resnext_det.training.log import start_logging
from resnext_det.training.newest import BEST, FINAL, LAST, holds_run, latest_checkpoint
from resnext_det.training.restarts import goes_on_by_itself, note_opened
from resnext_det.training.result import RESULT
from resnext_det.training.run_folder import clear_run_folder
from resnext_det.training.same_run import as_begun, check_resumable
from resnext_det.training.usable import Usable, find_usable
from resnext_det.whole_files import write_text_safe

Resume = bool | Literal["auto"]
"""Continue the run in OUTPUT_DIR; "auto": where there is one, else start it."""
BEST_BEFORE = f"{BEST}_before"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunStart:
    """Where a run starts.

    Attributes:
        cfg: the configuration with SEED settled (a drawn one where it was negative).
        start_iteration: first iteration to do, counted from 0.
        checkpoint: the file to continue from, or None for a new run.
        state: what that file holds; empty for a new run.
        finished: training and its result are there: nothing is left to do.
        recipe_rate: see `LoadedConfig`; for whoever trains to fill in.
    """

    cfg: CfgNode
    start_iteration: int = 0
    checkpoint: Path | None = None
    state: dict[str, Any] = field(default_factory=dict)
    finished: bool = False
    recipe_rate: float = math.inf


def open_run(
    cfg: CfgNode,
    output_dir: str | Path,
    *,
    resume: Resume,
    engine: str,
    notes: Sequence[str] = (),
    user_given: Collection[str] | None = None,
) -> RunStart:
    """Opens the folder of a training run and says where the run starts.

    A finished run is left untouched. Otherwise `log.txt` is opened and `config.yaml`
    written. Training that ended before its result was written starts at MAX_ITER, so
    that only the evaluation is left. Where the newest checkpoint is not whole, the run goes on
    from the one before, which the log says.

    Args:
        cfg: the configuration.
        output_dir: the folder, cfg.OUTPUT_DIR.
        resume: continue the run there; otherwise there must be none; "auto" does what fits. With
            "auto", and after a restart by torchrun, the best model of a run that came to no
            checkpoint is kept beside, as model_best_before.pth, model_best_before_2.pth, ….
        engine: "portable", "d2" or "classification"; another one's run is not continued.
        notes: `LoadedConfig.notes`, logged once there is a log.
        user_given: dotted keys that the user gave; of the others, those that weights or
            --acceleration may have set when the run began are taken from its checkpoint. None
            where all count as given.

    Raises:
        UserError: `resume` and no checkpoint there; a checkpoint there and no `resume`;
            none that is whole; one of another engine, model or SEED; a folder that cannot
            be written to. A run that torchrun has restarted continues without `resume`.
    """
    folder = Path(output_dir)
    if not goes_on_by_itself(folder):  # torchrun has restarted its processes: see `restarts`
        _check_intent(folder, resume)
    barrier()  # every process has looked at the folder before one changes it
    if is_main():
        note_opened(folder)
    start_logging(folder)
    clear_run_folder(folder)
    found = find_usable(folder)
    if found is None and is_main():  # and `resume` is "auto", or torchrun has restarted
        _keep_best_before(folder)
    if found is not None:
        _mend_marker(folder, found)
        if _is_finished(cfg, folder, found):
            _say("%s: this run is finished (%s), nothing is left to do", folder, found.path.name)
            return RunStart(cfg, found.iteration + 1, found.path, found.state, finished=True)
        cfg = as_begun(cfg, found.state, str(found.path), user_given)
        check_resumable(cfg, found.state, str(found.path), engine)
    for note in notes:
        _say("%s", note)
    cfg = settle_seed(cfg, found.state.get("seed") if found else None)
    write_config(cfg, folder)
    if found is None:
        return RunStart(cfg)
    _say("Resuming from %s at iteration %d", found.path, found.iteration + 1)
    return RunStart(cfg, found.iteration + 1, found.path, found.state)


def write_config(cfg: CfgNode, output_dir: str | Path) -> None:
    """Writes `config.yaml`; again when the weights' convention has changed the configuration."""
    if is_main():
        write_text_safe(Path(output_dir) / "config.yaml", cfg.dump())


def trained_weights(cfg: CfgNode, *, resume: bool) -> str:
    """Returns what `--eval-only` evaluates: MODEL.WEIGHTS, or with `resume` the newest checkpoint.

    Raises:
        UserError: there is neither.
    """
    if resume:
        found = find_usable(cfg.OUTPUT_DIR)
        if found is None:
            raise UserError(f"--eval-only --resume: {cfg.OUTPUT_DIR} holds no checkpoint")
        if found.refused:
            _warn(found.line)
        return str(found.path)
    if not cfg.MODEL.WEIGHTS:
        raise UserError(
            "--eval-only: MODEL.WEIGHTS is empty; name a trained model, or add --resume to take "
            "the newest checkpoint in OUTPUT_DIR"
        )
    return cfg.MODEL.WEIGHTS


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


def _check_intent(folder: Path, resume: Resume) -> None:
    if resume == "auto":
        return
    if holds_run(folder):
        if not resume:
            latest = latest_checkpoint(folder)
            raise UserError(
                f"{folder} already holds a run ({latest.name if latest else LAST}): add --resume "
                "to continue it, or choose another OUTPUT_DIR to start from MODEL.WEIGHTS"
            )
        return
    best = folder / f"{BEST}.pth"
    if best.is_file():  # a new run would lose it
        raise UserError(
            f"{folder} holds {best.name} of a run that ended before its first checkpoint: choose "
            f"another OUTPUT_DIR (MODEL.WEIGHTS {best} starts from it), or move the file away"
        )
    if resume:
        raise UserError(
            f"--resume: {folder} holds no checkpoint to continue; leave --resume out to "
            "start from MODEL.WEIGHTS, or give --auto-resume, which does what fits"
        )


def _keep_best_before(folder: Path) -> None:
    """Lets a run that starts overwrite no best model of one that came to no checkpoint."""
    best = folder / f"{BEST}.pth"
    if not best.is_file():
        return
    kept, number = folder / f"{BEST_BEFORE}.pth", 1
    while os.path.lexists(kept):  # of a run before that one
        number += 1
        kept = folder / f"{BEST_BEFORE}_{number}.pth"
    best.replace(kept)
    _warn(
        f"{folder}: a run there ended before its first checkpoint; its best model is kept as "
        f"{kept.name}, and the run starts at iteration 0"
    )


def _mend_marker(folder: Path, found: Usable) -> None:
    """Says what was refused, and lets `last_checkpoint` name what is used instead."""
    if found.refused and is_main():
        _warn(found.line)
        write_text_safe(folder / LAST, found.path.name)


def _is_finished(cfg: CfgNode, folder: Path, found: Usable) -> bool:
    """Tells whether model_final is whole and result.json is about it."""
    is_over = found.iteration + 1 >= cfg.SOLVER.MAX_ITER or has_stopped(cfg, found.state)
    if not is_over or found.path.stem != FINAL:
        return False
    try:
        result = read_json(folder / RESULT)
    except UserError:
        return False
    return isinstance(result, dict) and result.get("iteration", found.iteration) == found.iteration


def _say(message: str, *values: object) -> None:
    if is_main():
        logger.info(message, *values)


def _warn(line: str) -> None:
    if is_main():
        logger.warning("%s", line)
