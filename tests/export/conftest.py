"""A tiny detector that was trained for a second, exported once for all tests of the file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnext_det.cli import main
from tests.inference.conftest import Trained, portable, trained

__all__ = ["Export", "Trained", "exported", "portable", "trained"]


@dataclass(frozen=True)
class Export:
    """An exported file.

    Attributes:
        file: of the format its suffix says.
        found: what the command wrote with --json.
    """

    file: Path
    found: dict[str, Any]


def exported(trained: Trained, file: Path, *words: object) -> Export:
    """Exports a trained detector by the command, which has to succeed."""
    json_file = file.with_suffix(".json")
    command = [trained.checkpoint, "-o", file, "--json", json_file, *words]
    if "--test-data" not in words:  # whose images it is proven on
        command += ["--images", trained.bench.entry.image_root]
    assert main(["export", *map(str, command)]) == 0
    return Export(file, json.loads(json_file.read_text()))
