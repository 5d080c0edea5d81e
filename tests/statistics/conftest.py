"""Random COCO sets, as the evaluation's own tests have them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evaluation.conftest import write_vector


@pytest.fixture
def make_vector(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes gt.json and dt.json below the test's folder; `name` tells several apart."""

    def make(name: str = "set", **settings: object) -> tuple[Path, Path]:
        folder = tmp_path / name
        folder.mkdir()
        return write_vector(folder, **settings)

    return make
