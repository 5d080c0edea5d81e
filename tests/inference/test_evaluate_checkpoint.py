"""`resnext-det evaluate` on a checkpoint and on the folder of a real run."""

import json
from pathlib import Path

import pytest

from resnext_det.cli import main
from tests.inference.conftest import Trained


def test_a_real_runs_folder_needs_nothing_else(portable: Trained, tmp_path: Path) -> None:
    portable.evaluated()
    run, copy = portable.bench.folder / "evaluated", tmp_path / "copy.json"
    assert main(["evaluate", str(run), "--samples", "0", "--json", str(copy)]) == 0
    found, kept = (
        json.loads(path.read_text()) for path in (copy, run / "inference" / "result.json")
    )
    assert found["metrics"]["AP"] == pytest.approx(kept["metrics"]["AP"], nan_ok=True)
    assert Path(found["annotations"]) == portable.annotations.resolve()


def test_a_checkpoint_is_run_first(portable: Trained, tmp_path: Path) -> None:
    entry = portable.bench.entry
    data = f"other={entry.json_file}:{entry.image_root}"
    out = tmp_path / "out"
    words = ["evaluate", str(portable.checkpoint), "--engine", "portable", "--test-data", data]
    assert main([*words, "-o", str(out), "--samples", "0", "--pictures", "1"]) == 0
    results = json.loads((out / "inference" / "coco_instances_results.json").read_text())
    assert results == portable.evaluated()
    content = json.loads((out / "evaluation.json").read_text())
    assert content["num_detections"] == len(results)
    if results:
        assert "data:image/jpeg" in (out / "evaluation.html").read_text()
