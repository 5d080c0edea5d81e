"""Which tests run on this machine, and one thread for each. Engine-neutral."""

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests marked slow, too")
    parser.addoption(
        "--run-long", action="store_true", help="run those marked long, too: all of them"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The test processes must agree on the names, and an address differs in each.
    if unstable := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"a test's name has an address in it: {unstable[0]}")
    run_long = config.getoption("--run-long")
    run_slow = run_long or config.getoption("--run-slow")
    reasons = missing_needs(run_slow=run_slow, run_long=run_long)
    for item in items:
        for marker, reason in reasons.items():
            if marker in item.keywords:
                item.add_marker(pytest.mark.skip(reason=reason))


def missing_needs(*, run_slow: bool, run_long: bool) -> dict[str, str]:
    """The markers whose tests cannot run here, each with what it needs."""
    reasons = {}
    if importlib.util.find_spec("detectron2") is None:
        reasons["d2"] = "needs Detectron2 (see requirements-detectron2.txt)"
    if not cuda_is_available():
        reasons["gpu"] = "needs a CUDA device"
    if not run_slow:
        reasons["slow"] = "slow: give --run-slow"
    if not run_long:
        reasons["long"] = "long: give --run-long"
    return reasons


def cuda_is_available() -> bool:
    with warnings.catch_warnings():  # a CUDA build warns on a machine without a driver
        warnings.simplefilter("ignore")
        return torch.cuda.is_available()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    # Sums over several threads have no fixed order, and the test processes share the cores.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what the user's cache holds, the machine's saved settings above all, out of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESNEXT_DET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_kept_memory() -> Iterator[None]:
    """Lets the test process return its memory, of which the tests of a whole session share it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resnext_det.training.memory._set", lambda parameter, value: None)
        yield


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Returns a folder of the trial data, or skips where it is absent."""

    def find(name: str) -> Path:
        if not (SHARED / name).is_dir():
            pytest.skip(f"needs the trial data folder {SHARED / name}")
        return SHARED / name

    return find


@pytest.fixture
def no_handlers_left() -> Iterator[None]:
    """Takes off the loggers, after the test, what a run put there."""
    yield
    for logger in map(logging.getLogger, ("resnext_det", "detectron2", "fvcore")):
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
