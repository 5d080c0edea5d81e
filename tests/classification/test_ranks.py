"""The ranks of images' classes, on disk, against a direct computation. Engine-neutral."""

import json

import pytest
import torch
from torchvision.transforms import v2

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.classification.ranks import RANKS_FILE, relative_name, write_ranks
from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.preparing.shards import ShardSizes, write_shards
from resnext_det.training.launch import launch
from resnext_det.training.place import Request
from tests.classification.test_scoring import CLASSES, EXACT, logits_of, trained, wide

__all__ = ["wide"]  # a fixture
MORE = ("class_x", "class_a", *CLASSES[::-1])
KEYS = (*EXACT, "TEST.CLASS_SUBSET", True, "TEST.MORE_CROPS", [[36, 36]], "MODEL.DEVICE", "cpu")


def recomputed(ranks, name):
    return 100 * sum(rank < int(name[-1]) for rank in ranks) / len(ranks)


def check_metrics(content, metrics):
    for name, value in metrics.items():
        way, _, _ = name.rpartition("top")
        if not way.startswith("36/"):
            assert recomputed(content[f"{way}ranks"], name) == value, name


@pytest.fixture
def evaluation(load, wide, tmp_path):
    """The ranks a network of ten classes should have on a set of eight, and its evaluation."""
    cfg = load(*KEYS).cfg
    model, path = trained(cfg, MORE, tmp_path / "weights")
    view = v2.Compose([v2.Resize(32), v2.CenterCrop(32)])
    logits, labels = logits_of(model, cfg, tmp_path / "wide", view)
    numbers = torch.tensor([MORE.index(name) for name in CLASSES])
    expected = {}
    for way, scores, own in (("", logits, numbers[labels]), ("8_way/", logits[:, numbers], labels)):
        order = scores.argsort(dim=1, descending=True)
        expected[f"{way}ranks"] = (order == own[:, None]).int().argmax(1).tolist()
    assert len(set(expected["ranks"])) > 3
    names = [f"{name}/{i}.png" for name in CLASSES for i in range(3)]
    return load(*KEYS, "MODEL.WEIGHTS", path), wide, {"images": names, **expected}


def test_ranks_are_written_in_the_order_of_the_set(evaluation, tmp_path):
    loaded, datasets, expected = evaluation
    result = evaluate_classifier(loaded, datasets)
    content = json.loads((tmp_path / "run" / RANKS_FILE).read_text())
    assert content == expected
    check_metrics(content, result["metrics"])


@pytest.mark.slow
def test_two_processes_write_the_same_file_without_the_broken(evaluation, tmp_path):
    loaded, datasets, expected = evaluation
    (tmp_path / "wide" / "class_1" / "2.png").write_bytes(b"")
    launch(evaluate_classifier, Request(num_gpus=2), (loaded, datasets))
    content = json.loads((tmp_path / "run" / RANKS_FILE).read_text())
    broken = expected["images"].index("class_1/2.png")
    assert content == {key: [*v[:broken], *v[broken + 1 :]] for key, v in expected.items()}
    result = json.loads((tmp_path / "run/inference/result.json").read_text())
    check_metrics(content, result["metrics"])


def test_a_trainings_file_is_its_last_evaluations(load, datasets, tmp_path):
    result = train_classifier(load("TEST.MORE_CROPS", [[36, 36]]), datasets)
    content = json.loads((tmp_path / "run" / RANKS_FILE).read_text())
    assert content["images"] == [f"{c}/{i}.png" for c in ("blue", "green", "red") for i in range(4)]
    check_metrics(content, {"top1": result["metrics"]["top1"]})


def test_images_of_shards_are_named_without_the_place_of_the_shards(datasets, tmp_path):
    write_shards(datasets["toy_val"].image_root, tmp_path / "shards", ShardSizes(images=5))
    entry = parse_data_argument(f"toy_val={tmp_path}/shards")
    dataset = load_classification_set(entry, training=False)
    indices = torch.tensor([11, 0])
    write_ranks(tmp_path / "ranks.json", dataset, indices, {"": torch.tensor([2, 1])})
    content = json.loads((tmp_path / "ranks.json").read_text())
    assert content["ranks"] == [1, 2]
    assert [dataset.images.name(i) for i in (0, 11)] == [
        f"{tmp_path}/shards/{name}" for name in content["images"]
    ]


def test_a_set_without_images_has_no_ranks(datasets, tmp_path):
    dataset = load_classification_set(datasets["toy_val"], training=False).subset([])
    none = torch.zeros(0, dtype=torch.int64)
    write_ranks(tmp_path / "ranks.json", dataset, none, {"": none, "2_way/": none})
    content = json.loads((tmp_path / "ranks.json").read_text())
    assert content == {"images": [], "ranks": [], "2_way/ranks": []}


@pytest.mark.parametrize(
    ("name", "location", "expected"),
    [
        ("/data/val/cat/1.jpg", "/data/val", "cat/1.jpg"),
        ("val/cat/1.jpg", "val", "cat/1.jpg"),
        ("/data/val-3.tar: a.jpg", "/data/val-{0..9}.tar", "val-3.tar: a.jpg"),
        ("https://h/v/3.tar: a.jpg", "https://h/v/index.json", "3.tar: a.jpg"),
        ("/elsewhere/1.jpg", "/data/val", "/elsewhere/1.jpg"),
    ],
)
def test_names_are_relative_to_the_set(name, location, expected):
    assert relative_name(name, location) == expected
