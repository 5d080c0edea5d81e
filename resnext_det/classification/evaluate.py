"""Evaluating trained weights on a test set. Engine-neutral."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnext_det.classification.prepare import (
    ENGINE,
    check_config,
    fetch_weights,
    prepare_evaluation,
)
from resnext_det.classification.ranks import RANKS_FILE
from resnext_det.classification.scoring import evaluate_model, evaluate_more_crops
from resnext_det.config import LoadedConfig
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.acceleration import in_layout, set_cudnn
from resnext_det.training.device import resolve_device
from resnext_det.training.distributed import all_gather_objects, is_main
from resnext_det.training.log import start_logging
from resnext_det.training.result import write_result
from resnext_det.training.run_directory import trained_weights
from resnext_det.training.run_folder import clear_run_folder, hold_run_folder
from resnext_det.weights.config_of_weights import apply_to_config
from resnext_det.weights.load import load_weights, require_head
from resnext_det.weights.provenance import provenance


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
    with hold_run_folder(loaded.cfg.OUTPUT_DIR):
        return _evaluate_in_folder(loaded, datasets, resume=resume)


def _evaluate_in_folder(
    loaded: LoadedConfig, datasets: Mapping[str, DatasetEntry], *, resume: bool
) -> dict[str, Any]:
    output_dir = Path(loaded.cfg.OUTPUT_DIR)
    start_logging(output_dir)
    clear_run_folder(output_dir)
    check_config(loaded.cfg, training=False)
    weights = fetch_weights(trained_weights(loaded.cfg, resume=resume))
    assert weights is not None
    job = prepare_evaluation(loaded, datasets, weights)
    assert job.test is not None
    cfg = apply_to_config(job.cfg, job.user_given, weights)
    model = classifier_from_config(cfg)
    report = load_weights(model, weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE)
    require_head(report)
    device = resolve_device(cfg)
    set_cudnn(cfg)
    model = in_layout(cfg, model.to(device))
    limit = cfg.DATASETS.MAX_BROKEN_IMAGES
    aside = SetAsideImages(limit, all_gather_objects, logs=is_main())
    ranks = output_dir / RANKS_FILE
    metrics = evaluate_model(cfg, model, job.test, device, aside, ranks_file=ranks)
    metrics |= evaluate_more_crops(cfg, model, job.test, device, aside)
    if not is_main():
        return {}
    more = {
        "weights": {**provenance(weights), "loaded": report.as_dict()},
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
