"""Small, medium and large objects by themselves. Engine-neutral."""

from typing import Any

import numpy as np

from resnext_det.analysis.analyse import Analysis
from resnext_det.evaluation.coco_ap import METRICS

SIZES = ("small", "medium", "large")
_LIMITS = ((0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, float("inf")))  # square pixels; COCO's


def size_rows(found: Analysis) -> dict[str, dict[str, Any]]:
    """Returns, for each of SIZES, its objects, AP, AR and the share found at the threshold.

    An object on a border counts for both sizes, as in COCO's AP.
    """
    boxes, rows = found.boxes, {}
    kept = boxes.found & (boxes.scores >= found.threshold)
    claimed = np.zeros(len(boxes.truth.images), bool)
    claimed[boxes.objects[kept]] = True
    for name, (low, high) in zip(SIZES, _LIMITS, strict=True):
        own = boxes.sought & (boxes.truth.areas >= low) & (boxes.truth.areas <= high)
        number = int(own.sum())
        rows[name] = {
            "objects": number,
            "AP": float(found.metrics[METRICS.index(f"AP{name[0]}")]),
            "AR": float(found.metrics[METRICS.index(f"AR{name[0]}")]),
            "found_percent": 100.0 * int((own & claimed).sum()) / number if number else None,
        }
    return rows
