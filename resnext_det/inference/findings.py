"""What was found so far, a line for each image, to go on from. Engine-neutral."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from resnext_det.errors import UserError
from resnext_det.structures import Detections
from resnext_det.whole_files import MEND

FILE = "progress.jsonl"


@dataclass(frozen=True)
class Finding:
    """What was found in one image, or in a frame of a video.

    Attributes:
        height: rows of the image as it is seen; 0 where it is broken.
        width: its columns.
        boxes: R times x0, y0, x1, y1 in its pixels, float32 values.
        scores: R times 0 … 1, best first.
        classes: R times 0 … K-1.
        broken: why it cannot be read; empty where it was.
    """

    height: int = 0
    width: int = 0
    boxes: tuple[tuple[float, ...], ...] = ()
    scores: tuple[float, ...] = ()
    classes: tuple[int, ...] = ()
    broken: str = ""

    @staticmethod
    def of(size: tuple[int, int], found: Detections) -> "Finding":
        """Takes detections in an image of (height, width)."""
        boxes = tuple(map(tuple, found.boxes.tolist()))
        return Finding(*size, boxes, tuple(found.scores.tolist()), tuple(found.classes.tolist()))

    def detections(self, class_names: tuple[str, ...] = ()) -> Detections:
        """Returns the detections that were taken, to the bit."""
        return Detections(
            torch.tensor(self.boxes, dtype=torch.float32).reshape(-1, 4),
            torch.tensor(self.scores, dtype=torch.float32),
            torch.tensor(self.classes, dtype=torch.int64),
            class_names,
        )


class Findings:
    """The findings of a command, by key; those of an earlier start of it are there, too.

    They stay in the file, and are read one by one. A line that was cut off by a crash is dropped.

    Args:
        folder: of the results.
        identity: what finds what in which way; another command's folder is refused.

    Raises:
        UserError: the folder is another command's, or its file is damaged or cannot be read.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._path = folder / FILE
        self._identity = json.loads(json.dumps(identity))  # as it is read back
        self._starts: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        try:
            self._read()
            self._file: IO[bytes] = open(self._path, "ab")  # noqa: SIM115  closed by `close`
            self._reader: IO[bytes] = open(self._path, "rb")  # noqa: SIM115
            if not self._path.stat().st_size:
                self._write({"command": self._identity})
        except OSError as error:
            raise UserError(f"{self._path}: cannot be used ({error.strerror}): {MEND}") from error

    def __contains__(self, key: str) -> bool:
        return key in self._starts

    def __getitem__(self, key: str) -> Finding:
        self._reader.seek(self._starts[key])
        line = json.loads(self._reader.readline())
        fields = line["found"]
        lists = {name: tuple(fields.get(name, ())) for name in ("boxes", "scores", "classes")}
        lists["boxes"] = tuple(map(tuple, lists["boxes"]))
        return Finding(**fields | lists)

    def add(self, findings: Mapping[str, Finding]) -> None:
        """Keeps what was found in images that were looked at together.

        Raises:
            UserError: the disk takes no more.
        """
        for key, finding in findings.items():
            fields = {name: value for name, value in vars(finding).items() if value}
            self._starts[key] = self._write({"key": key, "found": fields})

    def end_video(self, key: str, num_frames: int) -> None:
        """Keeps that a video is finished."""
        self._ends[key] = num_frames
        self._write({"ended": key, "frames": num_frames})

    def num_frames(self, key: str) -> int | None:
        """Returns how many frames a finished video has; None where it is not finished."""
        return self._ends.get(key)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        self._reader.close()

    def _write(self, line: Mapping[str, Any]) -> int:
        """Writes a line; returns where it starts."""
        try:
            start = self._file.seek(0, os.SEEK_END)
            self._file.write((json.dumps(line, separators=(",", ":")) + "\n").encode())
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self._path}: {error.strerror}: {MEND}") from error
        return start

    def _read(self) -> None:
        if not self._path.exists():
            return
        whole = 0
        try:
            for start, line in self._lines():
                whole = start + len(line)
                self._take(start, json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{self._path}: damaged: give another folder, or delete this one"
            ) from error
        os.truncate(self._path, whole)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        start = 0
        with self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield start, line
                start += len(line)

    def _take(self, start: int, line: Mapping[str, Any]) -> None:
        if start == 0:
            self._check(line["command"])
        elif "ended" in line:
            self._ends[str(line["ended"])] = int(line["frames"])
        else:
            self._starts[str(line["key"])] = start

    def _check(self, known: Mapping[str, Any]) -> None:
        if known == self._identity:
            return
        other = [key for key in self._identity if known.get(key) != self._identity[key]]
        name = other[0] if other else "version"
        raise UserError(
            f"{self._path.parent}: holds the results of another command ({name}: "
            f"{_shown(known.get(name))} there, {_shown(self._identity.get(name))} now): give "
            "another folder"
        )


def _shown(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:80]} …"
