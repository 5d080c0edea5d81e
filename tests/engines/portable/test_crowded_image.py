"""An image with a hundred thousand boxes, trained on and evaluated. Portable."""

import json
import math

import numpy as np
import pytest

from resnext_det.engines.base import resolve_engine
from resnext_det.engines.detection import train_detector
from resnext_det.engines.portable import crowds
from tests.engines.conftest import HEIGHT, WIDTH, Bench

pytestmark = pytest.mark.slow
NUM_BOXES = 100_000


def crowd(bench: Bench) -> None:
    """Makes the first image of the bench the only one, and crowded."""
    assert bench.entry.json_file is not None
    content = json.loads(bench.entry.json_file.read_text())
    random = np.random.RandomState(0)
    sizes = random.randint(1, 9, (NUM_BOXES, 2))
    corners = random.randint(0, (WIDTH - 9, HEIGHT - 9), (NUM_BOXES, 2))
    content["images"] = content["images"][:1]
    content["annotations"] = [
        {"id": place, "image_id": 0, "category_id": 3, "bbox": [x, y, w, h], "area": w * h}
        for place, (x, y, w, h) in enumerate(np.hstack([corners, sizes]).tolist(), 1)
    ]
    bench.entry.json_file.write_text(json.dumps(content, separators=(",", ":")))


def test_it_is_trained_on_and_evaluated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    overlaps, pairs = crowds.overlaps, []

    def counting(boxes, others):
        pairs.append(len(boxes) * others.shape[1])
        return overlaps(boxes, others)

    monkeypatch.setattr(crowds, "overlaps", counting)
    crowd(bench)
    words = ("SOLVER.MAX_ITER", 1, "SOLVER.STEPS", "[]", "SOLVER.IMS_PER_BATCH", 1)
    train_detector(resolve_engine("portable"), bench.job("run", *words))
    assert max(pairs) <= 1 << 20
    assert sum(pairs) < NUM_BOXES**2 / 4
    first = json.loads((bench.folder / "run/metrics.json").read_text().splitlines()[0])
    assert math.isfinite(first["total_loss"])
    result = json.loads((bench.folder / "run/result.json").read_text())
    assert 0 <= result["metrics"]["AP"] <= 100
