"""A classification run from folder to result.json, and back from an interrupt. Engine-neutral."""

import json

import pytest
import torch
from torch.nn import functional

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.classification.device_batch import build_device_batch
from resnext_det.classification.losses import validation_losses
from resnext_det.classification.pictures import prediction_pictures
from resnext_det.data.classification_loader import build_classification_test_loader
from resnext_det.data.image_folder import load_image_folder
from resnext_det.errors import UserError
from resnext_det.modeling import build_backbone
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.launch import launch
from resnext_det.training.place import Request
from resnext_det.weights.load import load_weights
from resnext_det.weights.sources import resolve_weights


def weights_in(folder):
    return torch.load(folder / "model_final.pth", weights_only=True)["model"]


def test_a_run_writes_detectron2s_files_and_the_result(load, datasets, tmp_path):
    result = train_classifier(load(), datasets)
    run = tmp_path / "run"
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.yaml", "log.txt", "metrics.json", "last_checkpoint", "result.json"}
    assert {n for n in names if n.startswith("model_")} == {
        "model_0000001.pth", "model_0000003.pth", "model_0000005.pth", "model_final.pth",
    }  # fmt: skip
    assert json.loads((run / "result.json").read_text()) == result
    assert result["metrics"].keys() == {"top1", "top5"}
    assert result["metrics"]["top5"] is None  # three classes
    assert result["class_names"] == ["blue", "green", "red"]
    assert result["config"]["MODEL"]["CLASSIFIER"]["NUM_CLASSES"] == 3
    assert (result["engine"], result["seed"]) == ("classification", 1)
    lines = [json.loads(line) for line in (run / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "top1" in line] == [3, 5]
    content = torch.load(run / "model_final.pth", weights_only=True)
    assert content["matching_heuristics"] is True
    assert content["class_names"] == ["blue", "green", "red"]
    assert "linear.weight" in content["model"]
    assert "res2.0.conv1.norm.running_var" in content["model"]


def test_it_learns(load, datasets):
    # GroupNorm: BatchNorm's running statistics need more iterations than a test has.
    norm = ("MODEL.RESNETS.NORM", "GN", "SOLVER.CHECKPOINT_PERIOD", 100)
    loaded = load(*norm, "SOLVER.MAX_ITER", 20, "SOLVER.STEPS", [15])
    result = train_classifier(loaded, datasets)
    assert result["metrics"]["top1"] == 100.0
    path = f"{loaded.cfg.OUTPUT_DIR}/model_final.pth"
    again = load(*norm, "MODEL.WEIGHTS", path, output="eval")
    assert evaluate_classifier(again, datasets)["metrics"] == result["metrics"]


def test_resume_is_the_uninterrupted_run_to_the_bit(load, datasets, tmp_path, train_and_interrupt):
    train_classifier(load(output="whole"), datasets)

    train_and_interrupt(load(), datasets, after=4)
    with pytest.raises(UserError, match="add --resume to continue it"):
        train_classifier(load(), datasets)
    resumed = train_classifier(load(), datasets, resume=True)
    whole = weights_in(tmp_path / "whole")
    for key, value in weights_in(tmp_path / "run").items():
        assert torch.equal(value, whole[key]), key
    # A finished run is left alone.
    assert train_classifier(load(), datasets, resume=True) == resumed


def test_the_checkpoint_loads_into_a_backbone(load, datasets, tmp_path):
    train_classifier(load(), datasets)
    weights = resolve_weights(str(tmp_path / "run/model_final.pth"))
    assert weights.convention.format == "RGB"
    backbone = build_backbone("resnet18")
    report = load_weights(backbone, weights, min_share=1.0)
    assert report.backbone_share == 1.0
    assert set(report.unexpected) == {"linear.weight", "linear.bias"}


def test_fine_tuning_for_other_classes_keeps_the_backbone(load, datasets, tmp_path, caplog):
    train_classifier(load(), datasets)
    for data in datasets.values():
        (data.image_root / "red").rename(tmp_path / f"removed_{data.name}")
    path = tmp_path / "run/model_final.pth"
    with caplog.at_level("INFO"):
        result = train_classifier(load("MODEL.WEIGHTS", path, output="fine"), datasets)
    assert result["class_names"] == ["blue", "green"]
    assert "2 mismatched (linear.weight, linear.bias)" in caplog.text
    expected = (
        r"model_final.pth and .*toy_val do not have the same classes: 'red' is in .*TEST.CLAS"
    )
    with pytest.raises(UserError, match=expected):
        evaluate_classifier(load("MODEL.WEIGHTS", path, output="eval"), datasets)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("MODEL.CLASSIFIER.NUM_CLASSES", 7), r"NUM_CLASSES is 7, but .* has 3 classes"),
        (("DATASETS.TRAIN", []), "DATASETS.TRAIN is empty"),
        (("DATASETS.TRAIN", ["toy_train", "toy_val"]), "DATASETS.TRAIN names 2 sets"),
        (("MODEL.BACKBONE.FREEZE_AT", 2), "FREEZE_AT is 2"),
        (("MODEL.RPN.NMS_THRESH", 0.5), "MODEL.RPN.NMS_THRESH = 0.5"),
        (("MODEL.WEIGHTS", "no.pth"), r"no.pth: no such file"),
    ],
)
def test_mistakes_are_found_before_training(load, datasets, pairs, message):
    with pytest.raises(UserError, match=message):
        train_classifier(load(*pairs), datasets)


def test_sets_with_other_classes_are_refused(load, datasets):
    (datasets["toy_val"].image_root / "red").rename(datasets["toy_val"].image_root / "yellow")
    with pytest.raises(UserError, match="do not have the same classes"):
        train_classifier(load(), datasets)


def test_evaluation_needs_a_whole_classifier(load, datasets, tmp_path):
    with pytest.raises(UserError, match=r"--eval-only: MODEL.WEIGHTS is empty"):
        evaluate_classifier(load(), datasets)
    with pytest.raises(UserError, match="holds no checkpoint"):
        evaluate_classifier(load(), datasets, resume=True)
    torch.save(build_backbone("resnet18").state_dict(), tmp_path / "backbone.pth")
    with pytest.raises(UserError, match=r"cannot be evaluated, 2 tensors.*linear.weight"):
        evaluate_classifier(load("MODEL.WEIGHTS", tmp_path / "backbone.pth"), datasets)


@pytest.mark.slow
def test_two_processes_train_the_same_weights_as_one(load, datasets, tmp_path):
    # BatchNorm sees each process's images only, so the norm here is one that looks at none.
    # Initial weights are those of a run with lr 0: the update is what is compared.
    short = ("SOLVER.MAX_ITER", 2, "SOLVER.STEPS", [], "SOLVER.CHECKPOINT_PERIOD", 100)
    norm = (*short, "MODEL.RESNETS.NORM", "GN", "TEST.EVAL_PERIOD", 0)
    train_classifier(load(*norm, output="one"), datasets)
    train_classifier(load(*norm, "SOLVER.BASE_LR", 0.0, output="zero"), datasets)
    launch(train_classifier, Request(num_gpus=2), (load(*norm, output="two"), datasets))
    zero, one, two = (weights_in(tmp_path / run) for run in ("zero", "one", "two"))
    for key, value in one.items():
        update = (value - zero[key]).abs().max()
        assert update > 0
        assert (two[key] - value).abs().max() <= 2e-3 * update, key
    results = [json.loads((tmp_path / run / "result.json").read_text()) for run in ("one", "two")]
    assert results[0]["metrics"] == results[1]["metrics"]


def test_numbers_scaled_to_the_batch_are_logged_and_stay_on_resume(load, datasets, tmp_path):
    scaled = ("SOLVER.REFERENCE_BATCH", 12, "TEST.EVAL_PERIOD", 0)
    loaded = load(*scaled)
    assert loaded.cfg.SOLVER.BASE_LR == 0.01  # the command line's, so kept
    train_classifier(loaded, datasets)
    train_classifier(load(*scaled, "SOLVER.MAX_ITER", 7), datasets, resume=True)
    lines = (tmp_path / "run/log.txt").read_text().splitlines()
    said = [line for line in lines if "SOLVER.REFERENCE_BATCH is 12 and IMS_PER_BATCH 6" in line]
    assert len(said) == 2
    changed = [line for line in lines if " before and is " in line]
    assert ["MAX_ITER was 6 before" in line for line in changed] == [True]


def test_everything_at_once(load, datasets, tmp_path):
    wishes = (
        "SOLVER.GRADIENT_ACCUMULATION", 2, "SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.5,
        "SOLVER.AMP.ENABLED", True, "SOLVER.AMP.DTYPE", "bfloat16", "SOLVER.KEEP_CHECKPOINTS", 1,
        "TEST.EVAL_PERIOD", 2, "TEST.BEST_METRIC", "val/loss_cls", "TEST.VALIDATION_LOSS", True,
        "TEST.PICTURES", 2,
    )  # fmt: skip
    result = train_classifier(load(*wishes), datasets)
    run = tmp_path / "run"
    names = {path.name for path in run.glob("*.pth")}
    assert names == {"model_best.pth", "model_0000005.pth", "model_final.pth"}
    lines = [json.loads(line) for line in (run / "metrics.json").read_text().splitlines()]
    evaluations = {line["iteration"]: line for line in lines if "top1" in line}
    assert list(evaluations) == [1, 3, 5]
    losses = {i: line["val/loss_cls"] for i, line in evaluations.items()}
    assert all(line["val/total_loss"] == losses[i] for i, line in evaluations.items())
    # 6 of the 12 images in each iteration
    assert [line["epoch"] for line in evaluations.values()] == [1.0, 2.0, 3.0]
    best = min(losses, key=lambda i: losses[i])
    expected = {"metric": "val/loss_cls", "value": losses[best], "iteration": best}
    assert (result["best"], result["stopped_at"], result["iteration"]) == (expected, None, 5)
    assert "training_model" in torch.load(run / "model_final.pth", weights_only=True)


def test_the_validation_loss_is_that_of_the_evaluated_model(load, datasets):
    loaded = load("TEST.VALIDATION_LOSS", True, "SOLVER.LABEL_SMOOTHING", 0.1)
    torch.manual_seed(0)
    model = classifier_from_config(loaded.cfg)
    dataset = load_image_folder(datasets["toy_val"], training=False)
    losses = validation_losses(loaded.cfg, model, dataset, torch.device("cpu"))
    logits, labels = [], []
    to_inputs = build_device_batch(loaded.cfg, torch.device("cpu"))
    for batch in build_classification_test_loader(loaded.cfg, dataset):
        images, numbers = to_inputs(batch)
        logits.append(model.eval()(images))
        labels.append(numbers)
    expected = functional.cross_entropy(torch.cat(logits), torch.cat(labels)).item()
    assert losses == {
        "val/total_loss": pytest.approx(expected, rel=1e-6),
        "val/loss_cls": pytest.approx(expected, rel=1e-6),
    }


def test_pictures_say_what_is_right_and_what_is_not(load, datasets):
    loaded = load("TEST.PICTURES", 3)
    dataset = load_image_folder(datasets["toy_val"], training=False)

    def always_green(images):
        return torch.tensor([[0.0, 9.0, 0.0]]).expand(len(images), 3)

    model = torch.nn.Identity()
    model.forward = always_green
    pictures = prediction_pictures(loaded.cfg, model, dataset, torch.device("cpu"))
    assert list(pictures) == ["predictions/0", "predictions/1", "predictions/2"]
    # One image of each class, 48 x 40 px and enlarged; the middle of the frame's lower line.
    assert [picture.shape for picture in pictures.values()] == [(320, 384, 3)] * 3
    colors = [tuple(picture[-2, 192]) for picture in pictures.values()]
    assert colors == [(0xE6, 0x9F, 0), (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0)]


def test_an_unknown_metric_is_refused_before_the_folder_is_made(load, datasets, tmp_path):
    expected = r"TEST.BEST_METRIC is top_1, but there are top1, top5; top1 is meant\?"
    with pytest.raises(UserError, match=expected):
        train_classifier(load("TEST.BEST_METRIC", "top_1"), datasets)
    assert not (tmp_path / "run").exists()
