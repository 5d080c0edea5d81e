"""Values of a classification config with which a run would fail later. Engine-neutral."""

from collections.abc import Iterator, Sequence
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config.quantities import single_value_problem

_KEY = "INPUT.CLASSIFICATION"


def classification_problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each value that cannot work."""
    image = cfg.INPUT.CLASSIFICATION
    if image.TEST_CROP > image.RESIZE_TEST:
        yield (
            f"{_KEY}.TEST_CROP {image.TEST_CROP} does not fit into RESIZE_TEST {image.RESIZE_TEST}"
        )
    for name in ("TRAIN_SCALE", "TRAIN_RATIO"):
        value = list(image[name])
        if len(value) != 2 or not 0 < value[0] <= value[1]:
            yield f"{_KEY}.{name} is {value}; it has to be [low, high] above 0"
    jitter = list(image.COLOR_JITTER)
    if len(jitter) != 3 or not all(_is_number(value) and 0 <= value <= 1 for value in jitter):
        yield (
            f"{_KEY}.COLOR_JITTER is {jitter}; it has three numbers between 0 and 1, for "
            "brightness, contrast and saturation"
        )
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
        if pair[1] > pair[0]:
            yield f"TEST.MORE_CROPS has {pair}, whose crop does not fit into its short side"
    if len({tuple(pair) for pair in pairs}) < len(pairs):
        yield f"TEST.MORE_CROPS is {pairs}; name each once"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
