"""What one engine writes, the other reads, with the same numbers. Detectron2."""

import pytest
import torch

from resnext_det.engines.base import EngineName, resolve_engine
from resnext_det.engines.detection import train_detector
from tests.engines.conftest import Bench
from tests.engines.d2.crossing import crossed_metrics, losses_in_step
from tests.golden.tolerances import AP, FIRST_UPDATE, FOURTH_UPDATE

pytestmark = pytest.mark.d2


@pytest.mark.parametrize(("writer", "reader"), [("portable", "d2"), ("d2", "portable")])
def test_checkpoint_evaluates_to_the_same_ap(
    writer: EngineName, reader: EngineName, bench: Bench
) -> None:
    ours, theirs = crossed_metrics(bench, writer, reader)
    assert ours["AP"] > 1.0, "the comparison says nothing about a detector that finds nothing"
    assert theirs == pytest.approx(ours, abs=AP)


def test_engines_train_alike_from_the_same_weights(bench: Bench) -> None:
    """Same batches, augmentation, sampled anchors and regions: the same losses.

    The first is held to 1e-5 relative as the parity table is. Rounding then grows with
    every update, so the fourth is held to 1e-3.
    """
    losses = losses_in_step(bench)
    assert losses["d21"] == pytest.approx(losses["portable1"], rel=FIRST_UPDATE)
    assert losses["d24"] == pytest.approx(losses["portable4"], rel=FOURTH_UPDATE)


def test_either_engine_refuses_to_resume_the_others_run(bench: Bench) -> None:
    for writer, reader in (("portable", "d2"), ("d2", "portable")):
        train_detector(resolve_engine(writer), bench.job(writer, "DATASETS.TEST", "[]"))
        job = bench.job(writer, "SOLVER.MAX_ITER", 9, resume=True)
        with pytest.raises(ValueError, match=f"was written by the {writer} engine"):
            train_detector(resolve_engine(reader), job)


def test_portable_checkpoint_loads_in_detectron2s_own_model(bench: Bench) -> None:
    """Nothing of ours but the backbone's registered name is needed to read it."""
    from detectron2.checkpoint import DetectionCheckpointer

    train_detector(resolve_engine("portable"), bench.job("run", "DATASETS.TEST", "[]"))
    path = bench.folder / "run" / "model_final.pth"
    cfg = bench.job("x", "MODEL.ROI_HEADS.NUM_CLASSES", 2).loaded.cfg
    model = resolve_engine("d2").build_model(cfg)
    DetectionCheckpointer(model).load(str(path))
    saved = torch.load(path, weights_only=True)["model"]
    loaded = model.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
