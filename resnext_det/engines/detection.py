"""A detection run from config to result.json, the same for both engines. Engine-neutral."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from fvcore.common.config import CfgNode

from resnext_det.config import LoadedConfig, check_weights, dump_config, flatten, with_values
from resnext_det.data.catalog import DatasetEntry, find_dataset
from resnext_det.data.coco import CocoDataset, check_same_classes, join_datasets, load_coco
from resnext_det.engines.base import DetectionRun, Engine, Metrics
from resnext_det.errors import UserError
from resnext_det.training.checkpoint import latest_checkpoint, write_text_safe
from resnext_det.training.distributed import is_main, main_first
from resnext_det.training.log import start_logging
from resnext_det.training.result import write_result
from resnext_det.training.run_directory import RunStart, open_run
from resnext_det.weights.convention import Convention, check_convention, convention_from_config
from resnext_det.weights.sources import Weights, resolve_weights

# The first three say where to compute and start; the others follow the weights.
FREE_ON_RESUME = frozenset(
    {
        "MODEL.DEVICE",
        "MODEL.WEIGHTS",
        "MODEL.WEIGHTS_MIN_SHARE",
        "INPUT.FORMAT",
        "MODEL.PIXEL_MEAN",
        "MODEL.PIXEL_STD",
        "MODEL.RESNETS.STRIDE_IN_1X1",
        "SEED",
    }
)
NUM_CLASSES_KEYS = ("MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.RETINANET.NUM_CLASSES")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectionJob:
    """What one call of the entry point asks for.

    Attributes:
        loaded: the config, and which keys the user gave.
        datasets: the data sets named on the command line, by name.
        resume: continue the run in OUTPUT_DIR.
    """

    loaded: LoadedConfig
    datasets: Mapping[str, DatasetEntry]
    resume: bool


def train_detector(engine: Engine, job: DetectionJob) -> None:
    """Trains, evaluates and writes `result.json`; a finished run is left as it is.

    Raises:
        UserError: anything that can be known before the first iteration.
    """
    engine.check_config(job.loaded.cfg)
    if not job.resume:
        check_weights(job.loaded.cfg)
    train, tests = _train_set(job), _test_sets(job)
    loaded = _with_classes(job.loaded, (train, *tests.values()))
    start = open_run(loaded.cfg, loaded.cfg.OUTPUT_DIR, resume=job.resume)
    if start.finished:
        return
    _check_resumable(engine, start)
    loaded = replace(loaded, cfg=start.cfg)
    weights = None if start.checkpoint else _read_weights(start.cfg.MODEL.WEIGHTS)
    loaded = _with_convention(loaded, weights, start)
    run = DetectionRun(loaded.cfg, train, tests, weights)
    logger.info("Training with the %s engine on %d images", engine.name, len(train.records))
    began = time.perf_counter()
    results = engine.train(run, start)
    _write(run, engine, results, Path(run.cfg.OUTPUT_DIR), began, start.start_iteration)


def evaluate_detector(engine: Engine, job: DetectionJob) -> None:
    """Evaluates a trained detector and writes `inference/result.json`.

    The detector is `MODEL.WEIGHTS`, or with `resume` the newest checkpoint in OUTPUT_DIR.

    Raises:
        UserError: no trained detector is named, or its classes are not the data set's.
    """
    engine.check_config(job.loaded.cfg)
    tests = _test_sets(job)
    if not tests:
        raise UserError("DATASETS.TEST is empty: name a set with --test-data NAME=JSON:IMAGES")
    loaded = _with_classes(job.loaded, tests.values())
    start_logging(loaded.cfg.OUTPUT_DIR)
    weights = _read_weights(_trained_detector(loaded.cfg, job.resume))
    assert weights is not None
    _check_class_names(weights, next(iter(tests.values())))
    loaded = _with_convention(loaded, weights, None)
    run = DetectionRun(loaded.cfg, None, tests, weights)
    began = time.perf_counter()
    results = engine.evaluate(run)
    _write(run, engine, results, Path(run.cfg.OUTPUT_DIR) / "inference", began, None)


def _train_set(job: DetectionJob) -> CocoDataset:
    datasets = job.loaded.cfg.DATASETS
    entries = [find_dataset(name, job.datasets) for name in datasets.TRAIN]
    drop = datasets.DROP_BAD_BOXES
    return join_datasets([load_coco(e, training=True, drop_bad_boxes=drop) for e in entries])


def _test_sets(job: DetectionJob) -> dict[str, CocoDataset]:
    datasets = job.loaded.cfg.DATASETS
    return {
        name: load_coco(
            find_dataset(name, job.datasets),
            training=False,
            drop_bad_boxes=datasets.DROP_BAD_BOXES,
        )
        for name in datasets.TEST
    }


def _with_classes(loaded: LoadedConfig, datasets: Iterable[CocoDataset]) -> LoadedConfig:
    """Sets the number of classes to the data's after checking that the sets agree."""
    first, *others = datasets
    for other in others:
        check_same_classes(first, other)
    num_classes = len(first.class_names)
    for key in NUM_CLASSES_KEYS:
        given = _value(loaded.cfg, key)
        if key in loaded.user_given and given != num_classes:
            raise UserError(
                f"{key} is {given}, but {first.entry.json_file} has {num_classes} categories: "
                f"leave {key} out"
            )
    return replace(
        loaded, cfg=with_values(loaded.cfg, dict.fromkeys(NUM_CLASSES_KEYS, num_classes))
    )


def _read_weights(source: str) -> Weights | None:
    with main_first():  # so that several processes download once
        return resolve_weights(source)


def _with_convention(
    loaded: LoadedConfig, weights: Weights | None, start: RunStart | None
) -> LoadedConfig:
    """Takes over how the weights' images were normalised, or what a resumed run took over."""
    changes: dict[str, Any] = {}
    if weights is not None:
        changes = check_convention(loaded.cfg, loaded.user_given, weights)
    elif start is not None and start.checkpoint is not None:
        earlier = convention_from_config(start.state.get("config", ""))
        if isinstance(earlier, Convention):
            resumed = Weights({}, str(start.checkpoint), earlier)
            changes = check_convention(loaded.cfg, loaded.user_given, resumed)
    for key, value in changes.items():
        logger.info("%s is set to %s, which the weights were trained with", key, value)
    cfg = with_values(loaded.cfg, changes)
    if start is not None and is_main():
        write_text_safe(Path(cfg.OUTPUT_DIR) / "config.yaml", cfg.dump())
    return replace(loaded, cfg=cfg)


def _check_resumable(engine: Engine, start: RunStart) -> None:
    """Refuses to continue another engine's run, or a run of another model.

    Other settings may change, SOLVER.MAX_ITER for example; the log names them.
    """
    if start.checkpoint is None:
        return
    wrote = start.state.get("engine", engine.name)
    if wrote != engine.name:
        raise UserError(
            f"{start.checkpoint} was written by the {wrote} engine: continue it with --engine "
            f"{wrote}, or start a new run in another OUTPUT_DIR with MODEL.WEIGHTS "
            f"{start.checkpoint}"
        )
    earlier = dict(flatten(yaml.safe_load(start.state.get("config", "")) or {}))
    now = dict(flatten(yaml.safe_load(dump_config(start.cfg))))
    changed = {k: v for k, v in now.items() if k in earlier and earlier[k] != v}
    for key in changed.keys() - FREE_ON_RESUME:
        if key.startswith("MODEL."):
            raise UserError(
                f"{key} is {now[key]}, but {start.checkpoint} was trained with {earlier[key]}: "
                "--resume continues the same model; start a new one in another OUTPUT_DIR"
            )
        logger.warning("%s was %s before and is %s from here on", key, earlier[key], now[key])


def _trained_detector(cfg: CfgNode, resume: bool) -> str:
    if not resume:
        if not cfg.MODEL.WEIGHTS:
            raise UserError(
                "--eval-only: MODEL.WEIGHTS is empty; name a trained detector, or add --resume "
                "to take the newest checkpoint in OUTPUT_DIR"
            )
        return cfg.MODEL.WEIGHTS
    latest = latest_checkpoint(cfg.OUTPUT_DIR)
    if latest is None:
        raise UserError(f"--eval-only --resume: {cfg.OUTPUT_DIR} holds no checkpoint")
    return str(latest)


def _check_class_names(weights: Weights, dataset: CocoDataset) -> None:
    pairs = zip(weights.class_names, dataset.class_names, strict=False)
    differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
    if differing or len(weights.class_names) not in (0, len(dataset.class_names)):
        raise UserError(
            f"{weights.source} was trained on the classes {_few(weights.class_names)}, but "
            f"{dataset.entry.json_file} has {_few(dataset.class_names)}"
        )


def _few(names: tuple[str, ...], number: int = 5) -> str:
    shown = ", ".join(names[:number])
    return f"{shown}, … ({len(names)})" if len(names) > number else shown


def _value(cfg: CfgNode, key: str) -> Any:
    node: Any = cfg
    for part in key.split("."):
        node = node[part]
    return node


def _write(
    run: DetectionRun,
    engine: Engine,
    results: Mapping[str, Metrics],
    folder: Path,
    began: float,
    start_iteration: int | None,
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
        start_iteration=start_iteration,
        seconds=time.perf_counter() - began,
    )
    for name, metrics in results.items():
        shown = "  ".join(f"{k} {'–' if v is None else f'{v:.2f}'}" for k, v in metrics.items())
        logger.info("%s: %s", name, shown)
