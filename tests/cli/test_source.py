"""Config files by their ending, and what is refused before one is read."""

import pytest

from resnext_det.cli.source import ConfigSource
from resnext_det.engines import base
from resnext_det.errors import UserError


def test_python_configs_need_detectron2(monkeypatch):
    monkeypatch.setattr(base, "detectron2_is_installed", lambda: False)
    with pytest.raises(UserError, match=r"^a\.py: a \.py config needs Detectron2, and it is not"):
        ConfigSource("a.py").load("auto")


def test_python_configs_are_not_for_the_portable_engine():
    with pytest.raises(UserError, match=r"--engine portable reads none: take a \.yaml config"):
        ConfigSource("a.py").load("portable")


@pytest.mark.parametrize(
    ("file", "words"),
    [("a.yaml", ("MODEL.WEIGHTS", "w.pth")), ("a.py", ("train.init_checkpoint=w.pth",))],
)
def test_resume_and_weights_contradict_each_other(file, words):
    source = ConfigSource(file, words)
    source.check_words(resume=False)
    with pytest.raises(UserError, match=r"--resume and \S+ 'w\.pth' contradict each other"):
        source.check_words(resume=True)


@pytest.mark.parametrize("file", ["a.yaml", "a.py"])
def test_an_option_among_the_keys_is_named(file):
    with pytest.raises(UserError, match="--resume: no such option, or it stands after KEY VALUE"):
        ConfigSource(file, ("--resume", "x")).check_words(resume=False)


def test_named_data_replace_the_files_own(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("DATASETS: {TRAIN: [other], TEST: [kept]}\n")
    cfg = ConfigSource(str(path), (), {"DATASETS.TRAIN": ["it's mine"]}).load("auto").cfg
    assert (cfg.DATASETS.TRAIN, cfg.DATASETS.TEST) == (["it's mine"], ["kept"])


@pytest.mark.parametrize(
    ("file", "words", "key"),
    [
        ("a.yaml", ("DATASETS.TEST", "['b']"), "DATASETS.TEST"),
        ("a.yaml", ("DATASETS.TEST", "[]"), "DATASETS.TEST"),
        ("a.py", ("dataloader.test.dataset.names=[b]",), "dataloader.test.dataset.names"),
        ("a.py", ("dataloader.test.dataset.names=b",), "dataloader.test.dataset.names"),
    ],
)
def test_other_data_than_the_options_name_contradict_them(file, words, key):
    source = ConfigSource(file, words, {"DATASETS.TEST": ["mine", "too"]})
    with pytest.raises(UserError) as error:
        source.check_words(resume=False)
    assert str(error.value).startswith(f"--test-data mine, too and {key} ")
    assert "contradict each other: the data sets of the options are the run's" in str(error.value)
    ConfigSource(file, words, {"DATASETS.TRAIN": ["mine"]}).check_words(resume=False)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("a.yaml", ("DATASETS.TRAIN", "('mine',)")),
        ("a.yaml", ("DATASETS.TRAIN", "[mine]")),
        ("a.py", ("dataloader.train.dataset.names=mine",)),
        ("a.py", ("dataloader.train.dataset.names=[mine]",)),
    ],
)
def test_the_same_data_in_words_and_options_are_no_contradiction(file, words):
    ConfigSource(file, words, {"DATASETS.TRAIN": ["mine"]}).check_words(resume=False)
