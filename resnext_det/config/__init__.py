"""Config files: the key tree, loading, named variants and checks. Engine-neutral."""

from resnext_det.config.coerce import parse_text
from resnext_det.config.honoured import changed_keys, check_honoured
from resnext_det.config.keys import add_keys
from resnext_det.config.loader import (
    LoadedConfig,
    config_of_text,
    load_config,
    override_pairs,
)
from resnext_det.config.sources import config_root, find_config
from resnext_det.config.tree import (
    dump_config,
    flatten,
    get_cfg,
    get_value,
    meant,
    nearest,
    task_of,
    with_values,
)
from resnext_det.config.validate import check_weights, validate_config
from resnext_det.config.variant import apply_variant

__all__ = [
    "LoadedConfig",
    "add_keys",
    "apply_variant",
    "changed_keys",
    "check_honoured",
    "check_weights",
    "config_of_text",
    "config_root",
    "dump_config",
    "find_config",
    "flatten",
    "get_cfg",
    "get_value",
    "load_config",
    "meant",
    "nearest",
    "override_pairs",
    "parse_text",
    "task_of",
    "validate_config",
    "with_values",
]
