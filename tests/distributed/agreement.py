"""One detector, the same images, differently shared among processes and passes: how far apart."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnext_det.config import with_values
from resnext_det.engines.base import EngineName, resolve_engine
from resnext_det.engines.detection import train_detector
from resnext_det.training.launch import launch
from resnext_det.training.place import Request
from tests.engines.conftest import Bench
from tests.golden.formula import weights
from tests.golden.tolerances import LOSSES

UPDATES = 20
# Frozen norms, and images of one size: another's padding moves what the net sees at its border.
OPTIONS = (
    *("MODEL.RESNETS.NORM", "FrozenBN", "INPUT.MIN_SIZE_TRAIN", "[64]", "DATASETS.TEST", "[]"),
    *("SOLVER.IMS_PER_BATCH", 8, "SOLVER.STEPS", "[]", "SOLVER.CHECKPOINT_PERIOD", 100),
)
# One update: 256 anchors, and 16 regions drawn from about a thousand.
ONE = ("SOLVER.MAX_ITER", 1, "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16)
# Many: rounding must not decide. A draw by place in the order of the scores changes wholly when
# two of a thousand scores that differ in the last bit change places: here the 14 best proposals
# and the 2 objects fill the sample. And L1's gradient jumps at 0, as smooth L1's does not.
MANY = (
    *("SOLVER.MAX_ITER", UPDATES, "SOLVER.BASE_LR", 3e-4),
    *("MODEL.RPN.IN_FEATURES", "['p3', 'p4', 'p5', 'p6']", "MODEL.RPN.POST_NMS_TOPK_TRAIN", 14),
    *("MODEL.ANCHOR_GENERATOR.SIZES", "[[16], [32], [64], [128]]"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 16, "MODEL.ROI_HEADS.POSITIVE_FRACTION", 1.0),
    *("MODEL.RPN.SMOOTH_L1_BETA", 0.5, "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA", 0.5),
)
NONE = (*MANY, "SOLVER.MAX_ITER", 1, "SOLVER.BASE_LR", 0.0)


def train(bench: Bench, engine: EngineName, name: str, words: tuple[Any, ...]) -> None:
    """Runs in each process: one run of a single update, one of many."""
    for suffix, options in (("one", ONE), ("many", MANY)):
        job = bench.job(f"{name}_{suffix}", *OPTIONS, *options, *words)
        train_detector(resolve_engine(engine), job)


def gaps(bench: Bench, engine: EngineName, processes: int, *words: Any) -> dict[str, float]:
    """Trains in one process and pass, then shared, and compares.

    Args:
        bench: data, config, folder.
        engine: which one trains.
        processes: of the shared run.
        words: further config keys of the shared run.

    Returns:
        Largest relative difference of the first losses; largest difference of a parameter
        after 20 updates, as a share of its tensor's largest; the norm of the difference of
        the updates, as a share of theirs; and how far, as a share of its largest, the tensor
        in the middle has moved.
    """
    given = ("MODEL.WEIGHTS", write_weights(bench, engine))
    train(bench, engine, "whole", given)
    train_detector(resolve_engine(engine), bench.job("begun", *OPTIONS, *NONE, *given))
    launch(train, Request(num_gpus=processes), (bench, engine, "shared", (*given, *words)))
    ours, theirs = (first_losses(bench.folder / f"{name}_one") for name in ("whole", "shared"))
    begun, whole, shared = (
        final_weights(bench.folder / name) for name in ("begun", "whole_many", "shared_many")
    )
    moved = {name for name in whole if not torch.equal(whole[name], begun[name])}
    shifts = sorted(_share(begun[name], whole[name], whole[name]) for name in moved)
    return {
        "first losses": max(abs(theirs[name] / ours[name] - 1) for name in LOSSES),
        "parameters": max(_share(whole[n], shared[n], whole[n]) for n in moved),
        "updates": max(
            float((whole[n] - shared[n]).norm() / (whole[n] - begun[n]).norm()) for n in moved
        ),
        "moved": shifts[len(shifts) // 2],
    }


def write_weights(bench: Bench, engine: EngineName) -> Path:
    """Writes a backbone by the formula, under whose frozen norms activations stay near 1."""
    cfg = with_values(bench.job("x", *OPTIONS).loaded.cfg, {"MODEL.ROI_HEADS.NUM_CLASSES": 2})
    model = resolve_engine(engine).build_model(cfg)
    shapes = {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if name.startswith("backbone.")
    }
    state = {name: torch.from_numpy(value) for name, value in weights(shapes).items()}
    path = bench.folder / "start.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save({"model": state}, path)
    return path


def first_losses(folder: Path) -> dict[str, float]:
    """The losses of a run of one update."""
    [line] = (folder / "metrics.json").read_text().splitlines()
    return json.loads(line)


def final_weights(folder: Path) -> dict[str, Tensor]:
    """The weights that a run ended with."""
    return torch.load(folder / "model_final.pth", weights_only=True)["model"]


def _share(ours: Tensor, theirs: Tensor, of: Tensor) -> float:
    return float((ours - theirs).abs().max() / of.abs().max())
