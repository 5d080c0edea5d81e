"""Detectron2's projects that a config names. Detectron2."""

import importlib

from fvcore.common.config import CfgNode

from resnext_det.errors import UserError


def uses_pointrend(cfg: CfgNode) -> bool:
    """Whether a part of the detector is PointRend's."""
    model = cfg.MODEL
    names = (model.ROI_HEADS.NAME, model.ROI_MASK_HEAD.NAME, model.SEM_SEG_HEAD.NAME)
    return any("PointRend" in name for name in names)


def register_projects(cfg: CfgNode) -> None:
    """Registers PointRend's heads with Detectron2 where the config names one.

    Raises:
        UserError: a package that they need is missing.
    """
    if not uses_pointrend(cfg):
        return
    try:
        importlib.import_module("detectron2.projects.point_rend")
    except ImportError as error:
        raise UserError(
            f"PointRend (MODEL.ROI_MASK_HEAD.NAME {cfg.MODEL.ROI_MASK_HEAD.NAME}) needs the "
            f"package {error.name}, which is not installed: pip install "
            f"{'opencv-python-headless' if error.name == 'cv2' else error.name}"
        ) from error
