"""The folder of a run: new, continued or finished, never a mixture. Engine-neutral."""

import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.errors import UserError
from resnext_det.training.best import has_stopped
from resnext_det.training.checkpoint import check_run_state, load_checkpoint
from resnext_det.training.distributed import barrier, broadcast_object, is_main
from resnext_det.training.log import start_logging
from resnext_det.training.newest import BEST, LAST, latest_checkpoint, unmarked_checkpoint
from resnext_det.training.result import RESULT
from resnext_det.training.same_run import as_weights_set, check_resumable
from resnext_det.whole_files import write_text_safe


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


def open_run(
    cfg: CfgNode,
    output_dir: str | Path,
    *,
    resume: bool,
    engine: str,
    notes: Sequence[str] = (),
    user_given: Collection[str] | None = None,
) -> RunStart:
    """Opens the folder of a training run and says where the run starts.

    A finished run is left untouched. Otherwise `log.txt` is opened and `config.yaml`
    written. Training that ended before its result was written starts at MAX_ITER, so
    that only the evaluation is left.

    Args:
        cfg: the configuration.
        output_dir: the folder, cfg.OUTPUT_DIR.
        resume: continue the run there; otherwise there must be none.
        engine: "portable", "d2" or "classification"; another one's run is not continued.
        notes: `LoadedConfig.notes`, logged once there is a log.
        user_given: dotted keys that the user gave; of the others, those that weights may have set
            when the run began are taken from its checkpoint. None where all count as given.

    Raises:
        UserError: `resume` and no checkpoint there; a checkpoint there and no `resume`;
            a torn checkpoint; one of another engine, model or SEED; a folder that cannot
            be written to.
    """
    folder = Path(output_dir)
    latest = latest_checkpoint(folder)
    _check_intent(folder, latest, resume)
    state = {} if latest is None else load_checkpoint(latest)
    if latest:
        check_run_state(state, latest)
    start = state.get("iteration", -1) + 1
    barrier()  # every process has looked at the folder before one changes it
    start_logging(folder)
    is_over = start >= cfg.SOLVER.MAX_ITER or has_stopped(cfg, state)
    if latest and is_over and (folder / RESULT).is_file():
        _say("%s: this run is finished (%s), nothing is left to do", folder, latest.name)
        return RunStart(cfg, start, latest, state, finished=True)
    if latest:
        cfg = as_weights_set(cfg, state, str(latest), user_given)
        check_resumable(cfg, state, str(latest), engine)
    for note in notes:
        _say("%s", note)
    cfg = settle_seed(cfg, state.get("seed"))
    write_config(cfg, folder)
    if latest:
        _say("Resuming from %s at iteration %d", latest, start)
    return RunStart(cfg, start, latest, state)


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
        latest = latest_checkpoint(cfg.OUTPUT_DIR)
        if latest is None:
            _refuse_unmarked(Path(cfg.OUTPUT_DIR), resume=True)
            raise UserError(f"--eval-only --resume: {cfg.OUTPUT_DIR} holds no checkpoint")
        return str(latest)
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


def _refuse_unmarked(folder: Path, *, resume: bool) -> None:
    """Refuses checkpoints without the file that names the newest: nobody says which counts."""
    found = unmarked_checkpoint(folder)
    if found is None:
        return
    if resume:
        raise UserError(
            f"--resume: {folder} holds {found.name} but no {LAST}: to continue from it, write "
            f"{found.name} into {folder / LAST}"
        )
    raise UserError(
        f"{folder} already holds {found.name}, but no {LAST}: choose another OUTPUT_DIR to start "
        f"from MODEL.WEIGHTS, or write {found.name} into {folder / LAST} and add --resume"
    )


def _refuse_lone_best(folder: Path) -> None:
    """Refuses a run that evaluated and never came to a checkpoint: its best would be lost."""
    best = folder / f"{BEST}.pth"
    if best.is_file():
        raise UserError(
            f"{folder} holds {best.name} of a run that ended before its first checkpoint: choose "
            f"another OUTPUT_DIR (MODEL.WEIGHTS {best} starts from it), or move the file away"
        )


def _check_intent(folder: Path, latest: Path | None, resume: bool) -> None:
    if latest is None:
        _refuse_unmarked(folder, resume=resume)
        _refuse_lone_best(folder)
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
