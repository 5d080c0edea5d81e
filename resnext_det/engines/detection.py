"""A detection run from config to result.json, the same for both engines. Engine-neutral."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.acceleration.apply import accelerate
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.config import LoadedConfig, check_weights, dump_config
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import CocoDataset
from resnext_det.data.loaders import num_trainable
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.engines.base import DetectionRun, Engine, Metrics, flat_metrics
from resnext_det.engines.datasets import read_test_sets, read_train_set
from resnext_det.engines.metric_names import metric_names
from resnext_det.engines.numbers import with_numbers_of_data
from resnext_det.engines.pictures import prediction_pictures
from resnext_det.engines.validation import validation_losses
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed
from resnext_det.training.acceleration import in_layout, set_cudnn, set_memory, uncompiled
from resnext_det.training.best import check_best_metric
from resnext_det.training.checkpoint import Checkpointer, restore_model
from resnext_det.training.device import resolve_device
from resnext_det.training.distributed import all_gather_objects, is_main, main_first
from resnext_det.training.from_config import (
    build_hooks,
    build_loop,
    build_writer,
    check_training,
    describe_training,
)
from resnext_det.training.hooks import run_outcome
from resnext_det.training.log import start_logging
from resnext_det.training.result import write_result
from resnext_det.training.run_directory import (
    Resume,
    RunStart,
    open_run,
    trained_weights,
    write_config,
)
from resnext_det.training.run_folder import clear_run_folder, hold_run_folder
from resnext_det.weights.config_of_weights import apply_to_config
from resnext_det.weights.load import check_class_names, load_weights, require_head
from resnext_det.weights.provenance import ENTRY, kept_provenance, provenance
from resnext_det.weights.sources import Weights, resolve_weights, weights_from_checkpoint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectionJob:
    """What one call of the entry point asks for.

    Attributes:
        loaded: the config, and which keys the user gave.
        datasets: the data sets named on the command line, by name.
        resume: continue the run in OUTPUT_DIR; "auto": where there is one, else start it.
        acceleration: what a detector is evaluated with; how it is trained, the config says.
    """

    loaded: LoadedConfig
    datasets: Mapping[str, DatasetEntry]
    resume: Resume
    acceleration: Acceleration = EXACT


def train_detector(engine: Engine, job: DetectionJob) -> None:
    """Trains, evaluates and writes `result.json`; a finished run is left as it is.

    Raises:
        UserError: anything that can be known before the first iteration.
    """
    engine.check_config(job.loaded.cfg)
    check_training(job.loaded.cfg)
    if job.resume is not True:
        check_weights(job.loaded.cfg)
    train = read_train_set(job.loaded.cfg, job.datasets)
    tests = read_test_sets(job.loaded.cfg, job.datasets)
    set_aside = _set_aside(job.loaded.cfg, (train, *tests.values()))
    check_best_metric(job.loaded.cfg, metric_names(job.loaded.cfg, tests))
    loaded = with_numbers_of_data(job.loaded, (train, *tests.values()))
    with hold_run_folder(loaded.cfg.OUTPUT_DIR):
        _train_in_folder(engine, replace(job, loaded=loaded), train, tests, set_aside)


def _train_in_folder(
    engine: Engine,
    job: DetectionJob,
    train: CocoDataset,
    tests: Mapping[str, CocoDataset],
    set_aside: SetAsideImages,
) -> None:
    loaded = job.loaded
    start = open_run(
        loaded.cfg,
        loaded.cfg.OUTPUT_DIR,
        resume=job.resume,
        engine=engine.name,
        notes=loaded.notes,
        user_given=loaded.user_given,
    )
    if start.finished:
        return
    start = replace(start, recipe_rate=loaded.recipe_rate)
    if start.checkpoint:
        weights = weights_from_checkpoint(start.state, str(start.checkpoint))
        check_class_names(weights, train.class_names, train.entry.json_file)
    else:
        weights = _read_weights(start.cfg.MODEL.WEIGHTS)
    cfg = apply_to_config(start.cfg, loaded.user_given, weights)
    write_config(cfg, cfg.OUTPUT_DIR)
    run = DetectionRun(cfg, train, tests, weights, set_aside)
    images, how = len(train.records), describe_training(cfg)
    run.set_aside.share()
    logger.info("Training with the %s engine on %d images: %s", engine.name, images, how)
    began = time.perf_counter()
    results, outcome = _train(engine, run, start)
    outcome["start_iteration"] = start.start_iteration
    _write(run, engine, results, Path(run.cfg.OUTPUT_DIR), began, outcome)


def evaluate_detector(engine: Engine, job: DetectionJob) -> None:
    """Evaluates a trained detector and writes `inference/result.json`.

    The detector is `MODEL.WEIGHTS`, or with `resume` the newest checkpoint in OUTPUT_DIR.

    Raises:
        UserError: no trained detector is named, its classes are not the data set's, or it
            cannot be accelerated so.
    """
    engine.check_config(job.loaded.cfg)
    tests = read_test_sets(job.loaded.cfg, job.datasets)
    if not tests:
        raise UserError("DATASETS.TEST is empty: name a set with --test-data NAME=JSON:IMAGES")
    loaded = with_numbers_of_data(job.loaded, tests.values())
    with hold_run_folder(loaded.cfg.OUTPUT_DIR):
        _evaluate_in_folder(engine, replace(job, loaded=loaded), tests)


def _evaluate_in_folder(
    engine: Engine, job: DetectionJob, tests: Mapping[str, CocoDataset]
) -> None:
    loaded = job.loaded
    start_logging(loaded.cfg.OUTPUT_DIR)
    clear_run_folder(loaded.cfg.OUTPUT_DIR)
    weights = _read_weights(trained_weights(loaded.cfg, resume=bool(job.resume)))
    assert weights is not None
    first = next(iter(tests.values()))
    check_class_names(weights, first.class_names, first.entry.json_file)
    cfg = apply_to_config(loaded.cfg, loaded.user_given, weights)
    run = DetectionRun(cfg, None, tests, weights, _set_aside(cfg, tests.values()))
    began = time.perf_counter()
    model = engine.build_model(cfg)
    report = load_weights(model, weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE)
    require_head(report)
    model = in_layout(cfg, model.to(resolve_device(cfg)))
    model = accelerate(model.eval(), job.acceleration)
    if job.acceleration != EXACT:
        logger.info("Evaluating with acceleration: %s", job.acceleration.words())
    results = _evaluate(engine, model, run)
    more = {
        "acceleration": job.acceleration.words(),
        "weights": {**provenance(weights), "loaded": report.as_dict()},
    }
    _write(run, engine, results, Path(run.cfg.OUTPUT_DIR) / "inference", began, more)


def _train(
    engine: Engine, run: DetectionRun, start: RunStart
) -> tuple[Mapping[str, Metrics], dict[str, Any]]:
    """Trains and evaluates.

    Returns:
        The final metrics by test set name, empty on ranks other than the first; and how the run
        ended, for result.json.
    """
    assert run.train is not None
    cfg, first = run.cfg, start.start_iteration
    device = resolve_device(cfg)
    set_cudnn(cfg)
    set_memory(cfg)
    model, started_from, loaded = _start_model(engine, run, start)
    model = in_layout(cfg, model.to(device))
    checkpointer = Checkpointer(
        cfg.OUTPUT_DIR,
        config=dump_config(cfg),
        class_names=run.class_names,
        extra={"engine": engine.name, ENTRY: started_from},
    )
    results: dict[str, Metrics] = {}

    def evaluate(model: nn.Module) -> Metrics:
        results.update(_evaluate(engine, model, run))
        return flat_metrics(results)

    with build_writer(cfg, first, num_trainable(cfg, run.train)) as writer:
        losses = engine.build_losses(writer)
        state = engine.stateful(model)
        loop = build_loop(
            cfg,
            model,
            device,
            losses,
            writer,
            solver=engine.build_solver(cfg, model),
            stateful={"set_aside": run.set_aside},
            shared=[run.set_aside],
            model_state=state,
            batch_form=engine.batch_form,
            recipe_rate=start.recipe_rate,
        )
        hooks = build_hooks(
            cfg,
            loop,
            checkpointer,
            evaluate,
            writer,
            validate=lambda model: validation_losses(engine, model, run, state),
            draw=lambda model: prediction_pictures(engine, model, run),
        )
        if start.checkpoint is not None:
            loop.load_state_dict(start.state, start.checkpoint)
        loop.run(engine.train_batches(run, first), first, hooks)
    run.set_aside.share()
    return results, run_outcome(loop, hooks) | {"weights": {**started_from, **loaded}}


def _set_aside(cfg: CfgNode, datasets: Iterable[CocoDataset]) -> SetAsideImages:
    """Returns what takes down a run's broken images, with those that the headers told of."""
    limit = cfg.DATASETS.MAX_BROKEN_IMAGES
    set_aside = SetAsideImages(limit, all_gather_objects, logs=is_main())
    for dataset in datasets:
        set_aside.add(dataset.broken)
    return set_aside


def _evaluate(engine: Engine, model: nn.Module, run: DetectionRun) -> Mapping[str, Metrics]:
    """Scores the detector on every test set.

    Raises:
        UserError: too many images are broken, or all of a set.
    """
    with uncompiled(run.cfg):
        results = engine.evaluate(model, run)
    run.set_aside.share()
    for name, dataset in run.tests.items():
        run.set_aside.check_set(name, [record.file_name for record in dataset.records])
    return results


def _start_model(
    engine: Engine, run: DetectionRun, start: RunStart
) -> tuple[nn.Module, dict[str, str], dict[str, Any]]:
    """Builds the detector and fills it from the checkpoint, MODEL.WEIGHTS, or the seed alone.

    Returns:
        The detector; what is known of the weights that the run started from; and an account of
        what was loaded, which a run that is continued does not give again.
    """
    torch.manual_seed(derive_seed(run.cfg.SEED))
    model = engine.build_model(run.cfg)
    if start.checkpoint is not None:
        restore_model(model, start.state, start.checkpoint)
        return model, kept_provenance(start.state), {}
    if run.weights is None:
        return model, provenance(None), {}
    report = load_weights(model, run.weights, min_share=run.cfg.MODEL.WEIGHTS_MIN_SHARE)
    return model, provenance(run.weights), {"loaded": report.as_dict()}


def _read_weights(source: str) -> Weights | None:
    with main_first():  # so that several processes download once
        return resolve_weights(source)


def _places(entry: DatasetEntry) -> dict[str, str]:
    """Returns where a set lies, so that `resnext-det evaluate` finds it again."""
    return {
        "annotations": str(Path(entry.json_file or "").resolve()),
        "images": str(entry.image_root.resolve()),
    }


def _write(
    run: DetectionRun,
    engine: Engine,
    results: Mapping[str, Metrics],
    folder: Path,
    began: float,
    outcome: Mapping[str, Any],
) -> None:
    """Writes result.json; the metrics of the first test set stand at its top."""
    if not is_main():
        return
    first = next(iter(results.values()), {})
    write_result(
        folder,
        cfg=run.cfg,
        engine=engine.name,
        seed=run.cfg.SEED,
        metrics=first,
        datasets=dict(results),
        class_names=list(run.class_names),
        test_sets={name: _places(dataset.entry) for name, dataset in run.tests.items()},
        seconds=time.perf_counter() - began,
        set_aside=run.set_aside.summary(),
        **outcome,
    )
    for name, metrics in results.items():
        # Those of single classes, AP-CLASS and IoU-CLASS, are in result.json.
        overall = {k: v for k, v in metrics.items() if "-" not in k}
        shown = "  ".join(f"{k} {'–' if v is None else f'{v:.2f}'}" for k, v in overall.items())
        logger.info("%s: %s", name, shown)
