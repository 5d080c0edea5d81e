"""Our config tree inside Detectron2's. Detectron2."""

from pathlib import Path

import yaml
from detectron2.config import CfgNode
from detectron2.config import get_cfg as get_detectron2_cfg
from fvcore.common.config import CfgNode as NeutralCfgNode

from resnext_det.config import add_keys, dump_config


def add_config(cfg: CfgNode) -> None:
    """Adds this project's keys to Detectron2's config tree.

    Call it once after `detectron2.config.get_cfg()`; then every file under `configs/`
    loads with `cfg.merge_from_file(path)`.
    """
    add_keys(cfg)


def to_detectron2_config(cfg: NeutralCfgNode) -> CfgNode:
    """Returns the same settings as a frozen config of Detectron2's own type."""
    converted = get_detectron2_cfg()
    add_config(converted)
    converted.merge_from_other_cfg(CfgNode(yaml.safe_load(dump_config(cfg))))
    converted.OUTPUT_DIR = str(Path(cfg.OUTPUT_DIR))
    converted.freeze()
    return converted
