"""Runs on folders with broken images: set aside by name, or refused. Engine-neutral."""

import json
from pathlib import Path

import pytest
import torch

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.classification.pictures import prediction_pictures
from resnext_det.data.image_folder import load_image_folder
from resnext_det.errors import UserError
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.launch import launch
from resnext_det.training.place import Request

SHORT = ("SOLVER.MAX_ITER", 4, "SOLVER.STEPS", [], "TEST.EVAL_PERIOD", 0)


def cut_off(path):
    """Cuts a file behind its header, so that only decoding finds out."""
    path.write_bytes(path.read_bytes()[:200])
    return str(path)


@pytest.fixture
def broken(datasets):
    """Paths of two broken images of each set; one of each is no image at all."""
    paths = []
    for dataset in datasets.values():
        paths.append(cut_off(dataset.image_root / "green" / "1.png"))
        (dataset.image_root / "red" / "3.png").write_bytes(b"")
        paths.append(str(dataset.image_root / "red" / "3.png"))
    return sorted(paths)


def names_in(result):
    assert result["set_aside"]["count"] == len(result["set_aside"]["images"])
    assert all(image["reason"] for image in result["set_aside"]["images"])
    return [image["name"] for image in result["set_aside"]["images"]]


def test_a_run_names_what_it_set_aside(load, datasets, broken, tmp_path):
    loaded = load(*SHORT)  # 4 x 6 images: each is drawn twice
    result = train_classifier(loaded, datasets)
    assert names_in(result) == broken
    assert names_in(json.loads((tmp_path / "run/result.json").read_text())) == broken
    log = (tmp_path / "run/log.txt").read_text()
    for path in broken:
        assert log.count(f"Set aside: {path}: ") == 1
    again = load("MODEL.WEIGHTS", f"{loaded.cfg.OUTPUT_DIR}/model_final.pth", output="eval")
    tested = evaluate_classifier(again, datasets)
    assert names_in(tested) == [path for path in broken if "toy_val" in path]
    # Ten of the twelve images are counted.
    assert tested["metrics"]["top1"] in [pytest.approx(10.0 * right) for right in range(11)]
    assert tested["metrics"] == result["metrics"]


def test_a_resumed_run_names_what_it_met_before(
    load, datasets, broken, tmp_path, train_and_interrupt
):
    keys = ("SOLVER.MAX_ITER", 5, "SOLVER.STEPS", [], "TEST.EVAL_PERIOD", 0)
    whole = train_classifier(load(*keys, output="whole"), datasets)
    train_and_interrupt(load(*keys), datasets, after=3)
    assert train_classifier(load(*keys), datasets, resume=True)["set_aside"] == whole["set_aside"]
    states = [
        torch.load(tmp_path / run / "model_final.pth", weights_only=True)
        for run in ("whole", "run")
    ]
    assert states[0]["set_aside"] == states[1]["set_aside"]
    for key, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][key]), key


def test_a_sound_run_sets_nothing_aside(load, datasets):
    result = train_classifier(load(*SHORT), datasets)
    assert result["set_aside"] == {"count": 0, "images": []}


def test_broken_images_can_be_refused(load, datasets, broken):
    refuse = ("DATASETS.MAX_BROKEN_IMAGES", 0)
    with pytest.raises(UserError, match=r"red/3\.png: cannot be read as an image"):
        train_classifier(load(*SHORT, *refuse), datasets)
    for path in broken:
        if "red" in path:
            Path(path).unlink()
    with pytest.raises(
        UserError, match=r"green/1\.png: cannot be read as an image .*MAX_BROKEN_IMAGES"
    ):
        train_classifier(load(*SHORT, *refuse), datasets)


def test_a_test_set_of_broken_images_is_refused(load, datasets):
    for path in datasets["toy_val"].image_root.rglob("*.png"):
        cut_off(path)
    with pytest.raises(UserError, match=r"'toy_val': none of its images can be read; the first is"):
        train_classifier(load(*SHORT), datasets)


def test_pictures_are_of_readable_images(load, datasets):
    dataset = load_image_folder(datasets["toy_val"])
    cut_off(Path(dataset.images.name(4)))
    loaded = load("TEST.PICTURES", 3, "MODEL.CLASSIFIER.NUM_CLASSES", 3)
    model = classifier_from_config(loaded.cfg)
    pictures = prediction_pictures(loaded.cfg, model, dataset, torch.device("cpu"))
    assert list(pictures) == ["predictions/0", "predictions/2"]


@pytest.mark.slow
def test_two_processes_name_what_both_met(load, datasets, broken, tmp_path):
    launch(train_classifier, Request(num_gpus=2), (load(*SHORT), datasets))
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert names_in(result) == broken
    state = torch.load(tmp_path / "run/model_final.pth", weights_only=True)
    # The final checkpoint is written before the test set is read.
    assert list(state["set_aside"]["reasons"]) == [path for path in broken if "train" in path]


@pytest.mark.slow
def test_the_limit_is_of_two_processes_together(load, datasets, broken, tmp_path):
    """What one has met counts for the other from the same iteration on."""
    loaded = load(*SHORT, "DATASETS.MAX_BROKEN_IMAGES", 1)
    with pytest.raises(UserError, match=r"green/1\.png: .*first of 2 such.*MAX_BROKEN_IMAGES is 1"):
        launch(train_classifier, Request(num_gpus=2), (loaded, datasets))
    log = (tmp_path / "run/log.txt").read_text()
    assert "Set aside: " in log  # the first, as it was met
    assert not (tmp_path / "run/model_final.pth").exists()
