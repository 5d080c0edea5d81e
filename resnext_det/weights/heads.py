"""What sits on the backbone of a state dict, told by names and shapes. Engine-neutral.

Names are those of Detectron2's meta-architectures, and of torchvision's detectors on our backbone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

# Names of ours that stand in a head, a neck, or a detector's own constants.
_KNOWN = re.compile(
    r"(?:^|\.)(?:linear\.(?:weight|bias)$|fpn_(?:lateral|output)\d\.|top_block\.p\d\.|"
    r"fpn\.(?:inner_blocks|layer_blocks|extra_blocks)\.|"
    r"(?:proposal_generator\.rpn_head|rpn\.head)\.|"
    r"roi_heads\.(?:box_head|box_predictor|mask_head|mask_predictor|keypoint_head|"
    r"keypoint_predictor)\.|sem_seg_head\.|"
    r"head\.(?:cls_subnet|bbox_subnet|cls_score|bbox_pred|ctrness|scales|"
    r"classification_head|regression_head)\.|"
    r"anchor_generator\.cell_anchors\.|pixel_(?:mean|std)$)"
)
_ROI_CLASSES = re.compile(r"(?:^|\.)roi_heads\.box_predictor\.(?:0\.)?cls_score\.weight$")


@dataclass(frozen=True)
class Head:
    """A classifier's, a detector's, or none.

    Attributes:
        kind: "classifier", "Faster R-CNN", "Mask R-CNN", "Cascade Mask R-CNN", "RetinaNet",
            "FCOS", "RPN", "Panoptic FPN", …; "none" for a bare backbone.
        num_classes: without the background; None where there are none or they are not seen.
        neck: "FPN", "C4", "DC5", or "".
        parts: further heads in words: "masks at points (PointRend)", "keypoints".
        tensor: name of the tensor whose rows are the classes, "" where there is none.
    """

    kind: str
    num_classes: int | None = None
    neck: str = ""
    parts: tuple[str, ...] = ()
    tensor: str = ""

    @property
    def is_detector(self) -> bool:
        """There is a head that finds objects or their segments."""
        return self.kind not in ("classifier", "none")

    def __str__(self) -> str:
        if self.kind == "none":
            return "none: a backbone" + (f" with {self.neck}" if self.neck else "")
        text = self.kind if not self.neck or self.neck in self.kind else f"{self.kind} {self.neck}"
        details = [] if self.num_classes is None else [_plural(self.num_classes)]
        return ", ".join([text, *details, *self.parts])


def infer_head(state: Mapping[str, Tensor]) -> Head:
    """Tells the head of a state dict in our names.

    Args:
        state: name -> tensor of a classifier, a backbone or a detector, also with Detectron's
            short names (`cls_score.weight`).
    """
    placed = {_with_place(name): name for name in state}
    head = _infer({name: state[short] for name, short in placed.items()})
    return replace(head, tensor=placed.get(head.tensor, ""))


def _infer(state: Mapping[str, Tensor]) -> Head:
    names = tuple(state)
    if linear := _first(r"^linear\.weight$", state):
        return Head("classifier", _rows(state, linear), tensor=linear)
    neck = _neck(state)
    if dense := _first(r"(^|\.)head\.cls_score\.weight$", state):
        return _dense_head(state, dense, neck)
    if any(re.search(r"(^|\.)roi_heads\.box_predictor\.", name) for name in names):
        return _region_head(state, neck)
    if _first(r"(^|\.)(proposal_generator\.rpn_head|rpn\.head)\.", state):
        return Head("RPN", neck=neck)
    if segments := _first(r"(^|\.)sem_seg_head\.predictor\.weight$", state):
        return Head("semantic FPN", _rows(state, segments), neck=neck, tensor=segments)
    return Head("none", neck=neck)


def is_known_head_key(name: str) -> bool:
    """Tells whether a tensor of ours belongs to a head or a neck that is known."""
    return _KNOWN.search(_with_place(name)) is not None


def _dense_head(state: Mapping[str, Tensor], classes: str, neck: str) -> Head:
    """RetinaNet's or FCOS's: their scores have a row for each class and anchor, or for a class."""
    boxes = _first(r"(^|\.)head\.bbox_pred\.weight$", state)
    if _first(r"(^|\.)head\.ctrness\.weight$", state):
        return Head("FCOS", _rows(state, classes), neck, tensor=classes)
    anchors = (_rows(state, boxes) or 0) // 4 if boxes else 0
    rows = _rows(state, classes)
    num_classes = rows // anchors if rows and anchors else None
    return Head("RetinaNet", num_classes, neck, tensor=classes)


def _region_head(state: Mapping[str, Tensor], neck: str) -> Head:
    """A head on regions; its scores have one row more than classes, for the background."""
    classes = next((name for name in state if _ROI_CLASSES.search(name)), "")
    rows = _rows(state, classes)
    masks = _first(r"(^|\.)roi_heads\.mask_(head|predictor)\.", state)
    keypoints = _first(r"(^|\.)roi_heads\.keypoint_(head|predictor)\.", state)
    proposals = _first(r"(^|\.)(proposal_generator\.rpn_head|rpn\.head)\.", state)
    cascade = _first(r"(^|\.)roi_heads\.box_predictor\.1\.", state)
    kind = "Mask R-CNN" if masks else "Keypoint R-CNN" if keypoints else "Faster R-CNN"
    if not proposals:
        kind = "Fast R-CNN" if kind == "Faster R-CNN" else f"{kind} on given proposals"
    if cascade:
        kind = "Cascade R-CNN" if kind == "Faster R-CNN" else f"Cascade {kind}"
    if _first(r"(^|\.)sem_seg_head\.", state):
        kind = f"{'Cascade ' if cascade else ''}Panoptic FPN"
    parts = {
        "masks at points (PointRend)": _first(r"(^|\.)roi_heads\.mask_head\.point_head\.", state),
        "keypoints": keypoints if masks else None,
    }
    found = tuple(words for words, name in parts.items() if name)
    return Head(kind, rows - 1 if rows else None, neck, found, classes)


def _neck(state: Mapping[str, Tensor]) -> str:
    """FPN by its own names; C4 by a res5 in the head; DC5 by proposals made on res5's maps."""
    if _first(r"(^|\.)fpn(_lateral\d|\.inner_blocks)\.", state):
        return "FPN"
    if _first(r"(^|\.)roi_heads\.res5\.", state):
        return "C4"
    if _first(r"(^|\.)proposal_generator\.rpn_head\.", state):
        return "DC5" if _first(r"(^|\.)res5\.", state) and not _is_short_c4(state) else "C4"
    return ""


def _is_short_c4(state: Mapping[str, Tensor]) -> bool:
    """Tells a C4 detector of Detectron: res5 has no place in its name, and is all of the head."""
    head = _first(r"^roi_heads\.box_head\.", state)
    return _first(r"^res5\.", state) is not None and head is None


def _with_place(name: str) -> str:
    """Puts a short name of a head's, as Detectron's come, where Detectron2's models have it."""
    if name.startswith(("cls_score.", "bbox_pred.")):
        return f"roi_heads.box_predictor.{name}"
    return f"roi_heads.{name}" if name.startswith(("box_head.", "mask_head.")) else name


def _first(pattern: str, names: Mapping[str, Tensor]) -> str | None:
    return next((name for name in names if re.search(pattern, name)), None)


def _rows(state: Mapping[str, Tensor], name: str | None) -> int | None:
    return state[name].shape[0] if name and state[name].dim() else None


def _plural(number: int) -> str:
    return f"{number:,} class{'' if number == 1 else 'es'}"
