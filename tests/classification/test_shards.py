"""Training and evaluation from shards, in a folder and on a server. Engine-neutral."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.classification_loader import build_classification_train_loader
from resnext_det.data.classification_mapper import classification_mapper
from resnext_det.data.preparing.shards import ShardSizes, write_shards
from resnext_det.data.samplers import SampleKey
from tests.data.sharded import serving


@pytest.fixture
def places(tmp_path, datasets, monkeypatch):
    """folder, shards and server -> the names of the data sets there."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RESNEXT_DET_CACHE_GB", raising=False)
    for name, entry in datasets.items():
        write_shards(entry.image_root, tmp_path / "shards" / name, ShardSizes(images=5))
    with serving(tmp_path / "shards") as server:
        roots = {"shards": f"{tmp_path}/shards/{{}}", "server": server.address + "/{}/index.json"}
        yield {
            "folder": datasets,
            **{
                place: {n: parse_data_argument(f"{n}={root.format(n)}") for n in datasets}
                for place, root in roots.items()
            },
        }


@pytest.fixture
def sets(places):
    return {
        place: load_classification_set(entries["toy_train"], training=True)
        for place, entries in places.items()
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_sees_each_image_once(load, sets, workers):
    cfg = load("DATALOADER.NUM_WORKERS", workers, "SOLVER.MAX_ITER", 4).cfg
    for dataset in sets.values():  # 12 images, 6 a batch: two epochs
        batches = list(build_classification_train_loader(cfg, dataset))
        for epoch in (batches[:2], batches[2:]):
            seen = torch.cat([batch.indices for batch in epoch]).tolist()
            assert sorted(seen) == list(range(12))
            labels = torch.cat([batch.labels for batch in epoch]).tolist()
            assert labels == [dataset.images.label(index) for index in seen]


def test_an_image_gives_the_same_pixels_wherever_it_lies(load, sets):
    cfg = load().cfg
    mapper = classification_mapper(cfg, 1)

    def pixels(dataset, key):
        images = (dataset.images.read(index) for index in range(len(dataset)))
        mapped = (mapper(image, 0, key) for image in images)
        return Counter((sample.pixels.numpy().tobytes(), sample.label) for sample in mapped)

    for key in (None, SampleKey(3, 2, 0)):
        expected = pixels(sets["folder"], key)
        assert len(expected) == 12
        assert pixels(sets["shards"], key) == pixels(sets["server"], key) == expected


@pytest.mark.parametrize("place", ["shards", "server"])
@pytest.mark.parametrize("start", [1, 3])
def test_the_order_is_a_function_of_the_iteration(load, sets, place, start):
    cfg = load().cfg
    whole = list(build_classification_train_loader(cfg, sets[place]))
    rest = list(build_classification_train_loader(cfg, sets[place], start_iteration=start))
    assert len(rest) == len(whole) - start
    for one, other in zip(whole[start:], rest, strict=True):
        assert torch.equal(one.indices, other.indices)
        assert torch.equal(one.images, other.images)


def test_two_ranks_share_the_batches_of_one(load, sets):
    cfg = load().cfg
    whole = build_classification_train_loader(cfg, sets["server"])
    halves = [
        build_classification_train_loader(cfg, sets["server"], rank=rank, world_size=2)
        for rank in (0, 1)
    ]
    for one, *parts in zip(whole, *halves, strict=True):
        assert torch.equal(one.images, torch.cat([part.images for part in parts]))


def test_evaluation_from_shards_is_evaluation_from_the_folder(load, places):
    loaded = load("SOLVER.MAX_ITER", 2, "SOLVER.CHECKPOINT_PERIOD", 100, "TEST.EVAL_PERIOD", 0)
    results = {"folder": train_classifier(loaded, places["folder"])["metrics"]}
    weights = ("MODEL.WEIGHTS", f"{loaded.cfg.OUTPUT_DIR}/model_final.pth")
    for place in ("shards", "server"):
        again = load(*weights, output=f"eval_{place}")
        results[place] = evaluate_classifier(again, places[place])["metrics"]
    assert results["shards"] == results["server"] == results["folder"]


def test_a_resumed_run_is_the_uninterrupted_one(load, places, tmp_path, train_and_interrupt):
    entries = places["server"]
    quick = ("TEST.EVAL_PERIOD", 0, "SOLVER.MAX_ITER", 4)
    train_classifier(load(*quick, output="whole"), entries)

    train_and_interrupt(load(*quick), entries, after=2)
    train_classifier(load(*quick), entries, resume=True)
    whole, resumed = (
        torch.load(tmp_path / run / "model_final.pth", weights_only=True)["model"]
        for run in ("whole", "run")
    )
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


def test_test_classes_in_another_order_are_told_apart(load, places, tmp_path, datasets):
    # Shards name their classes in any order; the test set is aligned by name.
    (tmp_path / "toy_val" / "red").rename(tmp_path / "toy_val" / "aaa")
    turned = tmp_path / "shards" / "turned"
    write_shards(tmp_path / "toy_val", turned, ShardSizes(images=5))
    text = (turned / "index.json").read_text()
    (turned / "index.json").write_text(text.replace('"aaa"', '"red"'))
    loaded = load("SOLVER.MAX_ITER", 2, "SOLVER.CHECKPOINT_PERIOD", 100, "TEST.EVAL_PERIOD", 0)
    entries = places["server"]
    expected = train_classifier(loaded, entries)["metrics"]
    weights = ("MODEL.WEIGHTS", f"{loaded.cfg.OUTPUT_DIR}/model_final.pth")
    address = entries["toy_val"].address.replace("toy_val", "turned")
    entry = replace(entries["toy_val"], address=address)
    result = evaluate_classifier(load(*weights, output="again"), {**entries, "toy_val": entry})
    assert result["metrics"] == expected
