"""Top-1 and top-5 of a classifier on a folder of images. Engine-neutral."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.classification.prepare import (
    ENGINE,
    fetch_weights,
    prepare_classification,
)
from resnext_det.config import LoadedConfig
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.imagenet import build_classification_test_loader
from resnext_det.evaluation.topk import TopKCounter
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.device import resolve_device
from resnext_det.training.distributed import all_gather_objects, is_main, rank, world_size
from resnext_det.training.log import start_logging
from resnext_det.training.result import write_result
from resnext_det.training.run_directory import trained_weights
from resnext_det.weights.convention import apply_convention
from resnext_det.weights.load import check_class_names, load_weights, require_head

Metrics = dict[str, float | None]


def evaluate_classifier(
    loaded: LoadedConfig, datasets: Mapping[str, DatasetEntry], *, resume: bool = False
) -> dict[str, Any]:
    """Evaluates MODEL.WEIGHTS on DATASETS.TEST and writes `inference/result.json`.

    Args:
        loaded: the config and which keys the user gave.
        datasets: the data sets named on the command line, by name.
        resume: evaluate the last checkpoint in OUTPUT_DIR instead of MODEL.WEIGHTS.

    Returns:
        What the file holds; {} outside the main process.

    Raises:
        UserError: no weights, weights without their classifier layer, or of other classes.
    """
    output_dir = Path(loaded.cfg.OUTPUT_DIR)
    start_logging(output_dir)
    job = prepare_classification(loaded, datasets, training=False)
    weights = fetch_weights(trained_weights(job.cfg, resume=resume))
    assert weights is not None
    assert job.test is not None
    check_class_names(weights, job.class_names, job.test.entry.location)
    cfg = apply_convention(job.cfg, job.user_given, weights)
    model = classifier_from_config(cfg)
    require_head(load_weights(model, weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE))
    device = resolve_device(cfg)
    metrics = evaluate_model(cfg, model.to(device), job.test, device)
    if not is_main():
        return {}
    more = {"weights": weights.source, "class_names": list(job.class_names)}
    return write_result(
        output_dir / "inference",
        cfg=cfg,
        engine=ENGINE,
        seed=cfg.SEED,
        metrics=metrics,
        **more,
    )


def evaluate_model(
    cfg: CfgNode, model: nn.Module, dataset: ClassificationSet, device: torch.device
) -> Metrics:
    """Evaluates a model on a data set, shared among the processes, and logs the result.

    Returns:
        top1 and top5 in percent, over all processes; None where there is no such number.
    """
    batches = build_classification_test_loader(cfg, dataset, rank=rank(), world_size=world_size())
    counter = count_top_k(model, batches, device)
    metrics = counter.merge(all_gather_objects(counter)).result()
    if is_main():
        shown = ", ".join(f"{k} {'–' if v is None else f'{v:.2f}'}" for k, v in metrics.items())
        logging.getLogger(__name__).info("Evaluated %s: %s", dataset.entry.name, shown)
    return metrics


@torch.no_grad()
def count_top_k(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], device: torch.device
) -> TopKCounter:
    """Counts the right answers of a model, which is left in evaluation mode.

    Args:
        model: (N, 3, H, W) -> (N, K) logits, on `device`.
        batches: (N, 3, H, W) float32 normalised images and (N,) int64 labels.
        device: where the model is.
    """
    model.eval()
    counter = TopKCounter()
    for images, labels in batches:
        logits = model(images.to(device, non_blocking=True))
        counter.update(logits.float().cpu(), labels)
    return counter
