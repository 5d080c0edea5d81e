"""Random choice of foreground and background candidates for a loss. Portable."""

from collections.abc import Sequence

import torch
from torch import Tensor

from resnext_det.seeding import draw_seed


def sample_labels(
    labels: Tensor,
    num_samples: int,
    positive_fraction: float,
    background: int,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Draws up to `num_samples` candidates, foreground first.

    The foreground's permutation is drawn before the background's and each over all
    candidates of its kind: Detectron2's draws, so that the same seed samples the same
    candidates.

    Args:
        labels: (R,) integers; -1 is ignored, `background` is background, the rest foreground.
        num_samples: wanted in total; fewer where there are not enough.
        positive_fraction: at most this share of `num_samples` is foreground.
        background: the background's label.
        generator: draws on the labels' device; torch's global one where it is None.

    Returns:
        Indices of the foreground and of the background sample, int64.
    """
    positive = torch.nonzero((labels != -1) & (labels != background)).squeeze(1)
    negative = torch.nonzero(labels == background).squeeze(1)
    num_positive = min(len(positive), int(num_samples * positive_fraction))
    num_negative = min(len(negative), num_samples - num_positive)
    device = labels.device
    chosen_positive = torch.randperm(len(positive), device=device, generator=generator)
    chosen_negative = torch.randperm(len(negative), device=device, generator=generator)
    return positive[chosen_positive[:num_positive]], negative[chosen_negative[:num_negative]]


def sample_batch(
    labels: Tensor,
    num_samples: int,
    positive_fraction: float,
    background: int,
    generators: Sequence[torch.Generator | None],
) -> list[tuple[Tensor, Tensor]]:
    """Draws in every image of a batch what `sample_labels` draws, and waits for a GPU less often.

    Args:
        labels: (N, R), see `sample_labels`; -1 also fills up.
        num_samples: see there, of each image.
        positive_fraction: see there.
        background: see there.
        generators: of each image.
    """
    positive, negative = (labels != -1) & (labels != background), labels == background
    counts = torch.stack([positive.sum(dim=1), negative.sum(dim=1)]).tolist()
    found = [
        torch.nonzero(mask)[:, 1].split(numbers)
        for mask, numbers in zip((positive, negative), counts, strict=True)
    ]
    samples = []
    for foreground, others, generator in zip(*found, generators, strict=True):
        num_positive = min(len(foreground), int(num_samples * positive_fraction))
        wanted = (num_positive, min(len(others), num_samples - num_positive))
        drawn = [
            torch.randperm(len(kind), device=labels.device, generator=generator)
            for kind in (foreground, others)
        ]
        pairs = zip((foreground, others), drawn, wanted, strict=True)
        first, second = (kind[order[:number]] for kind, order, number in pairs)
        samples.append((first, second))
    return samples


def generator_of(
    sampling_seed: int | None, stream: int, device: torch.device
) -> torch.Generator | None:
    """Returns the generator of one draw in an image, or None for torch's global one.

    It draws the numbers that the global one draws after `torch.manual_seed(draw_seed(…))`,
    which is how Detectron2's parts are seeded.

    Args:
        sampling_seed: the sample's; None where it has none.
        stream: what is drawn, of `resnext_det.seeding`.
        device: where the labels are.
    """
    if sampling_seed is None:
        return None
    return torch.Generator(device).manual_seed(draw_seed(sampling_seed, stream))
