"""Seeds that depend on where a run is, never on how it got there. Engine-neutral."""

from typing import Final

import numpy as np

ANCHORS: Final = 1
"""Stream of the anchors that the first stage samples in an image."""
REGIONS: Final = 2
"""Stream of the regions that the second stage samples in an image."""
_SAMPLING: Final = 1
"""Keeps an image's sampling seed apart from that of its augmentation."""


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


def image_seed(seed: int, iteration: int, position: int) -> int:
    """Returns the seed that a sample carries for what is drawn from it on the device.

    Args:
        seed: the run's seed, >= 0.
        iteration: the update that trains on the image.
        position: its place in that update's batch over all processes and passes, so that
            neither their number nor their order changes what is drawn.
    """
    return derive_seed(seed, iteration, position, _SAMPLING)


def draw_seed(sampling_seed: int, stream: int) -> int:
    """Returns the seed of one draw in an image.

    Args:
        sampling_seed: what `image_seed` gave.
        stream: what is drawn, `ANCHORS` or `REGIONS`.
    """
    return derive_seed(sampling_seed, stream)
