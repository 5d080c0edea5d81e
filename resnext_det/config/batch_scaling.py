"""The solver's numbers for another batch than the one they were written for. Engine-neutral.

Source: the linear scaling rule of Goyal et al., "Accurate, Large Minibatch SGD" (2017), section
2.1: k times the batch takes k times the learning rate, and a k-th of the iterations.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config.sources import config_root
from resnext_det.config.tree import get_value, with_values

REFERENCE_KEY = "SOLVER.REFERENCE_BATCH"
RATES = ("SOLVER.BASE_LR", "SOLVER.BASE_LR_END")
LENGTHS = (
    "SOLVER.MAX_ITER",
    "SOLVER.STEPS",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.CHECKPOINT_PERIOD",
    "TEST.EVAL_PERIOD",
)


def users_own_keys(
    files: Sequence[tuple[Path, Collection[str]]], command_line: Collection[str]
) -> frozenset[str]:
    """The keys whose values are meant as they stand, for whatever batch.

    All others are written for the reference batch: defaults, what the last file that sets
    `SOLVER.REFERENCE_BATCH` says and what stands before it, and what any shipped file says.

    Args:
        files: the `_BASE_` chain, the named file last, each with the dotted keys it sets.
        command_line: dotted keys set there, which are always the user's.
    """
    last = {key: place for place, (_, keys) in enumerate(files) for key in keys}
    reference = len(files) if REFERENCE_KEY in command_line else last.get(REFERENCE_KEY, -1)
    shipped = config_root().resolve()
    own = {
        key
        for key, place in last.items()
        if place > reference and not files[place][0].resolve().is_relative_to(shipped)
    }
    return frozenset(own | set(command_line))


def scale_to_batch(cfg: CfgNode, own: Collection[str]) -> tuple[CfgNode, tuple[str, ...]]:
    """Scale rates and lengths from `SOLVER.REFERENCE_BATCH` images to `IMS_PER_BATCH`.

    Rates are multiplied by IMS_PER_BATCH / REFERENCE_BATCH; lengths are divided by it,
    rounded, and stay at least 1 where they are above 0. Beside a MAX_ITER of the user's own,
    which makes the run another one, lengths stay as they are: scaled to a small batch, the
    warm-up alone could outlast it.

    Args:
        cfg: the whole tree; it is not changed.
        own: dotted keys whose values are kept: see `users_own_keys`.

    Returns:
        The tree for the real batch, which its REFERENCE_BATCH now names, so that scaling it
        again changes nothing; and the line to log, or none where nothing was to scale.
    """
    batch, reference = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.REFERENCE_BATCH
    if reference < 1 or batch < 1 or batch == reference:
        return cfg, ()
    scaled: dict[str, Any] = {}
    for key in RATES:
        scaled[key] = get_value(cfg, key) * batch / reference
    for key in () if LENGTHS[0] in own else LENGTHS:
        scaled[key] = _scaled_length(get_value(cfg, key), reference / batch)
    changes = {k: v for k, v in scaled.items() if v != get_value(cfg, k) and k not in own}
    line = f"{REFERENCE_KEY} is {reference} and IMS_PER_BATCH {batch}: "
    line += ", ".join(f"{k} {_shown(get_value(cfg, k))} -> {_shown(v)}" for k, v in changes.items())
    if not changes:
        line += "nothing is scaled"
    if kept := [f"{k} {_shown(get_value(cfg, k))}" for k in (*RATES, *LENGTHS) if k in own]:
        line += f"; kept as given: {', '.join(kept)}"
    if LENGTHS[0] in own:
        line += f"; beside a {LENGTHS[0]} of your own, lengths stay as they are"
    return with_values(cfg, {**changes, REFERENCE_KEY: batch}), (line,)


def _scaled_length(value: Any, factor: float) -> Any:
    """Iterations times a factor; each item of a list by itself."""
    if isinstance(value, list | tuple):
        return [_scaled_length(item, factor) for item in value]
    return max(1, round(value * factor)) if value > 0 else value


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
