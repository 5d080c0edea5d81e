"""The stored files against the installed Detectron2, stage by stage. Detectron2."""

import numpy as np
import pytest

from tests.engines.portable import references
from tests.golden.compare import match_detections
from tests.golden.formula import TINY_NETS
from tests.golden.tolerances import FINAL_PIXELS, PIXELS, SCORES

pytestmark = pytest.mark.d2

OF_LARGEST = 1e-5
# Absolute limits, by the beginning of a name; everything else is held to a share of its largest.
LIMITS = {
    **dict.fromkeys(("anchors", "proposals_", "region_boxes", "region_gt"), PIXELS),
    **dict.fromkeys(("detected_boxes", "final_boxes"), FINAL_PIXELS),
    **dict.fromkeys(("detected_scores", "final_scores"), SCORES),
}


def disagreements(net: str, stored: dict[str, np.ndarray]) -> list[str]:
    """Names of the arrays that the installed Detectron2 does not compute from their inputs."""
    from tests.golden import make_golden

    model, inputs = make_golden.detectron2_model(net), make_golden.detectron2_inputs(net)
    found = make_golden.detectron2_stages(model, inputs, stored)
    names = sorted(found.keys() ^ stored.keys())
    names += [n for n in stored if n in found and not _is_whole(n) and not _agree(n, found, stored)]
    spread = references.golden(net).header["spread"]
    for name in (n for n in stored if n.startswith("whole_loss")):
        if abs(found[name] / stored[name] - 1) > spread["losses"]:
            names.append(name)
    return names + [f"whole {i}" for i in (0, 1) if not _detections_agree(i, found, stored, spread)]


@pytest.mark.parametrize("net", TINY_NETS)
def test_detectron2_computes_what_is_stored(net: str) -> None:
    assert disagreements(net, references.golden(net).arrays) == []


@pytest.mark.parametrize(
    "name",
    [
        *("images", "features.p3", "anchors.0", "rpn_logits.1", "anchor_labels.1"),
        *("sampled_anchor_labels.0", "loss_rpn_loc", "proposals_train.0", "roi_features"),
        *("cls_logits", "detected_scores.0", "final_boxes.1", "region_classes.0", "loss_cls"),
        *("whole_loss_cls", "whole_boxes.1"),
    ],
)
def test_a_file_that_disagrees_is_found_out(name: str) -> None:
    arrays = references.golden("tiny_resnext").arrays
    changed = arrays[name] + np.asarray(np.abs(arrays[name]).max() * 0.2).astype(arrays[name].dtype)
    if arrays[name].dtype.kind == "i":
        changed = np.roll(arrays[name], 1)
    stored = arrays | {name: np.asarray(changed)}
    found = disagreements("tiny_resnext", stored)
    assert name in found or f"whole {name[-1]}" in found


def _is_whole(name: str) -> bool:
    return name.startswith("whole_")


def _agree(name: str, found: dict[str, np.ndarray], stored: dict[str, np.ndarray]) -> bool:
    ours, theirs = found[name], stored[name]
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if ours.dtype.kind != "f":
        return bool((ours == theirs).all())
    absolute = (limit for start, limit in LIMITS.items() if name.startswith(start))
    limit = next(absolute, OF_LARGEST * float(np.abs(theirs).max(initial=0)))
    return float(np.abs(ours - theirs).max(initial=0)) <= limit


def _detections_agree(
    image: int,
    found: dict[str, np.ndarray],
    stored: dict[str, np.ndarray],
    spread: dict[str, float],
) -> bool:
    """A whole model on another machine: within Detectron2's own spread, which the file records."""
    ours, theirs = (
        (arrays[f"whole_boxes.{image}"], arrays[f"whole_classes.{image}"])
        for arrays in (found, stored)
    )
    pairs, unmatched = match_detections(ours, theirs)
    gaps = [float(np.abs(ours[0][i] - theirs[0][j]).max()) for i, j in pairs]
    return unmatched <= spread["unmatched"] and max(gaps, default=0.0) <= spread["boxes"]
