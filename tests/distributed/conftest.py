"""The engines' tiny data set and detector."""

from pathlib import Path

import pytest

from tests.engines.conftest import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)
