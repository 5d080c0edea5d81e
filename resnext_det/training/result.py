"""result.json, which every table and plot is made from. Engine-neutral."""

import json
import math
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from fvcore.common.config import CfgNode

from resnext_det.whole_files import write_text_safe

RESULT = "result.json"
_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "detectron2", "resnext-det")


def write_result(
    output_dir: str | Path,
    *,
    cfg: CfgNode,
    engine: str,
    seed: int,
    metrics: Mapping[str, float | None],
    **more: Any,
) -> dict[str, Any]:
    """Writes `result.json` into a run's folder and returns what it holds.

    Args:
        output_dir: folder that the file goes into.
        cfg: the final configuration.
        engine: "portable", "d2", or "classification".
        seed: the run's settled seed.
        metrics: name -> percent; None (null in the file) where there is no ground truth.
        more: further entries, for example class_names, iteration or seconds.
    """
    result = {
        "config": yaml.safe_load(cfg.dump()),
        "versions": versions(),
        "seed": seed,
        "engine": engine,
        "metrics": dict(metrics),
        **more,
    }
    result = finite_or_null(result)
    path = Path(output_dir) / RESULT
    write_text_safe(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
    return result


def versions() -> dict[str, str]:
    """Returns the versions of what a result depends on, and the device's name."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    found["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return found


def finite_or_null(value: Any) -> Any:
    """Copies nested dicts and lists with NaN and infinities, which JSON lacks, as None."""
    if isinstance(value, Mapping):
        return {str(key): finite_or_null(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
