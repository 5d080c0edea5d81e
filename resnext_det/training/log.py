"""Log lines on the terminal and in log.txt. Engine-neutral."""

import contextlib
import logging
import sys
import tempfile
from pathlib import Path

from resnext_det.errors import UserError
from resnext_det.training.distributed import about_lines, is_main, rank

ROOT = "resnext_det"
_FORMAT = "[%(asctime)s %(name)s]: %(levelname)s %(message)s"


def start_logging(output_dir: str | Path | None = None) -> None:
    """Sends the package's log lines to the terminal and, with a folder, to its log.txt.

    Lines of other processes than the main one go to `log.txt.rank1`, … only. A second
    call replaces what the first one set up.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    if output_dir is not None:
        make_folder(Path(output_dir))
    logger = logging.getLogger(ROOT)
    logger.setLevel(logging.INFO)
    for handler in [h for h in logger.handlers if isinstance(h, _Terminal | _LogFile)]:
        logger.removeHandler(handler)
        handler.close()
    handlers: list[logging.Handler] = [_Terminal()] if is_main() else []
    if output_dir is not None:
        name = "log.txt" if is_main() else f"log.txt.rank{rank()}"
        handlers.append(_LogFile(Path(output_dir) / name))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT, "%m/%d %H:%M:%S"))
        logger.addHandler(handler)
    for line in about_lines():
        logger.info(line)


def make_folder(path: Path) -> None:
    """Makes the folder of a run.

    Raises:
        UserError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError:
        raise UserError(f"OUTPUT_DIR {path} is a file; name a folder") from None
    except OSError as error:
        raise UserError(
            f"OUTPUT_DIR {path}: no folder that can be written to ({error.strerror})"
        ) from error


class _Terminal(logging.Handler):
    """Writes to whatever sys.stderr is now: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:  # as every handler of the standard library does
            self.handleError(record)


class _LogFile(logging.FileHandler):
    """log.txt, opened at the first line; a type of its own so that it can be found again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="a", encoding="utf-8", delay=True, errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:
        """Lets a full disk end the run; any other error is told as logging does."""
        error = sys.exception()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, self.baseFilename) from error
        super().handleError(record)

    def close(self) -> None:
        """Closes the file, which a full disk may have kept from taking the last line."""
        with contextlib.suppress(OSError):
            super().close()
