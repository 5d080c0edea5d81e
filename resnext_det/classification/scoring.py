"""Top-1 and top-5 of a classifier on a test set, for each of its crops. Engine-neutral."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from resnext_det.classification.crops import TestCrops, main_crop, more_crops
from resnext_det.classification.device_batch import DeviceBatch, build_device_batch
from resnext_det.classification.ranks import write_ranks
from resnext_det.data.class_alignment import AlignedSet
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_loader import build_classification_test_loader
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.evaluation.topk import TopKCounter
from resnext_det.training.distributed import all_gather_objects, is_main, rank, world_size

_logger = logging.getLogger(__name__)
Metrics = dict[str, float | None]


def metric_names(own_classes: Sequence[int] | None) -> list[str]:
    """Returns the names of what `evaluate_model` gives.

    Args:
        own_classes: of the test set; None where it has all classes.
    """
    return [f"{way}top{k}" for way in _ways(own_classes) for k in (1, 5)]


def evaluate_model(
    cfg: CfgNode,
    model: nn.Module,
    test: AlignedSet,
    device: torch.device,
    set_aside: SetAsideImages | None = None,
    *,
    crops: TestCrops | None = None,
    ranks_file: Path | None = None,
) -> Metrics:
    """Evaluates a model on a data set, shared among the processes, and logs the result.

    Args:
        cfg: the configuration.
        model: on `device`; left in evaluation mode.
        test: the test set.
        device: where the model is.
        set_aside: takes down broken images, which are not counted.
        crops: what is taken of each image; the main crop where it is None.
        ranks_file: where the main process writes the rank of each image's class (see `ranks`).

    Returns:
        top1 and top5 in percent, over all processes, among all classes; of a set of M classes
        only also M_way/top1 and M_way/top5, among these. None where there is no such number.

    Raises:
        UserError: no image of the set can be read.
    """
    dataset = test.dataset
    aside = set_aside
    if aside is None:
        limit = cfg.DATASETS.MAX_BROKEN_IMAGES
        aside = SetAsideImages(limit, all_gather_objects, logs=is_main())
    taken = main_crop(cfg) if crops is None else crops
    prefix = f"{taken.name}/" if taken.name else ""
    if is_main():
        of_crop = f", {taken.name}" if taken.name else ""
        _logger.info("Evaluating %s: %d images%s", dataset.entry.name, len(dataset), of_crop)
    batches = build_classification_test_loader(
        cfg,
        dataset,
        crop=(taken.resize, taken.crop),
        ten_crop=taken.ten_crop,
        rank=rank(),
        world_size=world_size(),
        set_aside=aside,
    )
    counters = _ways(test.own_classes)
    to_inputs = build_device_batch(cfg, device)
    indices = count_top_k(model, batches, to_inputs, list(counters.values()))
    indices = torch.cat(all_gather_objects(indices))
    merged = {way: TopKCounter().merge(all_gather_objects(c)) for way, c in counters.items()}
    aside.share()
    if not merged[""].total:
        images = [dataset.images.name(place) for place in range(len(dataset))]
        aside.check_set(dataset.entry.name, images)
    metrics = {
        f"{prefix}{way}{name}": value
        for way, counter in merged.items()
        for name, value in counter.result().items()
    }
    if is_main():
        if ranks_file:
            ranks = {way: counter.ranks for way, counter in merged.items()}
            write_ranks(ranks_file, dataset, indices, ranks)
        shown = ", ".join(f"{k} {'–' if v is None else f'{v:.2f}'}" for k, v in metrics.items())
        _logger.info("Evaluated %s: %s", dataset.entry.name, shown)
    return metrics


def evaluate_more_crops(
    cfg: CfgNode,
    model: nn.Module,
    test: AlignedSet,
    device: torch.device,
    set_aside: SetAsideImages | None = None,
) -> Metrics:
    """Evaluates the crops of TEST.MORE_CROPS and TEST.TEN_CROP; see `evaluate_model`.

    Returns:
        320/top1, 320/top5, …, ten_crop/top1, ten_crop/top5.
    """
    metrics: Metrics = {}
    for crops in more_crops(cfg):
        metrics |= evaluate_model(cfg, model, test, device, set_aside, crops=crops)
    return metrics


@torch.no_grad()
def count_top_k(
    model: nn.Module,
    batches: Iterable[ClassificationBatch],
    to_inputs: DeviceBatch,
    counters: Sequence[TopKCounter],
) -> Tensor:
    """Counts the right answers of a model, which is left in evaluation mode.

    Of several pictures of an image the logits are averaged, as the authors' code does (train.lua,
    computeScore), not the probabilities.

    Args:
        model: (N, 3, H, W) -> (N, K) logits, on the device of `to_inputs`.
        batches: of the test set.
        to_inputs: makes a batch the model's input.
        counters: take the answers.

    Returns:
        (N,) int64, the images' places in the data set, in the order that they were counted in.
    """
    model.eval()
    indices = [torch.zeros(0, dtype=torch.int64)]
    for batch in batches:
        indices.append(batch.indices)
        images, _ = to_inputs(batch)
        logits = model(images).float()  # (N * V, K)
        logits = logits.unflatten(0, (len(batch), batch.num_windows)).mean(1).cpu()  # (N, K)
        for counter in counters:
            counter.update(logits, batch.labels)
    return torch.cat(indices)


def _ways(own_classes: Sequence[int] | None) -> dict[str, TopKCounter]:
    """A counter for each set of classes to choose among, by what its metrics begin with."""
    ways = {"": TopKCounter()}
    if own_classes is not None:
        ways[f"{len(own_classes)}_way/"] = TopKCounter(classes=own_classes)
    return ways
