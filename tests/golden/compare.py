"""How two sets of detections are compared: pair by pair. Engine-neutral."""

import numpy as np


def match_detections(
    found: tuple[np.ndarray, np.ndarray],
    wanted: tuple[np.ndarray, np.ndarray],
    *,
    within: float = 1.0,
) -> tuple[list[tuple[int, int]], int]:
    """Pairs detections of one class whose corners lie within `within` pixels, nearest first.

    Args:
        found: (R, 4) boxes and (R,) classes.
        wanted: (S, 4) boxes and (S,) classes.
        within: largest corner distance of a pair, pixels.

    Returns:
        Pairs of indices, and how many detections of either side stay without a partner.
    """
    gaps = np.abs(found[0][:, None] - wanted[0][None]).max(-1)
    gaps[found[1][:, None] != wanted[1][None]] = np.inf
    pairs, used = [], set()
    for i in range(len(gaps)):
        order = [j for j in np.argsort(gaps[i]) if j not in used and gaps[i, j] <= within]
        if order:
            used.add(order[0])
            pairs.append((i, int(order[0])))
    return pairs, len(found[0]) + len(wanted[0]) - 2 * len(pairs)
