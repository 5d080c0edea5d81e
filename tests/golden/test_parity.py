"""The checked-in measurements of the parity table: complete, within limits, of one commit."""

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.engines.portable import references
from tests.golden.formula import NETS, TINY_NETS
from tests.golden.measure_parity import stage_gaps
from tests.golden.tolerances import BENCH, GRADIENTS, LOSSES, STAGES, TRAINING, WHOLE

HERE = Path(__file__).parent
# What Detectron2 computed at each stage that a row compares.
COMPARED = {
    "anchors": ["anchors.0"],
    "proposals": ["proposals_test.1", "proposals_train.0"],
    "proposal scores": ["proposal_logits_test.0", "proposal_logits_train.1"],
    "matched and sampled anchors and regions": [
        "anchor_matches.0",
        "anchor_labels.1",
        "sampled_anchor_labels.0",
        "sampled_anchor_gt.0",
        "region_boxes.0",
        "region_gt.0",
    ],
    "RoI features": ["roi_features"],
    "class logits": ["cls_logits"],
    "final boxes": ["detected_boxes.0", "final_boxes.1"],
    "final scores": ["detected_scores.1", "final_scores.0"],
    "final classes": ["detected_classes.0", "final_classes.1"],
    **{name: [name] for name in LOSSES},
}
PARITY = json.loads((HERE / "parity.json").read_text())


def test_rows_and_tolerances_are_the_tests():
    rows = [(row["what"], (row["unit"], row["tolerance"])) for row in PARITY["rows"]]
    assert rows == list((STAGES | WHOLE | GRADIENTS | TRAINING).items())


@pytest.mark.parametrize("row", PARITY["rows"], ids=lambda row: row["what"])
def test_every_value_is_within_its_tolerance(row):
    nets = [BENCH] if row["what"] in TRAINING else TINY_NETS if row["what"] in GRADIENTS else NETS
    assert list(row["largest"]) == list(nets)
    for net, value in row["largest"].items():
        assert math.isfinite(value), net
        assert 0 <= value <= row["tolerance"], net


def test_names_what_it_was_measured_with():
    requirement = (HERE.parents[1] / "requirements-detectron2.txt").read_text()
    pinned = re.search(r"^detectron2 @ \S+@([0-9a-f]{40})$", requirement, re.MULTILINE)
    assert pinned
    assert PARITY["versions"]["detectron2_commit"] == pinned[1]
    assert {"python", "torch", "torchvision", "detectron2"} <= PARITY["versions"].keys()
    assert PARITY["hardware"]["cpu"]
    assert PARITY["hardware"]["cores"] >= 1
    assert "tests.golden.measure_parity" in PARITY["command"]


@pytest.mark.parametrize(
    ("what", "array"), [(w, a) for w, names in COMPARED.items() for a in names]
)
def test_the_measurement_sees_a_difference(what, array):
    """The engines agree bit for bit on one machine: zeros have to come from a live comparison."""
    reference = references.golden("tiny_resnext")
    changed = reference.arrays[array] + np.ones((), reference.arrays[array].dtype)
    arrays = reference.arrays | {array: np.asarray(changed)}
    gaps = stage_gaps(dataclasses.replace(reference, arrays=arrays))
    assert dict(zip(STAGES, gaps, strict=True))[what] > STAGES[what][1]
    assert list(COMPARED) == list(STAGES)
