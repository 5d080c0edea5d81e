"""A detector with deformable convolutions, trained by either engine from the same file."""

import pytest
import torch

from resnext_det.engines.base import Engine
from resnext_det.engines.detection import evaluate_detector, train_detector
from tests.engines.conftest import Bench

DEFORM = "MODEL.RESNETS.DEFORM_"


@pytest.mark.parametrize("modulated", [False, True])
def test_it_trains_and_its_checkpoint_is_evaluated(
    modulated: bool, engine: Engine, bench: Bench
) -> None:
    options = (
        DEFORM + "ON_PER_STAGE",
        "[False, True, True, True]",
        DEFORM + "MODULATED",
        modulated,
    )
    groups = (DEFORM + "NUM_GROUPS", 2)
    train_detector(engine, bench.job("run", *options, *groups, "SOLVER.MAX_ITER", 2))
    weights = bench.folder / "run" / "model_final.pth"
    model = torch.load(weights, weights_only=True)["model"]
    offsets = model["backbone.bottom_up.res3.0.conv2_offset.weight"]
    assert offsets.shape == (2 * (27 if modulated else 18), 32, 3, 3)
    assert offsets.any()  # they start at zero
    evaluate_detector(engine, bench.job("again", *options, *groups, "MODEL.WEIGHTS", weights))
    assert (bench.folder / "again" / "inference" / "result.json").exists()


def test_plain_weights_start_it(engine: Engine, bench: Bench) -> None:
    """Offsets, many with many groups, are no part of what MODEL.WEIGHTS_MIN_SHARE asks for."""
    train_detector(engine, bench.job("plain", "SOLVER.MAX_ITER", 1))
    weights = ("MODEL.WEIGHTS", bench.folder / "plain" / "model_final.pth")
    options = (DEFORM + "ON_PER_STAGE", "[True, True, True, True]", DEFORM + "NUM_GROUPS", 8)
    train_detector(engine, bench.job("run", *options, *weights, "SOLVER.MAX_ITER", 1))
    assert (bench.folder / "run" / "model_final.pth").exists()
