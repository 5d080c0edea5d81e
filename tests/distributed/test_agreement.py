"""Neither the number of processes nor of passes changes what is trained, on both engines."""

import pytest

from resnext_det.engines.base import EngineName
from tests.distributed.agreement import gaps
from tests.engines.conftest import Bench

FIRST_LOSSES, PARAMETERS = 1e-5, 1e-4  # relative; the parameters after 20 updates
UPDATES, MOVED = 0.02, 1e-3  # tells the updates themselves apart, which are of that size

PASSES = ("SOLVER.GRADIENT_ACCUMULATION", 2)
SHARES = {"2 processes": (2,), "2 passes": (1, *PASSES), "2 processes of 2 passes": (2, *PASSES)}


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("engine", ["portable", pytest.param("d2", marks=pytest.mark.d2)])
def test_eight_images_train_alike_however_they_are_shared(
    engine: EngineName, share: str, bench: Bench
) -> None:
    found = gaps(bench, engine, *SHARES[share])
    print(f"{engine}, {share}: {found}")
    assert found["first losses"] <= FIRST_LOSSES, found
    assert found["parameters"] <= PARAMETERS, found
    assert found["updates"] <= UPDATES, found
    assert found["moved"] >= MOVED, found
