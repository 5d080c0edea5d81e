"""What the training command refuses before anything is read or written."""

import os

import pytest

from resnext_det.cli import main as resnext_det_main
from resnext_det.cli.verbs.train import main

CONFIG = "resnext_det://Base-Classification.yaml"


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["--config-file", CONFIG, *words]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message.removeprefix("error: ").rstrip()


@pytest.mark.parametrize("mode", [["--resume"], ["--resume", "--eval-only"]])
@pytest.mark.parametrize("weights", ["a.pth", ""])
def test_resume_with_weights_is_a_contradiction(capsys, mode, weights):
    assert refusal(capsys, *mode, "SEED", "1", "MODEL.WEIGHTS", weights) == (
        f"--resume and MODEL.WEIGHTS {weights!r} contradict each other: --resume takes the newest "
        "checkpoint in OUTPUT_DIR; drop one of the two"
    )


def test_auto_resume_may_name_what_the_run_starts_from(capsys):
    message = refusal(capsys, "--auto-resume", "MODEL.WEIGHTS", "a.pth", "DATASETS.TRAIN", "[]")
    assert "is empty: name a data set" in message


def test_auto_resume_is_for_training(capsys):
    assert refusal(capsys, "--auto-resume", "--eval-only", "MODEL.WEIGHTS", "a.pth") == (
        "--eval-only trains nothing: --resume evaluates the newest checkpoint"
    )
    with pytest.raises(SystemExit, match="2"):
        main(["--config-file", CONFIG, "--resume", "--auto-resume"])
    assert "not allowed with argument --resume" in capsys.readouterr().err


def test_weights_in_the_file_are_where_the_run_began(capsys, tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text(f"_BASE_: {CONFIG}\nMODEL: {{WEIGHTS: a.pth, DEVICE: cpu}}\n")
    words = ["--resume", "OUTPUT_DIR", str(tmp_path / "run"), "DATASETS.TRAIN", "[]"]
    message = refusal(capsys, "--config-file", str(config), *words, "DATASETS.TEST", "[]")
    assert "is empty: name a data set" in message


def test_a_key_without_a_value_is_named_although_data_are_named(capsys):
    message = refusal(capsys, "--train-data", "shapes=a.json:b", "SEED", "1", "OUTPUT_DIR")
    assert message == "command line: 'OUTPUT_DIR' has no value"


def test_a_device_that_is_none(capsys):
    message = refusal(capsys, "--train-data", "shapes=nowhere", "MODEL.DEVICE", "xyz")
    assert message.startswith("MODEL.DEVICE is 'xyz', on which torch cannot compute here")


def test_fewer_processes_than_none(capsys):
    assert refusal(capsys, "--num-gpus", "-2") == "--num-gpus -2: it must be 0 or more"


def test_folder_without_a_name(capsys):
    message = refusal(capsys, "OUTPUT_DIR", "")
    assert message == "command line: OUTPUT_DIR is empty; name the folder of the run"


@pytest.mark.parametrize("option", ["--train-data", "--test-data"])
def test_a_name_of_two_sets(capsys, option):
    message = refusal(capsys, "--train-data", "mine=/a", option, "mine=/b")
    assert message == (
        "data set 'mine' is named twice with different files: /a and /b: give one another name"
    )


def test_offline_is_noted_before_anything_is_read(capsys, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_OFFLINE", "0")  # restored, whatever the verb sets
    refusal(capsys, "--offline", "OUTPUT_DIR", "")
    assert os.environ["RESNEXT_DET_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("command", "verb"), [(main, []), (resnext_det_main, ["train"])], ids=["train_net", "verb"]
)
def test_a_shortened_option_is_none(capsys, command, verb):
    with pytest.raises(SystemExit) as caught:
        command([*verb, "--config-file", "absent.yaml", "--eval", "SEED", "1"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --eval" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--acceleration", "quick"], "--acceleration 'quick': not known: there are exact"),
        (["--acceleration", "cuda_graphs"], "cuda_graphs is of inference alone"),
        (
            ["--eval-only", "--acceleration", "cuda_graphs"],
            "cuda_graphs is of `resnext-det predict`, and --eval-only has none: leave it out",
        ),
        (
            ["--eval-only", "--acceleration", "channels_last", "MODEL.DEVICE", "cpu"],
            "--acceleration channels_last: --eval-only of a classifier has none: leave it out",
        ),
        (
            ["--acceleration", "float16", "MODEL.DEVICE", "cpu"],
            "acceleration 'float16' on cpu: float16 needs a GPU",
        ),
    ],
)
def test_accelerations_that_are_none(capsys, words, message):
    assert refusal(capsys, *words).startswith(message)
