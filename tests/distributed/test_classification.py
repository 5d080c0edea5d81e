"""A classifier trains alike however its images are shared, started by torchrun. Engine-neutral."""

import json
import sys

import pytest
import torch

from tests.classification.conftest import BASE, CLASSES, write_folder
from tests.distributed.commands import ROOT, free_port, start_process

# GroupNorm: batch statistics would be of each process's and pass's own images. One update from
# the same weights, with all its augmentation: what is drawn is drawn for a place in the batch.
KEYS = {
    "MODEL.RESNETS.DEPTH": 18, "MODEL.RESNETS.RES2_OUT_CHANNELS": 64, "MODEL.RESNETS.NORM": "GN",
    "MODEL.DEVICE": "cpu", "SEED": 1, "DATALOADER.NUM_WORKERS": 0, "SOLVER.IMS_PER_BATCH": 8,
    "SOLVER.MAX_ITER": 1, "SOLVER.STEPS": [], "SOLVER.BASE_LR": 0.01, "TEST.EVAL_PERIOD": 0,
    "SOLVER.LABEL_SMOOTHING": 0.1, "INPUT.CLASSIFICATION.TRAIN_CROP": 32,
    "INPUT.CLASSIFICATION.RESIZE_TEST": 32, "INPUT.CLASSIFICATION.TEST_CROP": 32,
    "INPUT.CLASSIFICATION.AUTO_AUGMENT": "trivial_augment_wide",
    "INPUT.CLASSIFICATION.COLOR_JITTER": [0.4, 0.4, 0.4], "INPUT.CLASSIFICATION.LIGHTING": 0.1,
}  # fmt: skip
LOSS, UPDATE = 1e-5, 2e-3  # relative; of an update, as a share of its tensor's largest


class Folder:
    """What `start_process` needs of a bench."""

    def __init__(self, folder):
        self.folder = folder


def run(folder, name, processes, passes, **more):
    keys = {
        **KEYS, "SOLVER.GRADIENT_ACCUMULATION": passes, "OUTPUT_DIR": folder / name, **more,
    }  # fmt: skip
    sets = [f"toy_{split}={folder / f'toy_{split}'}/" for split in ("train", "val")]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    torchrun += ["--master-port", str(free_port())]
    command = [
        *(sys.executable, *(torchrun if processes > 1 else []), str(ROOT / "train_net.py")),
        *("--config-file", BASE, "--train-data", sets[0], "--test-data", sets[1]),
        *(str(word) for pair in keys.items() for word in pair),
    ]
    process, said = start_process(command, Folder(folder), {})
    assert process.wait(600) == 0, said.read_text()
    first = json.loads((folder / name / "metrics.json").read_text().splitlines()[0])
    result = json.loads((folder / name / "result.json").read_text())
    weights = torch.load(folder / name / "model_final.pth", weights_only=True)["model"]
    return first["loss_cls"], weights, result["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "passes"),
    [(2, 1), (1, 2), (2, 2)],
    ids=["2 processes", "2 passes", "2 processes of 2 passes"],
)
def test_eight_images_are_trained_on_alike(processes, passes, tmp_path):
    for split in ("toy_train", "toy_val"):
        write_folder(tmp_path / split, CLASSES)
    _, begun, _ = run(tmp_path, "begun", 1, 1, **{"SOLVER.BASE_LR": 0.0})
    loss, whole, metrics = run(tmp_path, "whole", 1, 1)
    shared_loss, shared, shared_metrics = run(tmp_path, "shared", processes, passes)
    assert shared_loss == pytest.approx(loss, rel=LOSS)
    for name, value in whole.items():
        update = (value - begun[name]).abs().max()
        assert update > 0, name
        assert (shared[name] - value).abs().max() <= UPDATE * update, name
    assert shared_metrics == metrics
