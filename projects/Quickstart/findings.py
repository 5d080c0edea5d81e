"""What the numbers say, and what they cannot: checks and sentences. Engine-neutral."""

from collections.abc import Mapping, Sequence
from typing import Any

from resnext_det.evaluation.compare import Difference
from resnext_det.reports.study import Row

Finding = dict[str, Any]
"""{"text": a sentence, "passed": True, False, or None where there is nothing to meet}."""

MAX_FLOPS_DIFFERENCE = 2.0  # percent
MIN_AP50 = 30.0


def complexity_finding(first: Row, second: Row, image_size: int) -> Finding:
    """Compares the backbones' multiply-adds, in percent of the first's."""
    assert first.flops
    assert second.flops
    difference = 100 * abs(second.flops - first.flops) / first.flops
    text = (
        f"The backbones' multiply-adds differ by {difference:.1f} % ({first.model} "
        f"{first.flops / 1e9:.3f} G, {second.model} {second.flops / 1e9:.3f} G on "
        f"{image_size}x{image_size} pixels); at most {MAX_FLOPS_DIFFERENCE:.0f} % are allowed."
    )
    return {"text": text, "passed": difference <= MAX_FLOPS_DIFFERENCE}


def settings_finding(
    configs: Sequence[Mapping[str, Any]], allowed: Sequence[str], named: Sequence[str]
) -> Finding:
    """Checks that runs differ in nothing but what is compared.

    Args:
        configs: each run's config with dotted keys.
        allowed: keys that may differ.
        named: keys whose common values the sentence names.
    """
    keys = sorted(set().union(*configs))
    missing = object()
    differing = [
        key
        for key in keys
        if key not in allowed and any(c.get(key, missing) != configs[0].get(key) for c in configs)
    ]
    if differing:
        return {"text": f"The rows differ in {', '.join(differing)}.", "passed": False}
    values = ", ".join(f"{key.rsplit('.', 1)[-1]} {configs[0][key]}" for key in named)
    text = (
        f"All {len(configs)} rows share every setting ({values}) and the data order; they "
        "differ in the backbone and the starting weights alone."
    )
    return {"text": text, "passed": True}


def level_finding(row: Row) -> Finding:
    """Checks a fine-tuned detector's AP50."""
    ap50 = row.metrics.get("AP50")
    found = "undefined" if ap50 is None else f"{ap50:.1f}"
    text = f"{row.label}: AP50 {found}; at least {MIN_AP50:.0f} is expected."
    return {"text": text, "passed": ap50 is not None and ap50 >= MIN_AP50}


def gain_finding(scratch: Row, pretrained: Row, difference: Difference | None) -> Finding:
    """Says what pretraining gave one model, in AP50."""
    if difference is None:
        return {"text": f"{pretrained.model}: the gain is undefined.", "passed": False}
    before, after = scratch.metrics["AP50"], pretrained.metrics["AP50"]
    text = (
        f"Pretraining takes {pretrained.model} from AP50 {before:.1f} to {after:.1f} in the same "
        f"number of iterations: {_interval(difference)}."
    )
    return {"text": text, "passed": difference.value > 0}


def comparison_finding(first: Row, second: Row, difference: Difference | None) -> Finding:
    """Says what one seed can and cannot say about two pretrained models."""
    if difference is None:
        return {"text": "The difference of the models is undefined.", "passed": None}
    start = f"{second.model} minus {first.model}, both pretrained: AP {_interval(difference)}. "
    if difference.excludes_zero:
        better = second.model if difference.value > 0 else first.model
        limits = (
            f"On these scenes this {better} is the better of these two trained networks, beyond "
            "the choice of held-out scenes. Whether it would be with another seed, one seed "
            "cannot say: it gives no measure of how much a row moves from seed to seed."
        )
    else:
        limits = (
            "The interval holds 0: these scenes do not tell the two trained networks apart. And "
            "one seed gives no measure of how much a row moves from seed to seed, so this is no "
            "evidence that the architectures are equal either."
        )
    return {"text": start + limits, "passed": None}


def _interval(difference: Difference) -> str:
    return (
        f"{difference.value:+.1f} ({100 * difference.confidence:.0f} % interval over the choice of "
        f"{difference.num_images} held-out scenes: {difference.low:+.1f} to {difference.high:+.1f})"
    )
