"""Two processes, of which one has NaN: neither hangs, both decide alike. Engine-neutral."""

import json
import math
from pathlib import Path

import pytest
import torch

from resnext_det.config import get_cfg
from resnext_det.training.distributed import rank
from resnext_det.training.launch import launch
from resnext_det.training.non_finite.reading import read_bundle
from resnext_det.training.non_finite.reproduction import Task, reproduce
from resnext_det.training.place import Request
from tests.training.conftest import NormNet
from tests.training.non_finite.conftest import FORM, Spoiled, run

SKIPPED = {"loss": (1,), "forward": (3,), "pixel": (6,)}


def configured(folder: str):
    cfg = get_cfg()
    cfg.SEED, cfg.OUTPUT_DIR = 3, str(Path(folder, "run"))
    cfg.SOLVER.update({"MAX_ITER": 10, "STEPS": [6, 8], "WARMUP_ITERS": 3, "BASE_LR": 0.1})
    cfg.SOLVER.update({"NON_FINITE": "skip", "GRADIENT_ACCUMULATION": 2})
    return cfg


def train_both(folder: str) -> None:
    """Runs in each process: the second alone meets what is not finite, the first then too."""
    torch.set_num_threads(1)
    cfg, mine = configured(folder), rank()
    net = NormNet()
    torch.manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    loop, _ = run(cfg, Spoiled(**(SKIPPED if mine == 1 else {})), net=net)
    weights = [p.flatten().tolist() for p in net.parameters()]
    cfg.SOLVER.NON_FINITE, cfg.OUTPUT_DIR = "stop", str(Path(folder, "stopped"))
    said = ""
    try:
        run(cfg, Spoiled(gradient=(2,) if mine == 0 else ()), net=NormNet())
    except FloatingPointError as error:
        said = str(error)
    content = [loop.guard.state_dict(), weights, said]
    Path(folder, f"{mine}.json").write_text(json.dumps(content))


def test_one_process_with_nan_neither_hangs_nor_diverges_the_other(tmp_path):
    launch(train_both, Request(num_gpus=2), (str(tmp_path),))
    one, other = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (0, 1))
    assert one == other
    state, weights, said = one
    assert state["iterations"] == [1, 3, 6]
    assert all(math.isfinite(number) for values in weights for number in values)
    assert said.startswith("iteration 2: gradient norm (nan) not finite, learning rate")

    cfg = configured(str(tmp_path))
    first = read_bundle(tmp_path / "run/non_finite/iter_0000001")
    assert (first.processes, first.not_finite) == (2, ("loss_b", "gradient norm"))
    # It is the second process's loss that is NaN, which the bundle tells.
    facts = json.loads((first.folder / "bundle.json").read_text())
    own = [share["terms"]["loss_b"] for share in facts["shares"]]
    assert (math.isfinite(own[0]), own[1]) == (True, "nan")

    class InTurn(Spoiled):
        def __call__(self, model, batch):
            self.loss = (0,) if self.calls >= 2 else ()  # two passes of the first process
            self.at = -(self.calls // self.passes)
            return super().__call__(model, batch)

    found = reproduce(first, Task(cfg, NormNet(), InTurn(passes=2), FORM))
    assert found.agrees_with(first)
    assert found.terms["loss_a"] == pytest.approx(first.terms["loss_a"], rel=1e-6)
