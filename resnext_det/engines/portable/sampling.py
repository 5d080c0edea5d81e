"""Random choice of foreground and background candidates for a loss. Portable."""

import torch
from torch import Tensor


def sample_labels(
    labels: Tensor, num_samples: int, positive_fraction: float, background: int
) -> tuple[Tensor, Tensor]:
    """Draws up to `num_samples` candidates, foreground first.

    Both permutations come from torch's global generator on the labels' device, the
    foreground's before the background's and each over all candidates of its kind:
    Detectron2's draws, so that the same seed samples the same candidates.

    Args:
        labels: (R,) integers; -1 is ignored, `background` is background, the rest foreground.
        num_samples: wanted in total; fewer where there are not enough.
        positive_fraction: at most this share of `num_samples` is foreground.
        background: the background's label.

    Returns:
        Indices of the foreground and of the background sample, int64.
    """
    positive = torch.nonzero((labels != -1) & (labels != background)).squeeze(1)
    negative = torch.nonzero(labels == background).squeeze(1)
    num_positive = min(len(positive), int(num_samples * positive_fraction))
    num_negative = min(len(negative), num_samples - num_positive)
    chosen_positive = torch.randperm(len(positive), device=positive.device)[:num_positive]
    chosen_negative = torch.randperm(len(negative), device=negative.device)[:num_negative]
    return positive[chosen_positive], negative[chosen_negative]
