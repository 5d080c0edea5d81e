"""Writes caffe2_pairs.json: which name Detectron2's converter gives each blob. Detectron2.

    python -m tests.weights.naming.make_caffe2_pairs

MSRA's classifier, `fc1000`, is left out: Detectron2 has no name for it, and here it is `linear`.
"""

import json
from pathlib import Path
from typing import Any

from tests.weights.caffe2_kinds import KINDS

ROOT = Path(__file__).parents[3]
RECORD = Path(__file__).with_name("caffe2_pairs.json")


def make_record() -> dict[str, Any]:
    from detectron2.checkpoint.c2_model_loading import convert_c2_detectron_names

    pairs: dict[str, str] = {}
    blobs: dict[str, int] = {}
    for kind, make in KINDS.items():
        files = make().blobs
        blobs[kind] = len(files)
        _, original = convert_c2_detectron_names(files)
        pairs.update({blob: key for key, blob in original.items()})
    kept = {b: k for b, k in pairs.items() if not b.startswith("fc1000")}
    requirement = (ROOT / "requirements-detectron2.txt").read_text()
    return {
        "detectron2": requirement.rpartition("@")[2].strip(),
        "made_by": "python -m tests.weights.naming.make_caffe2_pairs",
        "blobs": blobs,
        "pairs": dict(sorted(kept.items())),
    }


if __name__ == "__main__":
    RECORD.write_text(json.dumps(make_record(), indent=0) + "\n")
