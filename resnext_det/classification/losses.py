"""The loss of a classifier, on training batches and on a test set. Engine-neutral."""

from collections.abc import Callable

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn
from torch.nn import functional

from resnext_det.classification.device_batch import DeviceBatch, build_device_batch
from resnext_det.classification.mixing import Mix
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_loader import build_classification_test_loader
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.training.best import TOTAL_LOSS
from resnext_det.training.distributed import rank, world_size
from resnext_det.training.validation import mean_losses


def classification_losses(
    label_smoothing: float, to_inputs: DeviceBatch, mix: Mix | None = None
) -> Callable[[nn.Module, ClassificationBatch], dict[str, Tensor]]:
    """Returns the loss function for the loop: (model, batch) -> loss_cls.

    It is the mean cross-entropy of targets q with e = `label_smoothing` of each spread over all
    K classes: (1 - e) q + e / K (arXiv 1512.00567, section 7), computed in float32.

    Args:
        label_smoothing: SOLVER.LABEL_SMOOTHING.
        to_inputs: makes a batch the model's input.
        mix: mixes images and labels.
    """

    def compute(model: nn.Module, batch: ClassificationBatch) -> dict[str, Tensor]:
        images, targets = to_inputs(batch)
        if mix is not None:
            images, targets = mix(images, targets)
        logits = model(images).float()  # (N, K)
        loss = functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
        return {"loss_cls": loss}

    return compute


def validation_losses(
    cfg: CfgNode,
    model: nn.Module,
    dataset: ClassificationSet,
    device: torch.device,
    set_aside: SetAsideImages | None = None,
) -> dict[str, float | None]:
    """Averages the plain cross-entropy, without label smoothing, over a test set.

    Args:
        cfg: the configuration.
        model: on `device`, not wrapped.
        dataset: the test set.
        device: where the model is.
        set_aside: takes down broken images, which are left out.

    Returns:
        The losses by their names in metrics.json, over all processes.
    """
    batches = build_classification_test_loader(
        cfg, dataset, rank=rank(), world_size=world_size(), set_aside=set_aside
    )
    compute = classification_losses(0.0, build_device_batch(cfg, device))
    losses = mean_losses(model, batches, compute)
    return {f"val/{name}": value for name, value in losses.items()}


def validation_names() -> tuple[str, ...]:
    """Returns the names of `validation_losses`."""
    return TOTAL_LOSS, "val/loss_cls"
