"""Numbers that an annotation file writes as text. Engine-neutral."""

import math
from typing import Any

from resnext_det.data.coco_mending import number_of_text

_HUGE = 1e30


def as_number(value: Any) -> float | int | None:
    """Returns a finite number, also of a text that is one; None of anything else."""
    if isinstance(value, bool):
        return None
    value = number_of_text(value)
    # Infinity and nan fail both comparisons; so does a whole number beyond any float.
    return value if isinstance(value, int | float) and -_HUGE < value < _HUGE else None


def without_nan(value: Any) -> Any:
    """Returns a JSON value with null in place of every number that JSON cannot write."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return value
