"""The recipes of the classifiers under configs/: schedules, and what sets each recipe apart."""

import json
import re
from pathlib import Path

import pytest
import torch
import torchvision

from resnext_det.classification.honoured import HONOURED
from resnext_det.config.honoured import check_honoured
from resnext_det.modeling.variants import get_variant
from resnext_det.training.schedule import build_lr_schedule
from tests.config.shipped import (
    CIFAR,
    CLASSIFIERS,
    IMAGENET,
    IMAGENET_5K,
    ROOT,
    differing_keys,
    load,
    read_name,
)

IMAGENET_TRAIN_IMAGES = 1_281_167  # ILSVRC 2012
CIFAR_TRAIN_IMAGES = 50_000
NETWORK_KEYS = {
    f"MODEL.RESNETS.{key}" for key in ("DEPTH", "NUM_GROUPS", "VARIANT", "WIDTH_PER_GROUP")
}
# What the authors' code has and the published table's recipe has not.
PAPER_KEYS = {
    "INPUT.CLASSIFICATION.COLOR_JITTER",
    "INPUT.CLASSIFICATION.INTERPOLATION",
    "INPUT.CLASSIFICATION.LIGHTING",
    "INPUT.CLASSIFICATION.TRAIN_VIEW",
    "MODEL.CLASSIFIER.INIT",
    "SOLVER.NESTEROV",
}
MODERN_KEYS = {
    "INPUT.CLASSIFICATION.AUTO_AUGMENT",
    "INPUT.CLASSIFICATION.RESIZE_TEST",
    "INPUT.CLASSIFICATION.TRAIN_CROP",
    "SOLVER.BASE_LR",
    "SOLVER.CHECKPOINT_PERIOD",
    "SOLVER.CUTMIX_ALPHA",
    "SOLVER.EMA.DECAY",
    "SOLVER.EMA.ENABLED",
    "SOLVER.IMS_PER_BATCH",
    "SOLVER.LABEL_SMOOTHING",
    "SOLVER.LR_SCHEDULER_NAME",
    "SOLVER.MAX_ITER",
    "SOLVER.MIXUP_ALPHA",
    "SOLVER.REFERENCE_BATCH",
    "SOLVER.RESCALE_INTERVAL",
    "SOLVER.STEPS",
    "SOLVER.WARMUP_FACTOR",
    "SOLVER.WARMUP_ITERS",
    "SOLVER.WEIGHT_DECAY",
    "SOLVER.WEIGHT_DECAY_BIAS",
    "SOLVER.WEIGHT_DECAY_NORM",
    "TEST.EVAL_PERIOD",
}
IMAGENET_5K_KEYS = {"DATASETS.TRAIN", "MODEL.CLASSIFIER.NUM_CLASSES", "TEST.CLASS_SUBSET"}
CIFAR_KEYS = {
    "DATASETS.TRAIN",
    "DATASETS.TEST",
    "MODEL.CLASSIFIER.NUM_CLASSES",
    "MODEL.PIXEL_MEAN",
    "MODEL.PIXEL_STD",
}
# Top-1 and top-5 errors of the paper: Tables 3 and 4, and section 5.1 without shortcuts.
ERRORS = {
    "R_50": (23.9,),
    "X_50_2x40d": (23.0,),
    "X_50_4x24d": (22.6,),
    "X_50_8x14d": (22.3,),
    "X_50_32x4d": (22.2,),
    "R_101": (22.0, 6.0),
    "X_101_2x40d": (21.7,),
    "X_101_4x24d": (21.4,),
    "X_101_8x14d": (21.3,),
    "X_101_32x4d": (21.2, 5.6),
    "R_200": (21.7, 5.8),
    "R_101_1x100d": (21.3, 5.7),
    "X_101_2x64d": (20.7, 5.5),
    "X_101_64x4d": (20.4, 5.3),
    "R_50_no_shortcuts": (31.2,),
    "X_50_32x4d_no_shortcuts": (26.1,),
}
# Table 6: 5K-way top-1 and top-5 errors, then 1K-way.
ERRORS_5K = {
    "R_50": (45.5, 19.4, 27.1, 8.2),
    "X_50_32x4d": (42.3, 16.8, 24.4, 6.6),
    "R_101": (42.4, 16.9, 24.2, 6.8),
    "X_101_32x4d": (40.1, 15.1, 22.2, 5.7),
}
ERRORS_CIFAR = {  # Table 7: CIFAR-10, CIFAR-100
    "X_29_8x64d": {10: 3.65, 100: 17.77},
    "X_29_16x64d": {10: 3.58, 100: 17.31},
}
AT_320 = {"R_200": (20.1, 4.8), "X_101_64x4d": (19.1, 4.4)}  # Table 5
OF_PAPER = [name for name in IMAGENET if name.endswith("_paper.yaml")]
MODERN = [name for name in IMAGENET if name.endswith("_modern.yaml")]
PLAIN = [name for name in IMAGENET if name not in OF_PAPER + MODERN]


def figures(name: str) -> list[float]:
    """The accuracies that a header expects, percent."""
    expected = re.search(r"\n# Expected: *(.*?)\n# Source", (ROOT / name).read_text(), re.DOTALL)
    assert expected
    return [float(figure) for figure in re.findall(r"(\d+\.\d+) %", expected[1])]


def accuracies(errors: tuple[float, ...]) -> list[float]:
    return [pytest.approx(100 - error) for error in errors]


def iterations(epochs: float, images: int, batch: int) -> int:
    return round(epochs * images / batch)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_key_is_honoured(name):
    check_honoured(load(name), HONOURED, "classification")


@pytest.mark.parametrize("name", PLAIN + OF_PAPER + IMAGENET_5K)
def test_imagenet_epochs_in_iterations(name):
    """As many mini-batches of ImageNet-5K as of ImageNet-1K (the paper, section 5.2)."""
    solver = load(name).SOLVER
    wanted = [iterations(epochs, IMAGENET_TRAIN_IMAGES, 256) for epochs in (30, 60, 90, 100)]
    assert [*solver.STEPS, solver.MAX_ITER] == wanted
    assert (solver.IMS_PER_BATCH, solver.REFERENCE_BATCH) == (256, 256)
    assert (solver.BASE_LR, solver.GAMMA, solver.MOMENTUM) == (0.1, 0.1, 0.9)
    assert (solver.WEIGHT_DECAY, solver.WEIGHT_DECAY_NORM) == (1e-4, 1e-4)
    assert (solver.WEIGHT_DECAY_BIAS, solver.WARMUP_ITERS) == (None, 0)


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_title_says_the_epochs(name):
    title = (ROOT / name).read_text().splitlines()[0]
    epochs = load(name).SOLVER.MAX_ITER * 256 / IMAGENET_TRAIN_IMAGES
    assert title.endswith(f" on ImageNet-1K, {epochs:.0f} epochs.")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_train_whole_with_batch_norm(name):
    cfg = load(name)
    assert (cfg.MODEL.RESNETS.NORM, cfg.MODEL.BACKBONE.FREEZE_AT) == ("BN", 0)
    variant = get_variant(cfg.MODEL.RESNETS.VARIANT)
    assert variant.name.split("_")[0] == read_name(name).variant.split("_")[0]
    assert (variant.depth, variant.stem) == (cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.STEM)


@pytest.mark.parametrize("name", OF_PAPER)
def test_the_papers_recipe_is_the_plain_one_but_for_what_is_listed(name):
    plain = name.replace("_paper", "")
    keys = set(PAPER_KEYS)
    if "_no_shortcuts" in name:
        plain = plain.replace("_no_shortcuts", "")
        keys.add("MODEL.RESNETS.SHORTCUTS")
    if read_name(name).net in AT_320:
        keys.add("TEST.MORE_CROPS")
    cfg = load(name)
    assert differing_keys(cfg, load(plain)) == keys
    image = cfg.INPUT.CLASSIFICATION
    assert (image.COLOR_JITTER, image.LIGHTING, image.HFLIP) == ([0.4] * 3, 0.1, 0.5)
    assert (image.INTERPOLATION, image.RESIZE_TEST, image.TEST_CROP) == ("bicubic", 256, 224)
    assert (image.TRAIN_VIEW, image.TRAIN_CROP) == ("torch7_crop", 224)
    assert (cfg.SOLVER.NESTEROV, cfg.MODEL.CLASSIFIER.INIT) == (True, "torch7")
    assert [[320, 320]] * (read_name(name).net in AT_320) == cfg.TEST.MORE_CROPS


@pytest.mark.parametrize("name", OF_PAPER)
def test_the_papers_figures(name):
    net = Path(name).stem.removesuffix("_paper")
    wanted = ERRORS.get(net, ()) + AT_320.get(net, ())
    assert figures(name) == accuracies(wanted)


@pytest.mark.parametrize("name", MODERN)
def test_the_modern_recipe_is_the_plain_one_but_for_what_is_listed(name):
    cfg = load(name)
    assert differing_keys(cfg, load(name.replace("_modern", ""))) == MODERN_KEYS
    solver, image = cfg.SOLVER, cfg.INPUT.CLASSIFICATION
    lengths = [iterations(epochs, IMAGENET_TRAIN_IMAGES, 1024) for epochs in (5, 300)]
    assert lengths == [solver.WARMUP_ITERS, solver.MAX_ITER]
    assert (solver.IMS_PER_BATCH, solver.BASE_LR, solver.WEIGHT_DECAY) == (1024, 0.5, 2e-5)
    assert (solver.WEIGHT_DECAY_NORM, solver.WEIGHT_DECAY_BIAS) == (0, 0)
    assert (solver.LABEL_SMOOTHING, solver.MIXUP_ALPHA, solver.CUTMIX_ALPHA) == (0.1, 0.2, 1)
    assert (image.TRAIN_CROP, image.RESIZE_TEST, image.TEST_CROP) == (176, 232, 224)


def test_the_modern_rates_are_torchvisions_at_each_epochs_start():
    """Its train.py: LinearLR over 5 epochs, then CosineAnnealingLR over all the others."""
    schedule = build_lr_schedule(load("ImageNet-Classification/X_50_32x4d_modern.yaml"))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    parts = [
        torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=5),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=295),
    ]
    theirs = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[5])
    for epoch in range(300):
        ours = schedule.lr_at(iterations(epoch, IMAGENET_TRAIN_IMAGES, 1024))
        # An epoch's start is rounded to an iteration: 2e-5 of the rate, most in the warm-up.
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=5e-5), epoch
        optimizer.step()
        theirs.step()


def test_the_modern_average_is_torchvisions():
    """Its train.py averages every 32 updates, and scales 1 - 0.99998 to batch and epochs."""
    every, epochs = 32, 300
    theirs = 1 - (1 - 0.99998) * 1024 * every / epochs
    ours = load("ImageNet-Classification/R_50_modern.yaml").SOLVER.EMA
    assert ours.ENABLED
    assert ours.DECAY**every == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("name", MODERN)
def test_the_modern_figures_are_torchvisions(name):
    variant = read_name(name).variant
    if variant not in torchvision.models.list_models():
        assert figures(name) == []
        return
    weights = torchvision.models.get_model_weights(variant).DEFAULT
    metrics = weights.meta["_metrics"]["ImageNet-1K"]
    assert figures(name) == [pytest.approx(metrics[f"acc@{k}"], abs=0.0051) for k in (1, 5)]
    preset = weights.transforms()
    image = load(name).INPUT.CLASSIFICATION
    assert (preset.resize_size, preset.crop_size) == ([image.RESIZE_TEST], [image.TEST_CROP])


@pytest.mark.parametrize("name", IMAGENET_5K)
def test_imagenet_5k_is_the_papers_recipe_on_other_data(name):
    net, cfg = read_name(name).net, load(name)
    paper = load(f"ImageNet-Classification/{net}_paper.yaml")
    assert differing_keys(cfg, paper) == IMAGENET_5K_KEYS
    assert cfg.DATASETS.TRAIN == ["imagenet_5k_train"]
    assert (cfg.MODEL.CLASSIFIER.NUM_CLASSES, cfg.TEST.CLASS_SUBSET) == (5000, True)
    assert figures(name) == accuracies(ERRORS_5K[net])


@pytest.mark.parametrize("name", CIFAR)
def test_cifars_recipe(name):
    cfg, classes = load(name), int(name.removesuffix(".yaml").rpartition("_cifar")[2])
    solver, image = cfg.SOLVER, cfg.INPUT.CLASSIFICATION
    wanted = [iterations(epochs, CIFAR_TRAIN_IMAGES, 128) for epochs in (150, 225, 300)]
    assert [*solver.STEPS, solver.MAX_ITER] == wanted
    assert (solver.IMS_PER_BATCH, solver.BASE_LR, solver.GAMMA) == (128, 0.1, 0.1)
    assert (solver.WEIGHT_DECAY, solver.WEIGHT_DECAY_NORM) == (5e-4, 5e-4)
    assert (solver.NESTEROV, solver.MOMENTUM, solver.WARMUP_ITERS) == (True, 0.9, 0)
    assert (image.TRAIN_VIEW, image.TRAIN_CROP, image.TRAIN_PADDING) == ("padded_crop", 32, 4)
    assert (image.RESIZE_TEST, image.TEST_CROP, image.HFLIP) == (32, 32, 0.5)
    assert classes == cfg.MODEL.CLASSIFIER.NUM_CLASSES
    assert [
        f"cifar{classes}_{part}" for part in ("train", "test")
    ] == cfg.DATASETS.TRAIN + cfg.DATASETS.TEST
    error = ERRORS_CIFAR.get(read_name(name).net, {}).get(classes)
    assert figures(name) == accuracies((error,) if error else ())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_nets_of_a_recipe_differ_in_the_network_only(name):
    first = {"CIFAR": "R_29_1x64d"}.get(name.split("/")[0], "R_50")
    reference = name.replace(read_name(name).net, first)
    assert differing_keys(load(name), load(reference)) - {"TEST.MORE_CROPS"} <= NETWORK_KEYS


@pytest.mark.parametrize("name", [name for name in CIFAR if "_cifar100" in name])
def test_the_two_cifars_differ_in_the_data_only(name):
    assert differing_keys(load(name), load(name.replace("100", "10"))) == CIFAR_KEYS


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_counted_complexity_is_the_variants_with_another_last_layer(name):
    counted = json.loads((ROOT / "complexity.json").read_text())
    row, cfg = counted["configs"][name], load(name)
    if not cfg.MODEL.RESNETS.SHORTCUTS:  # nor projections
        assert row["params"] < counted["variants"][cfg.MODEL.RESNETS.VARIANT]["params"]
        return
    variant = counted["variants"][cfg.MODEL.RESNETS.VARIANT]
    features, classes = (1024, 10) if name in CIFAR else (2048, 1000)
    more = cfg.MODEL.CLASSIFIER.NUM_CLASSES - classes
    assert row["image_size"] == variant["image_size"]
    assert row["params"] == variant["params"] + more * (features + 1)
    assert row["flops"] == variant["flops"] + more * features
