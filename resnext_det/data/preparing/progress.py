"""How far a preparation is: a bar on a terminal, nothing in a pipe. Engine-neutral."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Advance = Callable[[int], None]


@contextmanager
def bar(what: str, total: int, *, in_bytes: bool = False) -> Iterator[Advance]:
    """Shows a bar while the block runs.

    Args:
        what: the word before it.
        total: steps, or bytes.
        in_bytes: whether the steps are bytes.

    Yields:
        A function that adds steps.
    """
    console = Console(stderr=True)
    counts = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    progress = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        *counts,
        TextColumn(" eta"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task(what, total=total)
        yield lambda steps: progress.advance(task, steps)
