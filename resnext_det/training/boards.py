"""Where curves are drawn: TensorBoard, and on request Weights & Biases. Engine-neutral."""

import logging
import secrets
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import yaml
from fvcore.common.config import CfgNode

from resnext_det.errors import UserError
from resnext_det.whole_files import write_text_safe

Pictures = Mapping[str, np.ndarray]
"""Pictures by name, (H, W, 3) uint8, RGB."""


_WRITING_THREAD = "_AsyncWriterThread"  # of tensorboard/summary/writer/event_file_writer.py


class Board(Protocol):
    """One place that scalars and pictures go to."""

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Takes finite numbers by name."""
        ...

    def pictures(self, iteration: int, pictures: Pictures) -> None:
        """Takes pictures by name."""
        ...

    def close(self) -> None:
        """Writes out what is left."""
        ...


class TensorBoard:
    """Event files in the folder of the run.

    Args:
        output_dir: the folder.
        start: first iteration of this start; what an earlier start wrote from it on is hidden.
    """

    def __init__(self, output_dir: str | Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(output_dir), purge_step=start if start else None)
        _hush_writing_threads()

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Adds a point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, iteration)

    def pictures(self, iteration: int, pictures: Pictures) -> None:
        """Adds pictures, and shows them at once."""
        for name, picture in pictures.items():
            self._writer.add_image(name, picture, iteration, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of the project WANDB.PROJECT, named after the run's folder.

    Where it sends to, and whether it does, is set as for every other program that uses wandb:
    WANDB_MODE=offline, WANDB_API_KEY, WANDB_ENTITY, …

    Args:
        cfg: the configuration, which it keeps.

    Raises:
        UserError: it refuses to start, for lack of a key for example.
    """

    def __init__(self, cfg: CfgNode) -> None:
        import wandb  # pyright: ignore[reportMissingImports]  an extra

        folder = Path(cfg.OUTPUT_DIR)
        try:
            self._run = wandb.init(
                project=cfg.WANDB.PROJECT,
                name=folder.resolve().name,
                id=_run_id(folder),
                resume="allow",
                dir=str(folder),
                config=yaml.safe_load(cfg.dump()),
            )
        except Exception as error:  # its own errors have no common class but this
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"WANDB.PROJECT is {cfg.WANDB.PROJECT}, but Weights & Biases does not start "
                f"({reason}): run `wandb login`, or set WANDB_MODE=offline"
            ) from error
        # Steps may be done again after --resume, which its own step counter would refuse.
        self._run.define_metric("*", step_metric="iteration")

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Logs the numbers."""
        self._run.log({**values, "iteration": iteration})

    def pictures(self, iteration: int, pictures: Pictures) -> None:
        """Leaves pictures to TensorBoard."""

    def close(self) -> None:
        """Ends the run there."""
        self._run.finish()


def check_boards(cfg: CfgNode) -> None:
    """Checks that Weights & Biases is installed where the config asks for it.

    Raises:
        UserError: it is not; gives the command.
    """
    if cfg.WANDB.PROJECT and find_spec("wandb") is None:
        raise UserError(
            f"WANDB.PROJECT is {cfg.WANDB.PROJECT}, but wandb is not installed: pip install wandb "
            "(or leave WANDB.PROJECT empty)"
        )


def open_boards(cfg: CfgNode, start: int) -> list[Board]:
    """Opens TensorBoard where it is installed, and what the config asks for."""
    boards: list[Board] = []
    if find_spec("tensorboard") is None:
        logging.getLogger(__name__).info("No TensorBoard events: pip install tensorboard")
    else:
        boards.append(TensorBoard(cfg.OUTPUT_DIR, start))
    if cfg.WANDB.PROJECT:
        boards.append(WeightsAndBiases(cfg))
    return boards


def _hush_writing_threads() -> None:
    """Lets TensorBoard's threads say nothing of a full disk: the next scalar raises it here.

    For good: such a thread may come to its end after its file was closed.
    """
    before = threading.excepthook
    if getattr(before, "hushes", False):
        return

    def hook(args: threading.ExceptHookArgs) -> None:
        if type(args.thread).__name__ != _WRITING_THREAD or args.exc_type is not OSError:
            before(args)

    hook.hushes = True  # type: ignore[attr-defined]
    threading.excepthook = hook


def _run_id(folder: Path) -> str:
    """The run's id there, kept in its folder so that --resume goes on with the same one."""
    file = folder / "wandb" / "run_id"
    if not file.is_file():
        write_text_safe(file, secrets.token_hex(8))
    return file.read_text().strip()
