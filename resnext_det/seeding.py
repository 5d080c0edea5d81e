"""Seeds that depend on where a run is, never on how it got there. Engine-neutral."""

import numpy as np


def derive_seed(seed: int, *position: int) -> int:
    """Mixes a run's seed with a position into one 32-bit seed.

    A resumed run asks for the same positions as the uninterrupted one and so
    draws the same numbers, whatever either drew before.

    Args:
        seed: the run's seed, >= 0.
        *position: non-negative integers, for example (iteration, place in the batch).

    Returns:
        An integer in 0 … 2**32 - 1, fit for `numpy.random.RandomState` and
        `torch.manual_seed`.
    """
    state = np.random.SeedSequence([seed, *position]).generate_state(1, np.uint32)
    return int(state[0])
