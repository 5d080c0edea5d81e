"""Pipelines timed in alternation, and how far the fast decoder's pixels are off. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from projects.InputSpeed.contestants import NAMES, PIL, Work, build_pass
from resnext_det.data.decoding import build_decoder
from resnext_det.data.image_draws import ResizedCrop
from resnext_det.data.views import TestView
from resnext_det.timing.alternation import Rounds, alternate
from resnext_det.timing.intervals import median_interval, ratio

Row = dict[str, Any]


def measure_passes(work: Work, rounds: int) -> Row:
    """Times one pass of each of NAMES in every round.

    Returns:
        View and workers, the rounds (seconds), and what follows from them; see `summary`.
    """
    counts: dict[str, int] = {}
    steps = {name: build_pass(name, work) for name in NAMES}
    for name, step in steps.items():
        # The first pass reads the files from the disk and loads what is loaded late.
        counts[name] = step()
    assert len(set(counts.values())) == 1, counts
    found = alternate(steps, rounds)
    return {
        "view": work.view,
        "workers": work.workers,
        "batch": work.batch,
        "images_of_a_pass": counts[PIL],
        "clocks": summary(found, counts[PIL]),
        "rounds": found,
    }


def summary(rounds: Rounds, images: int) -> dict[str, Any]:
    """Returns clock -> name -> `images_per_second` and `speed` beside torchvision's PIL pipeline.

    Both are medians over the rounds with 95 % intervals; a speed above 1 is faster.
    """
    return {
        clock: {
            name: {
                "images_per_second": asdict(median_interval([images / r[name] for r in found])),
                "speed": asdict(ratio(found, PIL, name)),
            }
            for name in NAMES
        }
        for clock, found in rounds.items()
    }


def measure_differences(paths: Sequence[Path], interpolation: str) -> Row:
    """Compares the fast decoder's pixels with the exact one's, on a train and a test view each.

    Returns:
        For each view the largest and the mean difference in levels of 255, and the share of
        values that are the same.
    """
    exact, fast = (build_decoder(name, interpolation) for name in ("exact", "fast"))
    torch.manual_seed(0)
    draws = {"train": ResizedCrop(224, (0.08, 1.0), (3 / 4, 4 / 3)).draw}
    draws["test"] = TestView(256, 224).of
    found: Row = {"interpolation": interpolation}
    for name, draw in draws.items():
        counts = np.zeros(256, np.int64)
        for path in paths:
            data = path.read_bytes()
            opened = exact.open(data)
            view = draw(opened.height, opened.width)
            off = np.abs(fast.open(data).render(view).astype(int) - opened.render(view))
            counts += np.bincount(off.ravel(), minlength=256)
        found[name] = {
            "largest": int(counts.nonzero()[0].max()),
            "mean": float((counts * np.arange(256)).sum() / counts.sum()),
            "same": float(counts[0] / counts.sum()),
        }
    return found
