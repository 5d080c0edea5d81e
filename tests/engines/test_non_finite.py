"""A detector's training gone wrong, kept and done again, on both engines."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from resnext_det.cli import main
from resnext_det.engines.base import Engine
from resnext_det.engines.detection import train_detector
from tests.engines.conftest import Bench
from tests.training.runs import assert_equal

SHORT = ("DATASETS.TEST", "[]", "SOLVER.MAX_ITER", 6, "SOLVER.STEPS", "[5]")


def spoil_box(sample: Any) -> None:
    """Makes the first box of a sample no box at all."""
    boxes = sample["instances"].gt_boxes.tensor if isinstance(sample, dict) else sample.gt_boxes
    boxes[0] = math.nan


def spoil_pixel(sample: Any) -> None:
    image = (sample["image"] if isinstance(sample, dict) else sample.image).float()
    image[0, 5, 5] = math.nan
    if isinstance(sample, dict):
        sample["image"] = image
    else:
        sample.image = image


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Returns a function that spoils the second image of the batch of some iterations."""

    def plant(engine: Engine, at: tuple[int, ...], spoil: Callable[[Any], None]) -> None:
        original = type(engine).train_batches

        def planted(self: Any, run: Any, start: int) -> Any:
            for iteration, batch in enumerate(original(self, run, start), start):
                if iteration in at:
                    spoil(batch[1])
                yield batch

        monkeypatch.setattr(type(engine), "train_batches", planted)

    return plant


def stop(engine: Engine, bench: Bench, name: str, *words: object) -> str:
    with pytest.raises(FloatingPointError) as error:
        train_detector(engine, bench.job(name, *SHORT, *words))
    return str(error.value)


def reproduce(folder: Path, out: Path) -> dict[str, Any]:
    assert main(["reproduce", str(folder), "--json", str(out)]) == 0
    return json.loads(out.read_text())


def test_a_box_that_is_none(
    engine: Engine, bench: Bench, plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(engine, (3,), spoil_box)
    message = stop(engine, bench, "run")
    folder = bench.folder / "run/non_finite/iter_0000003"
    assert message.startswith("iteration 3: loss_")
    assert "learning rate 0.01; kept in" in message
    assert f"`resnext-det reproduce {folder}`" in message
    assert "the batch itself is not finite" in message
    assert "\n" not in message
    said = json.loads((folder / "bundle.json").read_text())
    assert said["engine"] == engine.name
    checkpoint = said["last_good_checkpoint"]
    assert (checkpoint["name"], checkpoint["iteration"]) == ("model_0000002.pth", 2)
    images = said["shares"][0]["images"]
    assert len(images) == 2
    assert images[1]["file_name"] in message
    assert {entry["values"] for entry in said["shares"][0]["not_finite"]} == {4}
    assert said["not_finite"] == ["loss_rpn_loc"]  # the slope of |NaN| is 0: no gradient is NaN
    found = reproduce(folder, tmp_path / "found.json")
    assert found["reproduced"]
    assert set(found["not_finite"]) == set(said["not_finite"])
    assert found["largest_relative_difference"] < 1e-6  # sums on the CPU, of memory laid otherwise
    assert found["bad_weights"] == []
    assert found["first_module"]["name"] == "proposal_generator"  # which returns its losses
    assert not found["first_module"]["inputs_are_finite"]  # the box is one of them
    assert found["first_gradient"] is None


def test_a_pixel_that_is_no_number(
    engine: Engine, bench: Bench, plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(engine, (1,), spoil_pixel)
    message = stop(engine, bench, "run")
    folder = bench.folder / "run/non_finite/iter_0000001"
    assert "not finite" in message or "Inf/NaN" in message
    said = json.loads((folder / "bundle.json").read_text())
    assert said["error"]  # the region proposals break off the forward pass
    assert said["last_good_checkpoint"] is None
    found = reproduce(folder, tmp_path / "found.json")
    assert found["error"] == said["error"]
    assert found["first_module"]["name"] == "backbone.bottom_up.stem.conv1"
    assert not found["first_module"]["inputs_are_finite"]
    assert [entry[2] for entry in found["bad_data"]] == [1]


def test_a_learning_rate_far_too_large(engine: Engine, bench: Bench, tmp_path: Path) -> None:
    message = stop(
        engine, bench, "run", "SOLVER.BASE_LR", 1e6, "SOLVER.WARMUP_ITERS", 0, "SOLVER.MAX_ITER", 50
    )
    # 2 images at 0.02 for 16, and halves of the rate are above it
    assert "try SOLVER.BASE_LR 0.0025 (usual for 2 images per update; a rule of thumb)" in message
    (folder,) = (bench.folder / "run/non_finite").iterdir()
    assert reproduce(folder, tmp_path / "found.json")["reproduced"]


def test_skipped_updates_leave_nothing_and_resume_to_the_bit(
    engine: Engine, bench: Bench, plant: Callable[..., None]
) -> None:
    plant(engine, (1, 4), spoil_pixel)
    words = (
        *(*SHORT, "SOLVER.NON_FINITE", "skip", "SOLVER.GRADIENT_ACCUMULATION", 2),
        *("SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.5, "SOLVER.CHECKPOINT_PERIOD", 3),
        *("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.DTYPE", "bfloat16"),
    )
    train_detector(engine, bench.job("whole", *words))
    bench.cut("whole", "model_0000002.pth", "cut")
    train_detector(engine, bench.job("cut", *words, resume=True))
    one, other = (
        torch.load(bench.folder / name / "model_final.pth", weights_only=True)
        for name in ("whole", "cut")
    )
    assert_equal(one, other, but=["/config", "/digest"])  # which know the folder
    assert one["non_finite"]["iterations"] == [1, 4]
    assert one["ema"]["updates"] == 4
    assert all(v.isfinite().all() for v in one["model"].values() if v.is_floating_point())
    for name in ("whole", "cut"):
        result = json.loads((bench.folder / name / "result.json").read_text())
        assert result["non_finite"] == {"skipped": 2, "iterations": [1, 4]}
    kept = [path.name for path in (bench.folder / "whole/non_finite").iterdir()]
    assert kept == ["iter_0000001"]  # of the first alone
    assert not (bench.folder / "cut/non_finite").exists()
