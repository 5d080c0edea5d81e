"""Rows of Detectron's heads that stand in another order, or for nothing, elsewhere. Engine-neutral.

Detectron counts the background as class 0, Detectron2 and this package as the last class; see
Detectron2's docs/notes/compatibility.md and checkpoint/c2_model_loading.py.
"""

import torch
from torch import Tensor

from resnext_det.weights.naming.detectron_cfg import DetectronCfg

_COORDINATES = 4


def rearrange_rows(key: str, value: Tensor, cfg: DetectronCfg) -> tuple[Tensor | None, str]:
    """Gives a head's tensor the rows that its counterpart here has.

    Args:
        key: our name of it.
        value: (rows, …), as Detectron wrote it.
        cfg: of the file; what it does not say is taken to be Detectron's default.

    Returns:
        The tensor, None where this package has no such head; and a line for the log or "".
    """
    layer = key.rpartition(".")[0]
    if value.dim() == 0:  # of no layer; the load report has it among the mismatched
        return value, ""
    if layer == "cls_score":
        return torch.cat([value[1:], value[:1]]), "the background moved from first to last class"
    if layer == "bbox_pred":
        # Class-agnostic ones have two classes, background and everything: one remains.
        return value[_COORDINATES:], "boxes of the background left out"
    if layer == "mask_head.predictor":
        return _masks(key, value, cfg)
    if layer == "head.cls_score" and cfg.softmax_retinanet:
        return None, f"{key} left out: a RetinaNet with softmax over classes has no like here"
    if layer.startswith("proposal_generator.rpn_head.") and not layer.endswith(".conv"):
        return _anchors(layer, value, cfg)
    return value, ""


def _masks(key: str, value: Tensor, cfg: DetectronCfg) -> tuple[Tensor | None, str]:
    if key.endswith(".weight") and value.dim() == 2:
        return None, f"{key} left out: a fully connected mask predictor has no like here"
    # One mask for all classes has no background among its rows: Detectron2's converter drops that
    # only row, here it stays.
    if cfg.class_agnostic_masks or value.shape[0] == 1:
        return value, ""
    return value[1:], "the background's mask left out"


def _anchors(layer: str, value: Tensor, cfg: DetectronCfg) -> tuple[Tensor, str]:
    """Puts the anchors of an RPN without FPN into the order (size, ratio).

    Detectron enumerates the ratios and, for each, the sizes (modeling/generate_anchors.py);
    Detectron2's anchor generator and ours the sizes first. With one size a level, as with FPN, the
    two are the same. Detectron2's converter leaves them as they are.
    """
    each = _COORDINATES if layer.endswith("anchor_deltas") else 1
    sizes, ratios = cfg.rpn_sizes, cfg.rpn_ratios
    if not sizes or not ratios or sizes == 1 or value.shape[0] != each * sizes * ratios:
        return value, ""
    by_ratio = value.reshape(ratios, sizes, each, *value.shape[1:])
    note = f"anchors of the RPN put in order of size before shape ({sizes} and {ratios})"
    return by_ratio.transpose(0, 1).reshape(value.shape), note
