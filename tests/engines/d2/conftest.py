"""A stand-in for a package that cannot be installed from an index."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """panopticapi is on no package index: an independent stand-in of what is called of it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "stand_in"))
    for name in [name for name in sys.modules if name.partition(".")[0] == "panopticapi"]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "panopticapi"]:
        del sys.modules[name]
