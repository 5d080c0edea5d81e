"""An accelerated detector is the portable engine's; what only Detectron2 knows stays exact."""

from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from resnext_det import Detector
from resnext_det.acceleration.choice import choose_acceleration
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.config import load_config, with_values
from resnext_det.engines.base import detectron2_is_installed
from resnext_det.errors import UserError
from resnext_det.inference.engine_choice import choose_engine
from tests.inference.conftest import Trained

USUAL = "d2" if detectron2_is_installed() else "portable"
SETTING = Acceleration(channels_last=True)


def config(**values: object) -> CfgNode:
    cfg = load_config("resnext_det://Base-RCNN-FPN.yaml").cfg
    return with_values(cfg, {"MODEL.DEVICE": "cpu"} | values)


MASKED = {"MODEL.MASK_ON": True}


def test_what_is_accelerated_is_portable() -> None:
    auto = choose_acceleration("auto", torch.device("cpu"), "inference")
    assert choose_engine(config(), "auto", "auto") == ("portable", auto)
    assert choose_engine(config(), "auto", "channels_last") == ("portable", SETTING)
    assert choose_engine(config(), "portable", SETTING) == ("portable", SETTING)


def test_what_is_exact_is_the_usual_engines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert choose_engine(config(), "auto", "exact") == (USUAL, EXACT)
    assert choose_engine(config(), "auto", EXACT) == (USUAL, EXACT)
    assert choose_engine(config(**MASKED), "auto", "auto") == (USUAL, EXACT)
    assert "computed exactly, with Detectron2: MODEL.MASK_ON is True" in caplog.text


@pytest.mark.parametrize("words", ["channels_last", SETTING], ids=["words", "setting"])
def test_what_detectron2_alone_knows_is_not_accelerated(words: Any) -> None:
    with pytest.raises(UserError, match="'float32 channels_last' is of the portable engine.*MASK"):
        choose_engine(config(**MASKED), "auto", words)
    with pytest.raises(UserError, match=r"not asked for.*\(--engine d2\): give exact"):
        choose_engine(config(), "d2", words)


@pytest.mark.d2
def test_detectron2_is_exact_where_it_is_asked_for() -> None:
    assert choose_engine(config(), "d2", "auto") == ("d2", EXACT)


def test_the_usual_setting_stays_near(portable: Trained) -> None:
    exact, usual, single = (
        Detector.from_checkpoint(portable.checkpoint, device="cpu", acceleration=words)
        for words in ("exact", "auto", "channels_last fold_norms fast_pooling")
    )
    assert exact.acceleration == EXACT
    assert usual.acceleration == choose_acceleration("auto", torch.device("cpu"), "inference")
    for path in portable.images[:3]:
        expected, near, nearer = (detector(path) for detector in (exact, usual, single))
        assert torch.allclose(near.scores, expected.scores, atol=0.02)
        assert torch.allclose(nearer.scores, expected.scores, atol=1e-4)
