"""An acceleration setting of training becomes keys of the config, below the user's own."""

import pytest
import torch

from resnext_det.acceleration.machine import save_acceleration
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.acceleration.training_keys import (
    AUTO,
    check_words,
    training_keys,
    with_acceleration,
)
from resnext_det.config import flatten, load_config
from resnext_det.errors import UserError
from resnext_det.training.acceleration import ACCELERATION_KEYS

DETECTOR = "resnext_det://Base-RCNN-FPN.yaml"
CLASSIFIER = "resnext_det://Base-Classification.yaml"
ON_CPU = ("MODEL.DEVICE", "cpu")


def anything(cfg):
    """Trains whatever there is."""


@pytest.fixture(autouse=True)
def _no_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))


def load(*words, path=DETECTOR):
    return load_config(path, [*ON_CPU, *(str(word) for word in words)])


def difference(before, after):
    """Keys that differ, with their new values."""
    first, second = dict(flatten(before.cfg)), dict(flatten(after.cfg))
    return {key: value for key, value in second.items() if value != first[key]}


def test_every_key_is_one_that_a_continued_run_keeps():
    keys = training_keys(Acceleration(precision="bfloat16"))
    assert sorted(keys) == sorted(ACCELERATION_KEYS)


def test_words_set_keys_and_count_as_given():
    loaded = load()
    found = with_acceleration(loaded, "bfloat16 channels_last fold_norms", anything)
    assert difference(loaded, found) == {
        "SOLVER.AMP.ENABLED": True,
        "SOLVER.AMP.DTYPE": "bfloat16",
        "SOLVER.CHANNELS_LAST": True,
        "SOLVER.FOLD_NORMS": True,
    }
    assert found.notes[-1] == (
        "Acceleration by --acceleration bfloat16 channels_last fold_norms: SOLVER.AMP.ENABLED "
        "True, SOLVER.AMP.DTYPE bfloat16, SOLVER.CHANNELS_LAST True, SOLVER.FOLD_NORMS True"
    )
    assert set(ACCELERATION_KEYS) <= found.user_given


def test_keys_of_the_user_win_over_words():
    loaded = load("SOLVER.CHANNELS_LAST", False, "SOLVER.COMPILE", True)
    found = with_acceleration(loaded, "channels_last fold_norms", anything)
    assert difference(loaded, found) == {"SOLVER.FOLD_NORMS": True}
    assert found.notes[-1].endswith(
        "SOLVER.FOLD_NORMS True; as given stays SOLVER.CHANNELS_LAST False, SOLVER.COMPILE True"
    )


def test_exact_is_said_by_no_key_and_ends_what_a_run_began_with():
    loaded = load()
    found = with_acceleration(loaded, "exact", anything)
    assert difference(loaded, found) == {}
    assert found.notes == loaded.notes
    assert "SOLVER.CHANNELS_LAST" in found.user_given - loaded.user_given


def test_without_a_saved_setting_auto_changes_nothing():
    loaded = load()
    assert with_acceleration(loaded, AUTO, anything) is loaded


def test_auto_takes_the_machines_setting():
    loaded = load()
    setting = Acceleration(channels_last=True, sampled_anchors=True, cuda_graphs=True)
    save_acceleration(setting, torch.device("cpu"), "training")
    save_acceleration(Acceleration(fold_norms=True), torch.device("cpu"), "inference")
    found = with_acceleration(loaded, AUTO, anything)
    wanted = {"SOLVER.CHANNELS_LAST": True, "SOLVER.SAMPLED_ANCHORS": True}
    assert difference(loaded, found) == wanted
    assert "by the setting saved for this machine: SOLVER.CHANNELS_LAST True" in found.notes[-1]
    assert found.user_given == loaded.user_given  # so that a run goes on as it began


def test_a_missing_gpu_is_left_to_the_run_to_say(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loaded = load("MODEL.DEVICE", "cuda")
    for words in (AUTO, "channels_last"):
        with_acceleration(loaded, words, anything)
    assert not caplog.records


def test_auto_leaves_keys_that_the_user_gave_and_what_cannot_be_trained():
    loaded = load("SOLVER.CHANNELS_LAST", False)
    setting = Acceleration(channels_last=True, fold_norms=True, sampled_anchors=True)
    save_acceleration(setting, torch.device("cpu"), "training")

    def check(cfg):
        if cfg.SOLVER.SAMPLED_ANCHORS:
            raise UserError("no")

    found = with_acceleration(loaded, AUTO, check)
    assert difference(loaded, found) == {"SOLVER.FOLD_NORMS": True}


def test_auto_leaves_precision_that_a_base_file_gave(tmp_path):
    base, file = tmp_path / "base.yaml", tmp_path / "a.yaml"
    base.write_text(f"_BASE_: {DETECTOR}\nSOLVER: {{AMP: {{ENABLED: true}}}}\n")
    file.write_text("_BASE_: base.yaml\n")
    save_acceleration(Acceleration(channels_last=True), torch.device("cpu"), "training")
    loaded = load(path=str(file))
    found = with_acceleration(loaded, AUTO, anything)
    assert difference(loaded, found) == {"SOLVER.CHANNELS_LAST": True}


def test_auto_is_the_detectors():
    save_acceleration(Acceleration(channels_last=True), torch.device("cpu"), "training")
    loaded = load(path=CLASSIFIER)
    assert with_acceleration(loaded, AUTO, anything) is loaded
    found = with_acceleration(loaded, "channels_last", anything)
    assert difference(loaded, found) == {"SOLVER.CHANNELS_LAST": True}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("quick", "--acceleration 'quick': not known: there are exact"),
        ("", "--acceleration is empty"),
        ("cuda_graphs", "cuda_graphs is of inference alone"),
        ("winograd channels_last fold_norms", "winograd is of inference alone"),
    ],
)
def test_words_that_no_training_has(words, message):
    with pytest.raises(UserError) as caught:
        check_words(words)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("words", [AUTO, EXACT.words(), "float32 compile"])
def test_words_that_training_has(words):
    check_words(words)
