"""Further crops, ten-crop and N-way scores, against a direct computation. Engine-neutral."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.classification.crops import more_crops
from resnext_det.classification.scoring import evaluate_model, metric_names
from resnext_det.config import get_cfg
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.class_alignment import AlignedSet
from resnext_det.data.image_folder import load_image_folder
from resnext_det.errors import UserError
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.checkpoint import Checkpointer
from tests.classification.conftest import write_folder

CLASSES = tuple(f"class_{number}" for number in range(8))
EXACT = ("INPUT.CLASSIFICATION.DECODER", "exact")
MORE = (
    *EXACT,
    *("TEST.MORE_CROPS", [[36, 36], [40, 36], [40, 40]]),
    *("TEST.TEN_CROP", True),
)


def trained(cfg, names, folder):
    """Writes a checkpoint of random weights for these classes."""
    torch.manual_seed(5)
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.CLASSIFIER.NUM_CLASSES = len(names)
    model = classifier_from_config(cfg)
    torch.nn.init.normal_(model.linear.weight)
    checkpointer = Checkpointer(folder, config=cfg.dump(), class_names=names)
    return model.eval(), checkpointer.save("w", model=model, iteration=0)


@pytest.fixture
def wide(tmp_path):
    """A test set of eight classes."""
    write_folder(tmp_path / "wide", CLASSES, images_per_class=3)
    return {"toy_val": DatasetEntry("toy_val", None, tmp_path / "wide")}


def logits_of(model, cfg, folder, transform):
    """Torchvision's transforms on Pillow's images, normalised as the config says."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD))
    logits, labels = [], []
    for label, name in enumerate(sorted(path.name for path in folder.iterdir())):
        for path in sorted((folder / name).iterdir()):
            pictures = transform(Image.open(path))
            pictures = pictures if isinstance(pictures, tuple) else (pictures,)
            batch = torch.stack([functional.pil_to_tensor(p) for p in pictures]).float()
            with torch.no_grad():
                logits.append(model((batch - mean) / std).mean(0))
            labels.append(label)
    return torch.stack(logits), torch.tensor(labels)


def top(logits, labels, k):
    order = np.argsort(-logits.numpy(), axis=1)[:, :k]
    return 100 * float((order == labels.numpy()[:, None]).any(1).mean())


def test_each_crop_equals_torchvisions(load, wide, tmp_path):
    loaded = load(*MORE)
    model, path = trained(loaded.cfg, CLASSES, tmp_path / "weights")
    result = evaluate_classifier(load(*MORE, "MODEL.WEIGHTS", path), wide)
    views = {
        "": v2.Compose([v2.Resize(32), v2.CenterCrop(32)]),
        "36_36/": v2.Compose([v2.Resize(36), v2.CenterCrop(36)]),
        "36_40/": v2.Compose([v2.Resize(40), v2.CenterCrop(36)]),
        "40/": v2.Compose([v2.Resize(40), v2.CenterCrop(40)]),
        "ten_crop/": v2.Compose([v2.Resize(32), v2.TenCrop(32)]),
    }
    expected = {}
    for prefix, view in views.items():
        logits, labels = logits_of(model, loaded.cfg, tmp_path / "wide", view)
        for k in (1, 5):
            expected[f"{prefix}top{k}"] = pytest.approx(top(logits, labels, k))
    assert result["metrics"] == expected


def test_crops_are_named_by_their_sides():
    cfg = get_cfg()
    cfg.TEST.MORE_CROPS, cfg.TEST.TEN_CROP = [[256, 224], [320, 320], [366, 320]], True
    named = [(c.name, c.resize, c.crop, c.ten_crop) for c in more_crops(cfg)]
    assert named == [
        ("224", 256, 224, False),
        ("320_320", 320, 320, False),
        ("320_366", 366, 320, False),
        ("ten_crop", 256, 224, True),
    ]


def test_ten_pictures_have_their_logits_averaged_not_their_probabilities(load, tmp_path):
    """As the authors' computeScore sums what nn.Linear gave."""
    write_folder(tmp_path / "two", ("a", "b"), images_per_class=1)
    dataset = load_image_folder(DatasetEntry("two", None, tmp_path / "two"), training=False)

    class Answers(torch.nn.Module):
        # One sure picture for b, nine that lean to a: by logits b, by probabilities a.
        def forward(self, images):
            logits = torch.tensor([[0.0, 30.0], *[[1.0, 0.0]] * 9])
            return logits.repeat(len(images) // 10, 1)

    cfg = load(*EXACT, "TEST.TEN_CROP", True).cfg
    [ten] = more_crops(cfg)
    metrics = evaluate_model(cfg, Answers(), AlignedSet(dataset), torch.device("cpu"), crops=ten)
    logits = torch.tensor([[0.0, 30.0], *[[1.0, 0.0]] * 9])
    assert logits.mean(0).argmax() == 1 != logits.softmax(1).mean(0).argmax()
    assert metrics["ten_crop/top1"] == 50.0


def test_a_subset_is_scored_among_all_classes_and_among_its_own(load, wide, tmp_path):
    more = ("class_x", "class_a", *CLASSES[::-1])
    loaded = load(*EXACT, "TEST.CLASS_SUBSET", True, "TEST.MORE_CROPS", [[36, 36]])
    model, path = trained(loaded.cfg, more, tmp_path / "weights")
    subset = ("TEST.CLASS_SUBSET", True, "TEST.MORE_CROPS", [[36, 36]], "MODEL.WEIGHTS", path)
    result = evaluate_classifier(load(*EXACT, *subset), wide)
    assert result["class_names"] == list(more)
    assert result["config"]["MODEL"]["CLASSIFIER"]["NUM_CLASSES"] == 10
    expected = {}
    for prefix, side in (("", 32), ("36/", 36)):
        view = v2.Compose([v2.Resize(side), v2.CenterCrop(side)])
        logits, labels = logits_of(model, loaded.cfg, tmp_path / "wide", view)
        numbers = torch.tensor([more.index(name) for name in CLASSES])
        for k in (1, 5):
            expected[f"{prefix}top{k}"] = top(logits, numbers[labels], k)
            expected[f"{prefix}8_way/top{k}"] = top(logits[:, numbers], labels, k)
    assert result["metrics"] == pytest.approx(expected)


def test_training_scores_a_subset_and_further_crops_at_its_end(load, datasets, tmp_path):
    (datasets["toy_val"].image_root / "red").rename(tmp_path / "away")
    wishes = (
        *("TEST.CLASS_SUBSET", True, "TEST.MORE_CROPS", [[40, 36]], "TEST.TEN_CROP", True),
        *("TEST.BEST_METRIC", "2_way/top1", "SOLVER.MAX_ITER", 4, "TEST.EVAL_PERIOD", 2),
        *("TEST.PICTURES", 1, "TEST.VALIDATION_LOSS", True, "SOLVER.CHECKPOINT_PERIOD", 100),
    )
    result = train_classifier(load(*wishes), datasets)
    names = [f"{way}top{k}" for way in ("", "2_way/") for k in (1, 5)]
    prefixes = ("", "36/", "ten_crop/")
    expected = {*(p + n for p in prefixes for n in names), "val/loss_cls", "val/total_loss"}
    assert result["metrics"].keys() == expected - {"val/loss_cls", "val/total_loss"}
    assert result["metrics"]["2_way/top1"] is not None
    assert result["best"]["metric"] == "2_way/top1"
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.json").read_text().splitlines()]
    scored = [line for line in lines if any("top1" in key for key in line)]
    assert [line["iteration"] for line in scored] == [1, 3, 3]
    assert ["36/top1" in line for line in scored] == [False, False, True]
    path = tmp_path / "run/model_final.pth"
    again = evaluate_classifier(load(*wishes, "MODEL.WEIGHTS", path, output="again"), datasets)
    assert again["metrics"] == result["metrics"]


def test_names_of_metrics():
    assert metric_names(None) == ["top1", "top5"]
    assert metric_names([3, 1]) == ["top1", "top5", "2_way/top1", "2_way/top5"]


def test_a_subset_needs_the_names_of_all_classes(load, wide, tmp_path):
    torch.manual_seed(0)
    cfg = load("MODEL.CLASSIFIER.NUM_CLASSES", 10).cfg
    path = tmp_path / "plain.pth"
    torch.save(classifier_from_config(cfg).state_dict(), path)
    with pytest.raises(UserError, match="does not say the names of its 10 classes"):
        evaluate_classifier(load("TEST.CLASS_SUBSET", True, "MODEL.WEIGHTS", path), wide)


def test_the_number_of_classes_is_the_weights_own(load, wide, tmp_path):
    _, path = trained(load().cfg, CLASSES, tmp_path / "weights")
    given = ("MODEL.CLASSIFIER.NUM_CLASSES", 7, "MODEL.WEIGHTS", path)
    with pytest.raises(UserError, match=r"NUM_CLASSES is 7, but .*w.pth was trained on 8 classes"):
        evaluate_classifier(load(*given), wide)


def test_without_a_test_set_there_are_no_metrics(load, datasets):
    short = ("SOLVER.MAX_ITER", 1, "SOLVER.STEPS", [], "SOLVER.CHECKPOINT_PERIOD", 100)
    result = train_classifier(load("DATASETS.TEST", [], *short), datasets)
    assert result["metrics"] == {}


def test_an_empty_set_has_no_numbers(load, datasets):
    loaded = load(*EXACT)
    dataset = load_image_folder(datasets["toy_val"], training=False).subset([])
    model = torch.nn.Identity()
    metrics = evaluate_model(loaded.cfg, model, AlignedSet(dataset, (0,)), torch.device("cpu"))
    assert metrics == {"top1": None, "top5": None, "1_way/top1": None, "1_way/top5": None}
