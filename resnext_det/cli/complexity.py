"""The verb that counts parameters, FLOPs and activations. Engine-neutral."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from rich.table import Table

from resnext_det.cli.network_names import is_config
from resnext_det.cli.printing import check_json, open_console, write_json
from resnext_det.config import config_root, find_config, load_config, task_of
from resnext_det.config.sources import SCHEME
from resnext_det.modeling.complexity import measure_complexity, measure_variant
from resnext_det.modeling.from_config import backbone_from_config, classifier_from_config
from resnext_det.modeling.variants import get_variant, list_variants

CAPTION = (
    "FLOPs: multiply-adds of convolutions and linear layers. FLOPs*: plus 2 per norm and 1 per "
    "ReLU output element, pooling inputs and linear biases, as published model tables count. "
    "act.: activations, outputs of convolutions and linear layers. One image of the size given; "
    "of a detection config, the backbone alone."
)
DETECTION_IMAGE_SIZE = 224  # pixels: the classifiers' size, so that the rows compare


def run(args: argparse.Namespace) -> int:
    """Measures, prints the table and writes the JSON.

    Returns:
        The exit status, 0.

    Raises:
        UserError: if a name is no variant and no config, or a config cannot be built, or
            the JSON cannot be written.
    """
    configs = [Path(name) for name in args.networks if is_config(name)]
    check_json(args.json, configs)  # measuring everything takes a while
    rows = measure_networks(args.networks)
    open_console(args.json).print(make_table(rows))
    write_json(args.json, rows)
    return 0


def measure_networks(names: Sequence[str] = ()) -> dict[str, dict[str, dict[str, Any]]]:
    """Counts the cost of networks.

    Args:
        names: variants and config files; empty for all that there are.

    Returns:
        {"variants": {name: row}, "configs": {file below configs/, or as named: row}}. A row has
        network ("classifier" or "backbone"), image_size (pixels) and the fields of `Complexity`.

    Raises:
        UserError: if a name is no variant and no config, or a config cannot be built.
    """
    variants = [name for name in names if not is_config(name)]
    configs = [name for name in names if is_config(name)]
    if not names:
        variants, configs = list(list_variants()), all_configs()
    return {
        "variants": {name: _variant_row(name) for name in variants},
        "configs": _config_rows(configs),
    }


def all_configs() -> list[str]:
    """Returns the name, `resnext_det://…`, of every config file of the package, sorted."""
    root = config_root()
    return [f"{SCHEME}{path.relative_to(root).as_posix()}" for path in sorted(root.rglob("*.yaml"))]


def make_table(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """Lays out the rows of `measure_networks` as a table: params in M, FLOPs in G."""
    table = Table(caption=CAPTION, caption_justify="left")
    table.add_column("network", overflow="fold")
    table.add_column("part")
    for title in ("px", "params M", "FLOPs G", "FLOPs* G", "act. M"):
        table.add_column(title, justify="right")
    for group in rows.values():
        for name, row in group.items():
            table.add_row(
                name,
                row["network"],
                str(row["image_size"]),
                f"{row['params'] / 1e6:.2f}",
                f"{row['flops'] / 1e9:.3f}",
                f"{row['flops_table'] / 1e9:.3f}",
                f"{row['activations'] / 1e6:.2f}",
            )
        table.add_section()
    return table


def _variant_row(name: str) -> dict[str, Any]:
    counts = measure_variant(name).as_dict()
    return {"network": "classifier", "image_size": get_variant(name).image_size, **counts}


def _config_rows(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns a row for each config; a network that many of them share is counted once."""
    rows: dict[str, dict[str, Any]] = {}
    counted: dict[str, dict[str, Any]] = {}
    for name in names:
        cfg = load_config(str(find_config(name))).cfg
        classifies = task_of(cfg) == "classification"
        crop = cfg.INPUT.CLASSIFICATION.TEST_CROP
        keys = repr((classifies, cfg.MODEL.RESNETS, cfg.MODEL.CLASSIFIER.NUM_CLASSES, crop))
        if keys not in counted:
            counted[keys] = _config_row(cfg, classifies)
        rows[name.removeprefix(SCHEME)] = dict(counted[keys])
    return rows


def _config_row(cfg: CfgNode, classifies: bool) -> dict[str, Any]:
    with torch.device("meta"):
        network = classifier_from_config(cfg) if classifies else backbone_from_config(cfg)
    image_size = cfg.INPUT.CLASSIFICATION.TEST_CROP if classifies else DETECTION_IMAGE_SIZE
    counts = measure_complexity(network, image_size).as_dict()
    kind = "classifier" if classifies else "backbone"
    return {"network": kind, "image_size": image_size, **counts}
