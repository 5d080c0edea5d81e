"""Top-1 and top-5 of a classifier on a folder of images. Engine-neutral."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.classification.device_batch import DeviceBatch, build_device_batch
from resnext_det.classification.prepare import (
    ENGINE,
    fetch_weights,
    prepare_classification,
)
from resnext_det.config import LoadedConfig
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_loader import build_classification_test_loader
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.errors import UserError
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
    aside = SetAsideImages(all_gather_objects)
    metrics = evaluate_model(cfg, model.to(device), job.test, device, aside)
    if not is_main():
        return {}
    more = {
        "weights": weights.source,
        "class_names": list(job.class_names),
        "set_aside": aside.summary(),
    }
    return write_result(
        output_dir / "inference",
        cfg=cfg,
        engine=ENGINE,
        seed=cfg.SEED,
        metrics=metrics,
        **more,
    )


def evaluate_model(
    cfg: CfgNode,
    model: nn.Module,
    dataset: ClassificationSet,
    device: torch.device,
    set_aside: SetAsideImages | None = None,
) -> Metrics:
    """Evaluates a model on a data set, shared among the processes, and logs the result.

    Args:
        cfg: the configuration.
        model: on `device`.
        dataset: the test set.
        device: where the model is.
        set_aside: takes down broken images, which are not counted.

    Returns:
        top1 and top5 in percent, over all processes; None where there is no such number.

    Raises:
        UserError: no image of the set can be read.
    """
    aside = SetAsideImages(all_gather_objects) if set_aside is None else set_aside
    batches = build_classification_test_loader(
        cfg, dataset, rank=rank(), world_size=world_size(), set_aside=aside
    )
    counter = count_top_k(model, batches, build_device_batch(cfg, device))
    counter = counter.merge(all_gather_objects(counter))
    aside.share()
    if not counter.total and len(dataset):
        raise UserError(f"data set '{dataset.entry.name}': {aside.all_broken()}")
    metrics = counter.result()
    if is_main():
        aside.log_new()
        shown = ", ".join(f"{k} {'–' if v is None else f'{v:.2f}'}" for k, v in metrics.items())
        logging.getLogger(__name__).info("Evaluated %s: %s", dataset.entry.name, shown)
    return metrics


@torch.no_grad()
def count_top_k(
    model: nn.Module, batches: Iterable[ClassificationBatch], to_inputs: DeviceBatch
) -> TopKCounter:
    """Counts the right answers of a model, which is left in evaluation mode.

    Args:
        model: (N, 3, H, W) -> (N, K) logits, on `device`.
        batches: with one picture of each image.
        to_inputs: makes a batch the model's input.
    """
    model.eval()
    counter = TopKCounter()
    for batch in batches:
        images, _ = to_inputs(batch)
        counter.update(model(images).float().cpu(), batch.labels)
    return counter
