"""Losses on images that are not trained on. Engine-neutral."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from resnext_det.training.distributed import all_gather_objects
from resnext_det.training.passes import Losses

_MEASURING = (
    nn.modules.batchnorm._NormBase,  # of BatchNorm, SyncBatchNorm and InstanceNorm
    nn.modules.dropout._DropoutNd,
)


@torch.no_grad()
def mean_losses(
    model: nn.Module,
    batches: Iterable[Any],
    compute_losses: Losses,
    count_images: Callable[[Any], int] = len,
) -> dict[str, float]:
    """Averages the losses of a model over the images of a test set, in all processes alike.

    The model is in training mode, as losses are computed there, but normalises with its
    running statistics, which stay as they are, and drops nothing out.

    Args:
        model: on its device, not wrapped; left in evaluation mode.
        batches: this process's share of the images.
        compute_losses: (model, batch) -> name -> 0-d loss.
        count_images: of a batch.

    Returns:
        `total_loss`, which is their sum, and each loss by its name; nothing without images.
    """
    sums: defaultdict[str, float] = defaultdict(float)
    images = 0
    with _loss_mode(model):
        for batch in batches:
            count = count_images(batch)
            images += count
            for name, loss in compute_losses(model, batch).items():
                sums[name] += float(loss) * count
    shares = all_gather_objects((dict(sums), images))
    total = sum(count for _, count in shares)
    if not total:
        return {}
    names = dict.fromkeys(name for share, _ in shares for name in share)
    means = {n: sum(share.get(n, 0.0) for share, _ in shares) / total for n in names}
    return {"total_loss": sum(means.values()), **means}


@contextmanager
def _loss_mode(model: nn.Module) -> Iterator[None]:
    model.train()
    for module in model.modules():
        if isinstance(module, _MEASURING):
            module.eval()
    try:
        yield
    finally:
        model.eval()
