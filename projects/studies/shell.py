"""Commands and paths as anyone may read them: no folder of one machine's. Engine-neutral."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from projects.studies.jobs import REPOSITORY, Job

# An absolute path at the beginning of a word, or of a part of NAME=JSON:IMAGES; no address.
_ABSOLUTE = re.compile(r"(?:^|(?<=[=:]))/(?!/)[^:=]*")


def job_command(job: Job, output: Path) -> str:
    """Returns a job as typed in a shell, in the repository's folder."""
    return shell_command(["python", "train_net.py", *job.arguments], output)


def shell_command(words: Sequence[str], output: Path) -> str:
    """Returns a command as typed in a shell, without a folder of this machine's.

    Relative paths stay. Absolute ones become relative to the repository, or begin with $OUTPUT
    (the study's folder), ~ (the user's) or, anywhere else, $DATA.

    Args:
        words: of the command.
        output: the study's folder.
    """
    return " ".join(_quote(_ABSOLUTE.sub(lambda m: _portable(m[0], output), w)) for w in words)


def relative_path(path: Path, folder: Path) -> str | None:
    """Returns a path as seen from a folder.

    None where the way there would name a user's folder: the two have nothing in common but
    the root, or the folder of all users' homes.
    """
    path, folder = path.resolve(), folder.resolve()
    common = Path(os.path.commonpath([path, folder]))
    if common in (Path(common.anchor), Path.home().parent):
        return None
    return os.path.relpath(path, folder)


def _portable(text: str, output: Path) -> str:
    path = Path(text)
    for folder, name in ((REPOSITORY, ""), (output.resolve(), "$OUTPUT"), (Path.home(), "~")):
        for known in (path, path.resolve()):
            if known.is_relative_to(folder):
                return os.path.normpath(os.path.join(name, known.relative_to(folder)))
    return f"$DATA/{path.name}"


def _quote(word: str) -> str:
    """Quotes a word unless all its special letters are those that `_portable` means."""
    bare = re.sub(r"\$OUTPUT|\$DATA|~/", "x", word)
    return word if shlex.quote(bare) == bare else shlex.quote(word)
