"""Words choose a setting; "auto" what was saved for the machine, or a usual choice."""

import re
from pathlib import Path

import pytest
import torch

from resnext_det.acceleration import choice
from resnext_det.acceleration.choice import choose_acceleration, default_acceleration
from resnext_det.acceleration.machine import save_acceleration
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.acceleration.training_keys import check_words
from resnext_det.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path))


def test_words_are_taken_as_they_are() -> None:
    assert choose_acceleration("exact", CPU, "inference") == EXACT
    assert choose_acceleration("bfloat16", CPU, "training") == Acceleration("bfloat16")


@pytest.mark.parametrize(
    ("eval_only", "named", "not_named"),
    [(True, "winograd", "sampled_anchors"), (False, "sampled_anchors", "winograd")],
    ids=["inference", "training"],
)
def test_only_words_that_can_be_given_are_named(
    eval_only: bool, named: str, not_named: str
) -> None:
    with pytest.raises(UserError, match="^--acceleration 'turbo': not known: there are") as caught:
        check_words("turbo", eval_only=eval_only)
    assert named in str(caught.value)
    assert not_named not in str(caught.value)
    if eval_only:
        with pytest.raises(UserError, match=re.escape(str(caught.value))):
            choose_acceleration("turbo", CPU, "inference")


@pytest.mark.parametrize("word", ["fast_suppression", "sampled_anchors"])
def test_words_of_training_are_none_of_inference(word: str) -> None:
    assert getattr(choose_acceleration(word, CPU, "training"), word)
    message = f"^acceleration 'float32 {word}': {word} is of training alone: leave it out$"
    with pytest.raises(UserError, match=message):
        choose_acceleration(word, CPU, "inference")
    with pytest.raises(UserError, match=message):
        check_words(word, eval_only=True)


def test_what_was_saved_is_used_for_its_mode_alone() -> None:
    setting = Acceleration(channels_last=True)
    save_acceleration(setting, CPU, "inference")
    assert choose_acceleration("auto", CPU, "inference") == setting
    assert choose_acceleration("auto", CPU, "training") == EXACT
    assert choose_acceleration("exact", CPU, "inference") == EXACT


def test_what_was_saved_and_is_not_possible_any_more_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save_acceleration(Acceleration(compile=True), CPU, "inference")
    monkeypatch.setenv("PATH", "")
    chosen = choose_acceleration("auto", CPU, "inference")
    assert chosen == default_acceleration(CPU, "inference")
    assert "saved setting is not used: acceleration 'float32 compile' on cpu" in caplog.text


@pytest.mark.parametrize("native", [True, False])
def test_the_usual_choice(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "computes_bfloat16", lambda device: native)
    monkeypatch.setattr(choice, "can_keep_memory", lambda: native)
    assert choose_acceleration("auto", CPU, "inference") == Acceleration(
        "bfloat16" if native else "float32",
        channels_last=True,
        fold_norms=True,
        fast_pooling=True,
        winograd=not native,
        keep_memory=native,
    )
    monkeypatch.setattr(choice, "can_pool_fast", lambda device: native)
    on_gpu = default_acceleration(torch.device("cuda"), "inference")
    assert (on_gpu.cuda_graphs, on_gpu.fast_pooling) == (True, native)
    assert default_acceleration(CPU, "training") == EXACT
    assert default_acceleration(torch.device("mps"), "inference") == EXACT
