"""Values of a classification config with which a run would fail later. Engine-neutral."""

from collections.abc import Iterator, Sequence
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config.limits import LONGEST_SIDE
from resnext_det.config.quantities import single_value_problem

_KEY = "INPUT.CLASSIFICATION"
# Shares of the image's area, and width / height: beyond these no crop of any image is drawn.
_RANGES = {"TRAIN_SCALE": (1e-6, 1.0), "TRAIN_RATIO": (1e-3, 1e3)}
_LEAST_ALPHA = 1e-6  # torch draws from Beta(alpha, alpha) in float32


def classification_problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each value that cannot work."""
    image = cfg.INPUT.CLASSIFICATION
    if image.TEST_CROP > image.RESIZE_TEST:
        yield (
            f"{_KEY}.TEST_CROP {image.TEST_CROP} does not fit into RESIZE_TEST {image.RESIZE_TEST}"
        )
    for name, (lowest, highest) in _RANGES.items():
        value = list(image[name])
        if len(value) != 2 or not 0 < value[0] <= value[1]:
            yield f"{_KEY}.{name} is {value}; it has to be [low, high] above 0"
        elif not lowest <= value[0] <= value[1] <= highest:
            yield f"{_KEY}.{name} is {value}; both have to be between {lowest} and {highest}"
    jitter = list(image.COLOR_JITTER)
    if len(jitter) != 3 or not all(_is_number(value) and 0 <= value <= 1 for value in jitter):
        yield (
            f"{_KEY}.COLOR_JITTER is {jitter}; it has three numbers between 0 and 1, for "
            "brightness, contrast and saturation"
        )
    for name in ("MIXUP_ALPHA", "CUTMIX_ALPHA"):
        if 0 < cfg.SOLVER[name] < _LEAST_ALPHA:
            yield f"SOLVER.{name} is {cfg.SOLVER[name]}; it has to be 0, or at least {_LEAST_ALPHA}"
    yield from _more_crops_problems(cfg.TEST.MORE_CROPS)
    if problem := single_value_problem(cfg):
        yield problem


def _more_crops_problems(given: Sequence[Any]) -> Iterator[str]:
    pairs = [list(pair) if isinstance(pair, list | tuple) else pair for pair in given]
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_size, pair)):
            yield (
                f"TEST.MORE_CROPS is {pairs}; each entry is [short side, crop] in pixels, such "
                "as [320, 320]"
            )
            return
        if pair[0] > LONGEST_SIDE:
            yield f"TEST.MORE_CROPS has {pair}; a short side has at most {LONGEST_SIDE} pixels"
        if pair[1] > pair[0]:
            yield f"TEST.MORE_CROPS has {pair}, whose crop does not fit into its short side"
    if len({tuple(pair) for pair in pairs}) < len(pairs):
        yield f"TEST.MORE_CROPS is {pairs}; name each once"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
