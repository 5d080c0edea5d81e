"""What is finished of a preparation, so that the next start goes on there. Engine-neutral."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.errors import UserError


class Journal:
    """One JSON line for what is prepared, then one for each finished part.

    A line that was cut off by a crash is dropped: its part is done again.

    Args:
        path: the file, made with the first finished part; None to remember in this process alone.
        identity: what is prepared from what; another one on file is refused.

    Raises:
        UserError: the journal is of another preparation, or cannot be read.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._identity = json.loads(json.dumps(identity))  # as it is read back
        self.parts: dict[str, dict[str, Any]] = {}
        self._read()

    def add(self, part: str, **record: Any) -> None:
        """Writes that a part is finished.

        Args:
            part: its name.
            record: what the next start needs to know of it.

        Raises:
            UserError: the disk takes no more.
        """
        self.parts[part] = record
        if self._path is None:
            return
        lines = [] if self._path.exists() else [{"preparing": self._identity}]
        lines.append({"part": part, **record})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written ({error.strerror})") from error

    def remove(self) -> None:
        """Deletes the file: everything is finished."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"{self._path}: cannot be read ({error.strerror})") from error
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            os.truncate(self._path, len(whole))
        if not whole:
            self._path.unlink()
            return
        try:
            first, *lines = [json.loads(line) for line in whole.splitlines()]
            known = first["preparing"]
            self.parts = {line.pop("part"): line for line in lines}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{self._path}: a damaged journal: delete it to start anew") from error
        if known != self._identity:
            raise UserError(
                f"{self._path}: was begun from something else ({_differing(known, self._identity)})"
                ": give that again, or delete this file and start anew"
            )


def _differing(known: Any, asked: Mapping[str, Any]) -> str:
    pairs = known.items() if isinstance(known, dict) else []
    parts = [
        f"{key} {value}, now {asked.get(key)}" for key, value in pairs if asked.get(key) != value
    ]
    return "; ".join(parts) or str(known)
