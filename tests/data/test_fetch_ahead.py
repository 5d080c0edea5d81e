"""Shards are fetched in the order of the run, a bounded way ahead of it. Engine-neutral."""

import pytest

from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.fetch_ahead import AHEAD_SHARDS, FetchedAhead, fetched_ahead
from resnext_det.data.loaders import PlannedBatches
from resnext_det.data.samplers import BatchPlan
from resnext_det.data.shards import ShardImages
from tests.data.sharded import make_shards, serving


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RESNEXT_DET_CACHE_GB", raising=False)
    return make_shards(tmp_path, {"ant": 12, "bee": 12}, per_shard=2)


@pytest.fixture
def server(folder):
    with serving(folder) as server:
        yield server


def load(location: object) -> ClassificationSet:
    return load_classification_set(parse_data_argument(f"a={location}"), training=True)


def fetched(server) -> list[str]:
    return [asked.path for asked in server.asked if asked.path.endswith(".tar")]


def test_the_batches_are_the_same(folder, server):
    dataset = load(f"{server.address}/index.json")
    plan = BatchPlan(len(dataset), 4, 7, blocks=dataset.blocks)
    batches = PlannedBatches(plan, 3, 20)
    ahead = fetched_ahead(batches, dataset.images)
    assert isinstance(ahead, FetchedAhead)
    assert len(ahead) == 17
    assert list(ahead) == list(batches)
    assert list(ahead) == list(batches)  # once more


def test_shards_come_in_the_order_of_the_run(server):
    dataset = load(f"{server.address}/index.json")
    order = [[20, 21], [4], [0, 1, 5], [22, 23]]
    ahead = fetched_ahead(order, dataset.images)
    assert list(ahead) == order
    ahead.walker.join()
    names = [f"train-{number:06d}.tar" for number in (10, 2, 0, 11)]
    assert fetched(server) == names[: len(fetched(server))]  # a stop may leave some out


def test_the_walk_stays_a_bounded_way_ahead(server):
    dataset = load(f"{server.address}/index.json")
    order = [[number] for number in range(24)]
    images = dataset.images
    assert isinstance(images, ShardImages)
    ahead = fetched_ahead(order, images)
    running = iter(ahead)
    next(running)
    walker = ahead.walker
    assert walker is not None
    walker.join(timeout=0.2)  # it has more to do, and no room for it
    assert walker.is_alive()
    running.close()
    walker.join()
    assert fetched(server) == [f"train-{number:06d}.tar" for number in range(len(fetched(server)))]
    assert len(fetched(server)) <= AHEAD_SHARDS


def test_a_fault_is_left_to_the_run(folder, server):
    (folder / "train-000001.tar").unlink()
    dataset = load(f"{server.address}/index.json")
    order = [[0], [2], [4]]
    ahead = fetched_ahead(order, dataset.images)
    assert list(ahead) == order
    ahead.walker.join()


def test_nothing_is_fetched_ahead_from_a_folder(folder):
    dataset = load(folder)
    order = [[0], [1]]
    assert fetched_ahead(order, dataset.images) is order
    assert fetched_ahead(order, dataset.subset([1, 0]).images) is order
    assert fetched_ahead(order, load(folder.parent / "train").images) is order
