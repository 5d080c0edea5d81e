"""A classifier's training gone wrong, kept and done again. Engine-neutral."""

import json
import math
from dataclasses import replace

import pytest
import torch

from resnext_det.classification import train, train_classifier
from resnext_det.cli import main
from tests.training.runs import assert_equal


def stop(loaded, datasets):
    with pytest.raises(FloatingPointError) as error:
        train_classifier(loaded, datasets)
    return str(error.value)


def reproduce(folder, tmp_path):
    assert main(["reproduce", str(folder), "--json", str(tmp_path / "found.json")]) == 0
    return json.loads((tmp_path / "found.json").read_text())


@pytest.fixture
def nan_pixel(monkeypatch):
    """Returns a function that makes a pixel NaN in the second image of some iterations."""

    def plant(*at):
        original = train._batches

        def planted(job, cfg, first, aside):
            for iteration, batch in enumerate(original(job, cfg, first, aside), first):
                if iteration in at:
                    images = batch.images.float()
                    images[1, 0, 3, 3] = math.nan
                    batch = replace(batch, images=images)
                yield batch

        monkeypatch.setattr(train, "_batches", planted)

    return plant


def test_a_learning_rate_far_too_large(load, datasets, tmp_path):
    message = stop(
        load("SOLVER.BASE_LR", 1e6, "SOLVER.WARMUP_ITERS", 0, "SOLVER.MAX_ITER", 50), datasets
    )
    assert "try SOLVER.BASE_LR 0.00234 (usual for 6 images per update; a rule of thumb)" in message
    (folder,) = (tmp_path / "run/non_finite").iterdir()
    assert f"`resnext-det reproduce {folder}`" in message
    found = reproduce(folder, tmp_path)
    # Whichever is too large first: mostly a variance, while the loss is still finite.
    assert {"loss_cls", "running statistics"} & set(found["not_finite"])
    assert found["largest_relative_difference"] < 1e-6


def test_a_pixel_that_is_no_number(load, datasets, tmp_path, nan_pixel, capsys):
    nan_pixel(3)
    mixed = ("SOLVER.MIXUP_ALPHA", 0.2, "INPUT.CLASSIFICATION.COLOR_JITTER", [0.4, 0.4, 0.4])
    message = stop(load("SOLVER.GRADIENT_ACCUMULATION", 2, *mixed), datasets)
    folder = tmp_path / "run/non_finite/iter_0000003"
    said = json.loads((folder / "bundle.json").read_text())
    names = [image["file_name"] for image in said["shares"][0]["images"]]
    assert len(names) == 6
    assert all(str(tmp_path / "toy_train") in name for name in names)
    assert message.startswith("iteration 3: loss_cls (nan) not finite, learning rate")
    assert "the batch itself is not finite (images): mend its data" in message
    assert said["last_good_checkpoint"]["name"] == "model_0000001.pth"
    found = reproduce(folder, tmp_path)
    assert found["first_module"]["name"] == "stem.conv1"
    assert not found["first_module"]["inputs_are_finite"]
    assert "1 value(s) not finite" in capsys.readouterr().out


def test_a_poisoned_weight(load, datasets, tmp_path, monkeypatch):
    original = train.build_loop

    def poisoned(cfg, model, *args, **keys):
        with torch.no_grad():
            model.res3[0].conv1.weight[0, 0, 0, 0] = math.nan
        return original(cfg, model, *args, **keys)

    monkeypatch.setattr(train, "build_loop", poisoned)
    message = stop(load("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.DTYPE", "bfloat16"), datasets)
    assert "res3.0.conv1.weight was not finite before it, by an earlier update" in message
    found = reproduce(tmp_path / "run/non_finite/iter_0000000", tmp_path)
    assert found["bad_weights"] == ["res3.0.conv1.weight"]
    assert found["first_module"]["name"] == "res3.0.conv1"
    assert found["first_module"]["inputs_are_finite"]


def test_skipped_updates_resume_to_the_bit(
    load, datasets, tmp_path, nan_pixel, train_and_interrupt
):
    nan_pixel(1, 4)
    words = (
        *("SOLVER.NON_FINITE", "skip", "SOLVER.AMP.ENABLED", True, "SOLVER.AMP.DTYPE", "bfloat16"),
        *("SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.5, "DATASETS.TEST", []),
    )
    result = train_classifier(load(*words, output="whole"), datasets)
    assert result["non_finite"] == {"skipped": 2, "iterations": [1, 4]}
    train_and_interrupt(load(*words), datasets, after=4)
    again = train_classifier(load(*words), datasets, resume=True)
    assert again["non_finite"] == result["non_finite"]
    one, other = (
        torch.load(tmp_path / name / "model_final.pth", weights_only=True)
        for name in ("whole", "run")
    )
    assert_equal(one, other, but=["/config", "/digest"])  # which know the folder
    assert all(v.isfinite().all() for v in one["model"].values() if v.is_floating_point())
