"""Training a classifier from config to result.json. Engine-neutral."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.classification.batch_form import batch_form
from resnext_det.classification.device_batch import build_device_batch
from resnext_det.classification.losses import (
    classification_losses,
    validation_losses,
    validation_names,
)
from resnext_det.classification.mixing import build_mix
from resnext_det.classification.pictures import prediction_pictures
from resnext_det.classification.prepare import (
    ENGINE,
    ClassificationJob,
    fetch_weights,
    prepare_training,
)
from resnext_det.classification.ranks import RANKS_FILE
from resnext_det.classification.scoring import (
    Metrics,
    evaluate_model,
    evaluate_more_crops,
    metric_names,
)
from resnext_det.config import LoadedConfig, dump_config
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_loader import build_classification_train_loader
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.json_files import read_json
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.seeding import derive_seed
from resnext_det.training.acceleration import in_layout, set_cudnn, set_memory
from resnext_det.training.best import check_best_metric
from resnext_det.training.boards import Pictures
from resnext_det.training.checkpoint import Checkpointer, restore_model
from resnext_det.training.device import resolve_device
from resnext_det.training.distributed import all_gather_objects, is_main, rank, world_size
from resnext_det.training.from_config import (
    build_hooks,
    build_loop,
    build_writer,
    describe_training,
    solver_from_config,
)
from resnext_det.training.hooks import run_outcome
from resnext_det.training.result import RESULT, write_result
from resnext_det.training.run_directory import Resume, RunStart, open_run, write_config
from resnext_det.training.run_folder import hold_run_folder
from resnext_det.weights.config_of_weights import apply_to_config
from resnext_det.weights.load import check_class_names, load_weights
from resnext_det.weights.provenance import ENTRY, kept_provenance, provenance
from resnext_det.weights.sources import weights_from_checkpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Built:
    """The model before the first iteration.

    Attributes:
        cfg: the final config, as the weights want it.
        model: on its device.
        device: where the run computes.
        started_from: what is known of the weights that the run started from.
        loaded: an account of what was loaded, which a run that is continued does not give again.
    """

    cfg: CfgNode
    model: nn.Module
    device: torch.device
    started_from: dict[str, str]
    loaded: dict[str, Any]


def train_classifier(
    loaded: LoadedConfig, datasets: Mapping[str, DatasetEntry], *, resume: Resume = False
) -> dict[str, Any]:
    """Trains a classifier, evaluates it and writes Detectron2's files and `result.json`.

    Args:
        loaded: the config and which keys the user gave.
        datasets: the data sets named on the command line, by name.
        resume: continue the run in OUTPUT_DIR; "auto": where there is one, else start it.

    Returns:
        What `result.json` holds; {} outside the main process.

    Raises:
        UserError: anything that can be known before the first iteration.
        FloatingPointError: a loss is not finite.
    """
    began = time.perf_counter()
    job = prepare_training(loaded, datasets)
    check_best_metric(job.cfg, _metric_names(job))
    with hold_run_folder(job.cfg.OUTPUT_DIR):
        return _train_in_folder(job, loaded.notes, began, resume=resume)


def _train_in_folder(
    job: ClassificationJob, notes: Sequence[str], began: float, *, resume: Resume
) -> dict[str, Any]:
    """Does what `train_classifier` does, in a folder that this run alone writes to."""
    output_dir = Path(job.cfg.OUTPUT_DIR)
    start = open_run(
        job.cfg,
        output_dir,
        resume=resume,
        engine=ENGINE,
        notes=notes,
        user_given=job.user_given,
    )
    if start.finished:
        return read_json(output_dir / RESULT)
    built = _build_model(job, start)
    cfg = built.cfg
    write_config(cfg, output_dir)
    if is_main():
        assert job.train is not None
        images, classes = len(job.train), len(job.class_names)
        logger.info("Data sets: %s", _places(job))
        logger.info(
            "Training on %d images of %d classes: %s", images, classes, describe_training(cfg)
        )
    metrics, outcome = _train(job, start, built)
    if not is_main():
        return {}
    return write_result(
        output_dir,
        cfg=cfg,
        engine=ENGINE,
        seed=cfg.SEED,
        metrics=metrics,
        class_names=list(job.class_names),
        seconds=round(time.perf_counter() - began, 3),
        **outcome,
    )


def _metric_names(job: ClassificationJob) -> list[str]:
    """Names of what every evaluation measures; those of further crops come at the end only."""
    names = metric_names(job.test.own_classes if job.test else None)
    return [*names, *(validation_names() if job.cfg.TEST.VALIDATION_LOSS else ())]


def _places(job: ClassificationJob) -> str:
    """Where the images come from: in no other file of a run."""
    sets = [job.train, job.test and job.test.dataset]
    return ", ".join(f"{s.entry.name} = {s.entry.location}" for s in sets if s is not None)


def _build_model(job: ClassificationJob, start: RunStart) -> _Built:
    """Builds the model and fills it from the checkpoint, MODEL.WEIGHTS, or the seed alone.

    A run that continues reads its pixel convention from the checkpoint too: the weights it
    once started from need not be there any more.
    """
    if start.checkpoint:
        weights = weights_from_checkpoint(start.state, str(start.checkpoint))
        assert job.train is not None
        check_class_names(weights, job.class_names, job.train.entry.location)
    else:
        weights = fetch_weights(start.cfg.MODEL.WEIGHTS)
    cfg = apply_to_config(start.cfg, job.user_given, weights)
    device = resolve_device(cfg)
    set_cudnn(cfg)
    set_memory(cfg)
    torch.manual_seed(derive_seed(cfg.SEED))
    model = classifier_from_config(cfg)
    started_from, loaded = provenance(weights), {}
    if start.checkpoint:
        restore_model(model, start.state, start.checkpoint)
        started_from = kept_provenance(start.state)
    elif weights:
        report = load_weights(model, weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE)
        loaded = {"loaded": report.as_dict()}
    return _Built(cfg, in_layout(cfg, model.to(device)), device, started_from, loaded)


def _train(
    job: ClassificationJob, start: RunStart, built: _Built
) -> tuple[Metrics, dict[str, Any]]:
    """Trains and evaluates; returns the final metrics, and how the run ended."""
    assert job.train is not None
    cfg, model, device = built.cfg, built.model, built.device
    first = start.start_iteration
    checkpointer = Checkpointer(
        cfg.OUTPUT_DIR,
        config=dump_config(cfg),
        class_names=job.class_names,
        # matching_heuristics is for Detectron2's own loader.
        extra={"engine": ENGINE, "matching_heuristics": True, ENTRY: built.started_from},
    )
    metrics: Metrics = {}
    limit = cfg.DATASETS.MAX_BROKEN_IMAGES
    aside = SetAsideImages(limit, all_gather_objects, logs=is_main())

    def evaluate(model: nn.Module) -> Metrics:
        if job.test:
            ranks = Path(cfg.OUTPUT_DIR) / RANKS_FILE  # the last evaluation's stay
            metrics.update(evaluate_model(cfg, model, job.test, device, aside, ranks_file=ranks))
        return metrics

    def validate(model: nn.Module) -> Metrics:
        assert job.test is not None
        return validation_losses(cfg, model, job.test.dataset, device, aside)

    def draw(model: nn.Module) -> Pictures:
        assert job.test is not None
        return prediction_pictures(cfg, model, job.test.dataset, device)

    with build_writer(cfg, first, len(job.train)) as writer:
        losses = classification_losses(
            cfg.SOLVER.LABEL_SMOOTHING, build_device_batch(cfg, device), build_mix(cfg)
        )
        loop = build_loop(
            cfg,
            model,
            device,
            losses,
            writer,
            solver=solver_from_config(cfg, model),
            stateful={"set_aside": aside},
            shared=[aside],
            split_batch=ClassificationBatch.split,
            batch_form=batch_form(job.train),
            recipe_rate=job.recipe_rate,
        )
        hooks = build_hooks(cfg, loop, checkpointer, evaluate, writer, validate=validate, draw=draw)
        if start.checkpoint:
            loop.load_state_dict(start.state, start.checkpoint)
        loop.run(_batches(job, cfg, first, aside), first, hooks)
        more = {}
        if job.test:
            more = evaluate_more_crops(cfg, loop.model_to_use, job.test, device, aside)
        if writer and more:
            writer.record_evaluation(loop.last_iteration, more)
    metrics |= more
    aside.share()
    weights = {**built.started_from, **built.loaded}
    return metrics, run_outcome(loop, hooks) | {"set_aside": aside.summary(), "weights": weights}


def _batches(
    job: ClassificationJob, cfg: CfgNode, first: int, aside: SetAsideImages
) -> Iterator[ClassificationBatch]:
    if first >= cfg.SOLVER.MAX_ITER:
        return iter(())
    assert job.train is not None
    return iter(
        build_classification_train_loader(
            cfg,
            job.train,
            start_iteration=first,
            rank=rank(),
            world_size=world_size(),
            set_aside=aside,
        )
    )
