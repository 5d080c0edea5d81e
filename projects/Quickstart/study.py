"""The study's result.json, gathered from its runs' own. Engine-neutral."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from projects.Quickstart.findings import (
    comparison_finding,
    complexity_finding,
    gain_finding,
    level_finding,
    settings_finding,
)
from projects.Quickstart.jobs import Data, Detector
from projects.studies.records import job_seconds
from resnext_det.evaluation.compare import Difference, compare_coco
from resnext_det.evaluation.results_json import RESULTS_FILE
from resnext_det.modeling import ResNet
from resnext_det.modeling.complexity import measure_complexity
from resnext_det.reports.study import Row, read_study
from resnext_det.whole_files import write_text_safe

# What the comparison is about; every other key must be the same in all rows.
_COMPARED = (
    "MODEL.WEIGHTS",
    "MODEL.RESNETS.VARIANT",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
    "OUTPUT_DIR",
)
_NAMED = (
    "MODEL.RESNETS.NORM",
    "MODEL.BACKBONE.FREEZE_AT",
    "SOLVER.MAX_ITER",
    "SOLVER.IMS_PER_BATCH",
    "SOLVER.BASE_LR",
    "SEED",
)


def write_study(
    rows: Sequence[Detector],
    data: Data,
    output: Path,
    *,
    description: str,
    seconds: float | None,
) -> Path:
    """Writes the study's result.json from the finished runs.

    Args:
        rows: the detectors, the pretrained ones first.
        data: the sets they were trained and evaluated on.
        output: the study's folder, which the runs' folders lie in.
        description: words on the data for the page.
        seconds: what the whole took; None where parts had been finished before.

    Returns:
        Path of result.json.
    """
    results = [json.loads((row.job.folder / "result.json").read_text()) for row in rows]
    configs = [flat_config(result["config"]) for result in results]
    image_size = configs[0]["INPUT.MIN_SIZE_TEST"]
    annotations, images = data.detection_val.split(":")
    content: dict[str, Any] = {
        "title": "Quickstart: ResNet and ResNeXt in Faster R-CNN with FPN",
        "engine": results[0]["engine"],
        "versions": results[0]["versions"],
        "seconds": seconds,
        "settings": {key: configs[0][key] for key in (*_NAMED, "INPUT.MIN_SIZE_TRAIN")},
        "dataset": {
            "description": description,
            "annotations": os.path.relpath(annotations, output),
            "images": os.path.relpath(images, output),
        },
        "rows": [
            _row(row, result, output, image_size) for row, result in zip(rows, results, strict=True)
        ],
    }
    path = output / "result.json"
    _write(path, content)
    content["findings"] = _findings(read_study(path).rows, configs, Path(annotations), image_size)
    _write(path, content)
    return path


def flat_config(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested config with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= flat_config(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _backbone(config: dict[str, Any]) -> torch.nn.Module:
    """Builds a run's backbone, of the depth of all rows, as its config describes it."""
    given = config["MODEL"]["RESNETS"]
    return ResNet(
        depth=given["DEPTH"],
        num_groups=given["NUM_GROUPS"],
        width_per_group=given["WIDTH_PER_GROUP"],
    )


def _row(row: Detector, result: dict[str, Any], output: Path, image_size: int) -> dict[str, Any]:
    with torch.device("meta"):
        cost = measure_complexity(_backbone(result["config"]), image_size)
    more: dict[str, Any] = {}
    if row.pretraining:
        classification = json.loads((row.pretraining.folder / "result.json").read_text())
        more = {
            "pretraining": f"digits, {classification['metrics']['top1']:.1f} % top-1",
            "pretraining_run": os.path.relpath(row.pretraining.folder, output),
        }
    return {
        "model": row.model.name,
        "pretrained": row.pretraining is not None,
        "seed": result["seed"],
        "metrics": result["metrics"],
        "run": os.path.relpath(row.job.folder, output),
        "params": cost.params,
        "flops": cost.flops,
        "seconds": job_seconds(row.job.folder),
        **more,
    }


def _findings(
    rows: Sequence[Row], configs: Sequence[dict[str, Any]], annotations: Path, image_size: int
) -> list[dict[str, Any]]:
    pretrained = [row for row in rows if row.pretrained]
    scratch = {row.model: row for row in rows if not row.pretrained}

    def difference(first: Row, second: Row, metric: str) -> Difference | None:
        assert first.run
        assert second.run
        files = first.run / RESULTS_FILE, second.run / RESULTS_FILE
        return compare_coco(annotations, *files, metric=metric)

    first, second = pretrained
    found = [complexity_finding(first, second, image_size)]
    found.append(settings_finding(configs, _COMPARED, _NAMED))
    found += [level_finding(row) for row in pretrained]
    for row in pretrained:
        start = scratch[row.model]
        found.append(gain_finding(start, row, difference(start, row, "AP50")))
    found.append(comparison_finding(first, second, difference(first, second, "AP")))
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    write_text_safe(path, json.dumps(content, indent=2) + "\n")
