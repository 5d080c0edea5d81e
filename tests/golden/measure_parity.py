"""Measures how far the portable engine is from the installed Detectron2. Detectron2.

    python -m tests.golden.measure_parity --json tests/golden/parity.json

Everything is computed now, by the functions that the tests assert on: stages fed Detectron2's own
input, whole models in this process, gradients, training in step, and checkpoints that cross over.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import torch
from torch import Tensor

from resnext_det.engines.base import EngineName
from resnext_det.training.result import versions
from tests.engines.conftest import make_bench
from tests.engines.d2.crossing import crossed_metrics, losses_in_step
from tests.engines.portable import references, stages
from tests.engines.portable.whole import gradient_gap, gradients, largest_gaps
from tests.golden.formula import NETS, TINY_NETS
from tests.golden.tolerances import BENCH, GRADIENTS, LOSSES, STAGES, TRAINING, WHOLE

Pair = tuple[Tensor, Tensor]


def stage_gaps(reference: references.Reference) -> list[float]:
    """The largest difference of each row of STAGES, in its order."""
    model = references.portable(reference.net)
    test = stages.proposals(reference, model, "test")
    train = stages.proposals(reference, model, "train")
    final = (stages.detections(reference, model), stages.rescaled(reference))
    sampled = (stages.anchor_matches, stages.sampled_anchors, stages.sampled_regions)
    losses = stages.losses(reference, model)
    return [
        absolute(stages.anchors(reference, model)),
        absolute(test["boxes"] + train["boxes"]),
        absolute(test["logits"] + train["logits"]),
        unlike(pair for stage in sampled for pair in stage(reference, model)),
        of_largest(*stages.roi_features(reference, model)),
        of_largest(*stages.predictions(reference, model)["logits"]),
        absolute(pair for found in final for pair in found["boxes"]),
        absolute(pair for found in final for pair in found["scores"]),
        unlike(pair for found in final for pair in found["classes"]),
        *(of_largest(*losses[name]) for name in LOSSES),
    ]


def absolute(pairs: Iterable[Pair]) -> float:
    """Largest difference."""
    return max(float(_difference(*pair).max()) for pair in pairs)


def unlike(pairs: Iterable[Pair]) -> int:
    """How many values differ at all."""
    return sum(int((_difference(*pair) != 0).sum()) for pair in pairs)


def of_largest(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, as a share of the largest magnitude of Detectron2's."""
    return float(_difference(ours, theirs).max()) / float(theirs.abs().max())


def _difference(ours: Tensor, theirs: Tensor) -> Tensor:
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return (ours.double() - theirs.double()).abs()


def training_gaps() -> list[float]:
    """The largest difference of each row of TRAINING, in its order."""
    gaps = []
    with tempfile.TemporaryDirectory() as folder:
        losses = losses_in_step(make_bench(Path(folder)))
    for update in (1, 4):
        ours, theirs = losses[f"portable{update}"], losses[f"d2{update}"]
        assert ours.keys() == theirs.keys()
        gaps.append(max(abs(theirs[name] / ours[name] - 1) for name in ours))
    crossings: list[tuple[EngineName, EngineName]] = [("portable", "d2"), ("d2", "portable")]
    for engines in crossings:
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = crossed_metrics(make_bench(Path(folder)), *engines)
        assert ours.keys() == theirs.keys()
        gaps.append(max(abs(theirs[name] - ours[name]) for name in ours))
    return gaps


def measure() -> list[dict[str, Any]]:
    """The table's rows: what, unit, tolerance, and the largest difference by net."""
    columns: dict[str, dict[str, float]] = {}
    for net in NETS:
        whole = largest_gaps(references.live(net))
        values = [
            *stage_gaps(references.live(net)),
            *(whole[name.split(": ")[1]] for name in WHOLE),
        ]
        columns[net] = dict(zip([*STAGES, *WHOLE], values, strict=True))
        if net in TINY_NETS:
            largest = max(gradient_gap(*pair) for pair in gradients(net).values())
            columns[net] |= dict.fromkeys(GRADIENTS, largest)
        print(f"{net}: {columns[net]}", file=sys.stderr)
    columns[BENCH] = dict(zip(TRAINING, training_gaps(), strict=True))
    return [
        {
            "what": what,
            "unit": unit,
            "tolerance": tolerance,
            "largest": {net: found[what] for net, found in columns.items() if what in found},
        }
        for what, (unit, tolerance) in (STAGES | WHOLE | GRADIENTS | TRAINING).items()
    ]


def detectron2_commit() -> str:
    """The commit that the installed Detectron2 was built from, as its installation records."""
    origin = json.loads(metadata.distribution("detectron2").read_text("direct_url.json") or "{}")
    if "vcs_info" in origin:
        return origin["vcs_info"]["commit_id"]
    checkout = url2pathname(urlparse(origin["url"]).path)
    command = ["git", "-C", checkout, "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def cpu_name() -> str:
    """The processor's name, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    path = parser.parse_args().json
    torch.set_num_threads(1)  # as the tests: sums over several threads have no fixed order
    result = {
        "command": f"python -m tests.golden.measure_parity --json {path}",
        "versions": versions() | {"detectron2_commit": detectron2_commit()},
        "hardware": {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": 1},
        "rows": measure(),
    }
    path.write_text(json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
