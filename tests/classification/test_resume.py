"""A cut run with everything on at once goes on to the bit, however it was cut. Engine-neutral."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from resnext_det.classification import train_classifier
from resnext_det.errors import UserError
from tests.classification.conftest import BASE, CLASSES, write_folder
from tests.training.runs import assert_equal

ROOT = Path(__file__).parents[2]
EVERYTHING = {
    "DATALOADER.NUM_WORKERS": 2, "INPUT.CLASSIFICATION.AUTO_AUGMENT": "trivial_augment_wide",
    "INPUT.CLASSIFICATION.COLOR_JITTER": [0.4, 0.4, 0.4], "INPUT.CLASSIFICATION.LIGHTING": 0.1,
    "MODEL.CLASSIFIER.INIT": "torch7", "SOLVER.MIXUP_ALPHA": 0.2, "SOLVER.CUTMIX_ALPHA": 1.0,
    "SOLVER.LABEL_SMOOTHING": 0.1, "SOLVER.CHANNELS_LAST": True, "SOLVER.NESTEROV": True,
    "SOLVER.GRADIENT_ACCUMULATION": 2, "SOLVER.AMP.ENABLED": True, "SOLVER.AMP.DTYPE": "bfloat16",
    "SOLVER.EMA.ENABLED": True, "SOLVER.EMA.DECAY": 0.9, "SOLVER.KEEP_CHECKPOINTS": 2,
    "TEST.BEST_METRIC": "val/loss_cls", "TEST.VALIDATION_LOSS": True, "TEST.EVAL_PERIOD": 2,
    "TEST.TEN_CROP": True,
}  # fmt: skip
TIMES = ("time", "data_time", "eta_seconds")


def pairs(keys):
    return [word for pair in keys.items() for word in pair]


def assert_same_run(whole, cut):
    files = {path.name for path in whole.glob("*.pth")}
    assert files == {path.name for path in cut.glob("*.pth")}
    assert {"model_final.pth", "model_best.pth"} < files
    for name in files:
        contents = [torch.load(run / name, weights_only=True) for run in (whole, cut)]
        assert_equal(*contents, but=["/config", "/digest"])  # which know the folder
    told = []
    for run in (whole, cut):
        lines = [json.loads(line) for line in (run / "metrics.json").read_text().splitlines()]
        # Training lines hold medians over the iterations since the run's start.
        told.append([line for line in lines if not set(TIMES) & line.keys()])
    assert told[0] == told[1]
    results = [json.loads((run / "result.json").read_text()) for run in (whole, cut)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["best"] == results[1]["best"]


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_everything_at_once_after_an_interrupt(
    load, datasets, tmp_path, train_and_interrupt, compiled
):
    wishes = pairs({**EVERYTHING, "SOLVER.COMPILE": compiled})
    train_classifier(load(*wishes, output="whole"), datasets)

    train_and_interrupt(load(*wishes), datasets, after=4)
    torch.rand(7)
    train_classifier(load(*wishes), datasets, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def start(folder, output, processes, *words):
    """Starts the real command on the toy sets."""
    keys = {
        "MODEL.RESNETS.DEPTH": 18, "MODEL.RESNETS.RES2_OUT_CHANNELS": 64, "SEED": 1,
        "MODEL.DEVICE": "cpu", "SOLVER.IMS_PER_BATCH": 8, "SOLVER.MAX_ITER": 8,
        "SOLVER.STEPS": [7], "SOLVER.BASE_LR": 0.01, "SOLVER.CHECKPOINT_PERIOD": 2,
        "INPUT.CLASSIFICATION.TRAIN_CROP": 32, "INPUT.CLASSIFICATION.RESIZE_TEST": 32,
        "INPUT.CLASSIFICATION.TEST_CROP": 32, **EVERYTHING, "OUTPUT_DIR": folder / output,
    }  # fmt: skip
    if processes > 1:  # each worker of these is a Python of its own, which takes a while
        keys |= {
            "DATALOADER.NUM_WORKERS": 1, "TEST.EVAL_PERIOD": 4, "TEST.TEN_CROP": False,
            "TEST.VALIDATION_LOSS": False, "TEST.BEST_METRIC": "top1",
        }  # fmt: skip
    sets = [f"toy_{split}={folder / f'toy_{split}'}/" for split in ("train", "val")]
    command = [
        *(sys.executable, "train_net.py", "--config-file", BASE, "--num-gpus", str(processes)),
        *("--train-data", sets[0], "--test-data", sets[1], *words),
        *(str(word) for word in pairs(keys)),
    ]
    own = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with (folder / f"{output}.txt").open("ab") as said:
        return subprocess.Popen(
            command, cwd=ROOT, env=own, stdout=said, stderr=said, start_new_session=True
        )


def kill_after(process, file):
    """Kills the whole family once a file is there."""
    end = time.monotonic() + 300
    while not file.is_file():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_everything_at_once_after_a_kill(tmp_path, processes):
    for split in ("toy_train", "toy_val"):
        write_folder(tmp_path / split, CLASSES)
    whole = start(tmp_path, "whole", processes)
    assert whole.wait(600) == 0, (tmp_path / "whole.txt").read_text()
    cut = start(tmp_path, "cut", processes)
    kill_after(cut, tmp_path / "cut/model_0000003.pth")
    again = start(tmp_path, "cut", processes, "--resume")
    assert again.wait(600) == 0, (tmp_path / "cut.txt").read_text()
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.gpu
def test_everything_at_once_on_a_gpu(load, datasets, tmp_path):
    half = {"MODEL.DEVICE": "cuda", "SOLVER.AMP.DTYPE": "float16", "CUDNN_BENCHMARK": True}
    result = train_classifier(load(*pairs(EVERYTHING | half)), datasets)
    assert result["iteration"] == 5
    content = torch.load(tmp_path / "run/model_final.pth", weights_only=True)
    assert content["grad_scaler"]["scale"] > 0
    assert not any(key.startswith("_orig_mod") for key in content["model"])


def test_a_run_is_not_continued_on_other_classes(load, datasets, tmp_path):
    train_classifier(load("SOLVER.MAX_ITER", 1), datasets)
    for split in ("toy_train", "toy_val"):  # as many classes, of which one has another name
        (tmp_path / split / "green").rename(tmp_path / split / "azure")
    with pytest.raises(UserError) as error:
        train_classifier(load("SOLVER.MAX_ITER", 2), datasets, resume=True)
    assert "model_final.pth was trained on the classes blue, green, red (3), but" in str(
        error.value
    )
    assert str(error.value).endswith("; class 0 is 'blue' there and 'azure' here")
