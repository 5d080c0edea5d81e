"""The loss of a classifier, on training batches and on a test set. Engine-neutral."""

from collections.abc import Callable

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.nn import functional

from resnext_det.classification.device_batch import DeviceBatch, build_device_batch
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_loader import build_classification_test_loader
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.training.best import TOTAL_LOSS
from resnext_det.training.distributed import rank, world_size
from resnext_det.training.validation import mean_losses


def classification_losses(
    label_smoothing: float, to_inputs: DeviceBatch
) -> Callable[[nn.Module, ClassificationBatch], dict[str, Tensor]]:
    """Returns the loss function for the loop: (model, batch) -> loss_cls."""

    def compute(model: nn.Module, batch: ClassificationBatch) -> dict[str, Tensor]:
        images, labels = to_inputs(batch)
        logits = model(images)  # (N, K)
        loss = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return {"loss_cls": loss}

    return compute


def validation_losses(
    cfg: CfgNode, model: nn.Module, dataset: ClassificationSet, device: torch.device
) -> dict[str, float | None]:
    """Averages the plain cross-entropy, without label smoothing, over a test set.

    Returns:
        The losses by their names in metrics.json, over all processes.
    """
    batches = build_classification_test_loader(cfg, dataset, rank=rank(), world_size=world_size())
    compute = classification_losses(0.0, build_device_batch(cfg, device))
    losses = mean_losses(model, batches, compute)
    return {f"val/{name}": value for name, value in losses.items()}


def validation_names() -> tuple[str, ...]:
    """Returns the names of `validation_losses`."""
    return TOTAL_LOSS, "val/loss_cls"
