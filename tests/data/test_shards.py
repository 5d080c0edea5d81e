"""Sets of shards hold the images of the folder they were made from. Engine-neutral."""

import hashlib
import json
import os
import pickle
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from resnext_det.cache_folder import locked
from resnext_det.data import shards as shards_module
from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.shard_cache import make_room, remote_place
from resnext_det.data.shards import ShardImages
from resnext_det.errors import UserError
from tests.data.sharded import make_shards, send, serving

# The forked processes touch nothing that another thread of this one may hold.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def load(location: object) -> ClassificationSet:
    return load_classification_set(parse_data_argument(f"a={location}"), training=True)


def content(dataset: ClassificationSet) -> Counter[tuple[bytes, str]]:
    images = [dataset.images.read(i) for i in range(len(dataset))]
    assert [image.label for image in images] == [
        dataset.images.label(i) for i in range(len(dataset))
    ]
    assert [image.name for image in images] == [dataset.images.name(i) for i in range(len(dataset))]
    return Counter((image.data, dataset.class_names[image.label]) for image in images)


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_shards(tmp_path)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RESNEXT_DET_CACHE_GB", raising=False)
    return tmp_path / "cache" / "shards"


@pytest.fixture
def server(folder, cache):
    with serving(folder) as server:
        yield server


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def error_of(location: object) -> str:
    with pytest.raises(UserError) as error:
        content(load(location))
    assert "\n" not in str(error.value)
    return str(error.value)


def edit_index(folder: Path, change) -> None:
    content = json.loads((folder / "index.json").read_text())
    change(content)
    (folder / "index.json").write_text(json.dumps(content))


# ---- in a folder ----


def test_shards_hold_the_images_of_the_folder(folder):
    dataset = load(folder)
    plain = load(folder.parent / "train")
    assert dataset.class_names == plain.class_names == ("ant", "bee", "cat")
    assert content(dataset) == content(plain)
    assert len(content(dataset)) == 11
    assert dataset.blocks == ()
    assert dataset.images.name(4) == f"{folder}/train-000001.tar: 00000004.jpeg"


def test_places_outside_are_no_images(folder):
    images = load(folder).images
    for index in (-1, 11):
        for ask in (images.read, images.name, images.label):
            with pytest.raises(IndexError):
                ask(index)


def test_what_is_pickled_is_small_and_reads_on(folder):
    dataset = load(folder)
    before = content(dataset)  # shards are open
    data = pickle.dumps(dataset)
    assert len(data) < 3000
    assert content(pickle.loads(data)) == before


def test_a_forked_process_opens_for_itself(folder):
    dataset = load(folder)
    expected = content(dataset)
    child = os.fork()
    if child == 0:
        os._exit(0 if content(dataset) == expected else 1)
    assert ended(child) == 0
    assert content(dataset) == expected


def test_few_shards_are_open_at_once(folder, monkeypatch):
    monkeypatch.setattr(shards_module, "_OPEN_SHARDS", 2)
    dataset = load(folder)
    assert content(dataset) == content(load(folder.parent / "train"))
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("needs /proc to count open files")
    targets = [os.readlink(link) for link in descriptors.iterdir() if link.is_symlink()]
    assert sorted(t for t in targets if t.startswith(f"{folder}/train-")) == [
        f"{folder}/train-000001.tar",
        f"{folder}/train-000002.tar",
    ]


def test_a_missing_shard_is_named(folder):
    (folder / "train-000001.tar").unlink()
    assert error_of(folder) == f"{folder}/train-000001.tar: no such shard, but the index names it"


def test_a_cut_shard_is_named(folder):
    path = folder / "train-000001.tar"
    size = path.stat().st_size
    os.truncate(path, size - 512)
    message = error_of(folder)
    assert message.startswith(f"{path}: has {size - 512} bytes, but the index says {size}")


def test_a_shard_cut_during_a_run_is_named(folder):
    dataset = load(folder)
    dataset.images.read(0)
    os.truncate(folder / "train-000000.tar", 600)
    with pytest.raises(
        UserError, match=r"train-000000\.tar: 00000003\.jpeg: the shard ends before"
    ):
        dataset.images.read(3)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c.update(format="other"), "not an index of shards"),
        (lambda c: c.pop("shards"), "damaged: 'shards' is missing"),
        (lambda c: c.update(shards=[]), "do not add up to 11"),
        (lambda c: c.update(class_names="abc"), "class_names is not a list"),
        (lambda c: c.update(class_names=["a\nb"] * 3), "class_names is not a list"),
        (lambda c: c.update(class_names=["a", "b"]), "has no such class"),
        (lambda c: c["shards"][0].update(name="../a.tar"), "'../a.tar' is not the plain name"),
        (lambda c: c["shards"][0].update(name="/etc/passwd"), "is not the plain name"),
        (lambda c: c["shards"][0].update(name=".."), "is not the plain name"),
        (lambda c: c["shards"][0].update(name=5), "is not the plain name"),
        (lambda c: c["shards"][1].update(name="train-000000.tar"), "names a file twice"),
        (lambda c: c["shards"][0].update(bytes=-1), "has -1 bytes or samples"),
        (lambda c: c["shards"][0].update(bytes=True), "has True bytes or samples"),
        (lambda c: c["shards"][0].update(bytes=1 << 60), "bytes or samples in it"),
        (lambda c: c["shards"][0].update(samples=3), "do not add up to 11"),
        (lambda c: c["shards"][0].update(sha256="xyz"), "is not 64 hexadecimal digits"),
        (lambda c: c["table"].update(samples=12), "do not add up to 12"),
        (lambda c: c.update(shards=5), "damaged: "),
        (lambda c: c["shards"].insert(0, 5), "damaged: "),
    ],
)  # fmt: skip
def test_a_wrong_index_is_named(folder, change, fault):
    edit_index(folder, change)
    assert fault in error_of(folder)


def accept_table(folder: Path) -> None:
    data = (folder / "index.npz").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    edit_index(folder, lambda c: c["table"].update(bytes=len(data), sha256=digest))


def spoil_table(folder: Path, **arrays) -> None:
    path = folder / "index.npz"
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **{**content, **arrays})
    accept_table(folder)


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"labels": np.full(11, 3, np.int32)}, "image 0 has no such class"),
        ({"labels": np.zeros(10, np.int32)}, "labels has another form"),
        ({"labels": np.zeros(11, np.int64)}, "labels has another form"),
        ({"labels": np.zeros((11, 1), np.int32)}, "labels has another form"),
        ({"offsets": np.full(11, -5, np.int64)}, "image 0 lies outside its shard"),
        ({"lengths": np.full(11, 1 << 50, np.int64)}, "image 0 lies outside its shard"),
        ({"offsets": np.full(11, (1 << 63) - 1, np.int64)}, "image 0 lies outside its shard"),
        ({"name_ends": np.full(11, 4, np.int64)}, "its names are torn"),
        ({"labels": np.array([None] * 11)}, "not a table of samples"),
    ],
)
def test_a_wrong_table_is_named(folder, arrays, fault):
    spoil_table(folder, **arrays)
    assert fault in error_of(folder)


def test_a_compressed_table_is_not_unpacked(folder):
    path = folder / "index.npz"
    with np.load(path) as file:
        np.savez_compressed(path, **dict(file))
    accept_table(folder)
    assert "not a table of samples" in error_of(folder)


def test_a_torn_table_is_named(folder):
    path = folder / "index.npz"
    path.write_bytes(b"?" * path.stat().st_size)
    assert "is not the one index.json names" in error_of(folder)
    accept_table(folder)
    assert "not a table of samples, or cut off" in error_of(folder)


def test_shards_without_an_index_say_how_to_get_one(folder):
    (folder / "index.json").unlink()
    assert "--index-only" in error_of(folder)


# ---- on a server ----


def test_a_server_gives_what_the_folder_gives(folder, server):
    dataset = load(f"{server.address}/index.json")
    local = load(folder)
    assert content(dataset) == content(local)
    assert dataset.blocks == (4, 4, 3)
    assert dataset.images.name(0) == f"{server.address}/train-000000.tar: 00000000.jpeg"
    assert [server.times(f"train-{n:06d}.tar") for n in range(3)] == [1, 1, 1]


def test_a_full_cache_asks_no_server(folder, server):
    address = f"{server.address}/index.json"
    expected = content(load(address))
    before = len(server.asked)
    again = pickle.loads(pickle.dumps(load(address)))
    assert content(again) == expected
    assert len(server.asked) == before


def test_opening_a_set_fetches_no_shard(server):
    load(f"{server.address}/index.json")
    assert {asked.path for asked in server.asked} == {"index.json", "index.npz"}


def test_a_set_written_again_is_not_mixed_with_the_old(folder, server, tmp_path, cache):
    address = f"{server.address}/index.json"
    content(load(address))
    new = make_shards(tmp_path / "new", {"dog": 4, "eel": 4})
    server.root = new
    for path in cache.glob("*.json"):
        path.unlink()
    assert content(load(address)) == content(load(new))


def test_a_shard_of_another_digest_is_named(folder, server, monkeypatch):
    edit_index(folder, lambda c: c["shards"][0].update(sha256="0" * 64))
    message = error_of(f"{server.address}/index.json")
    assert f"{server.address}/train-000000.tar: its SHA-256 sum is not 0000" in message


def test_an_index_without_digests_is_refused(folder, server):
    edit_index(folder, lambda c: c["shards"][0].update(sha256=""))
    assert "has no sha256 of train-000000.tar" in error_of(f"{server.address}/index.json")


def test_a_web_page_in_place_of_the_index_is_named(server):
    server.faults["index.json"] = lambda handler, asked: send(
        handler, 200, b"<html>", Content_Type="text/html; charset=utf-8"
    )
    assert "the server sends a web page" in error_of(f"{server.address}/index.json")
    server.faults["index.json"] = lambda handler, asked: send(handler, 200, b"?")
    assert "not JSON" in error_of(f"{server.address}/index.json")
    del server.faults["index.json"]  # the page was not kept
    load(f"{server.address}/index.json")


def test_a_missing_shard_on_a_server_is_named(folder, server):
    (folder / "train-000002.tar").unlink()
    message = error_of(f"{server.address}/index.json")
    assert message == f"{server.address}/train-000002.tar: the server answers 404 Not Found"


def test_a_bounded_cache_forgets_what_was_used_longest_ago(folder, server, cache, monkeypatch):
    sizes = [path.stat().st_size for path in sorted(folder.glob("*.tar"))]
    monkeypatch.setenv("RESNEXT_DET_CACHE_GB", str((sizes[0] + sizes[1]) / 1e9))
    dataset = load(f"{server.address}/index.json")
    assert content(dataset) == content(load(folder))
    assert len(list(cache.glob("*.tar"))) == 2
    fresh = pickle.loads(pickle.dumps(dataset))  # opens anew
    assert content(fresh) == content(load(folder))
    assert sum(path.stat().st_size for path in cache.glob("*.tar")) <= sizes[0] + sizes[1]


def test_room_is_made_from_the_oldest_on(tmp_path):
    for age, name in enumerate("cab"):
        path = tmp_path / f"{name}.tar"
        path.write_bytes(b"x" * 10)
        os.utime(path, (1000 + age, 1000 + age))
    (tmp_path / "index.json").write_bytes(b"x" * 100)
    make_room(tmp_path, 20)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "b.tar", "index.json"]
    make_room(tmp_path, 0)
    make_room(tmp_path, -5)
    assert [p.name for p in tmp_path.iterdir()] == ["index.json"]


@pytest.mark.parametrize("said", ["many", "-1", "0", "nan", "inf"])
def test_an_odd_size_of_the_cache_is_named(said, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_CACHE_GB", said)
    with pytest.raises(UserError, match=f"RESNEXT_DET_CACHE_GB '{said}'"):
        remote_place("http://server/index.json")


def test_where_the_cache_is(monkeypatch):
    monkeypatch.delenv("RESNEXT_DET_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert remote_place("http://s/index.json").folder == Path("/x/resnext_det/shards")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert remote_place("http://s/index.json").folder == Path("/h/.cache/resnext_det/shards")
    monkeypatch.setenv("RESNEXT_DET_CACHE", "/c")
    assert remote_place("http://s/index.json").folder == Path("/c/shards")


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "file"))
    message = error_of(f"{server.address}/index.json")
    assert "the cache cannot be written" in message


def reader(address: str, expected: Counter[tuple[bytes, str]]) -> int:
    """Starts a process that reads everything; it ends with 0 where that is as expected."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if content(load(f"{address}/index.json")) == expected else 1)
        finally:
            os._exit(2)
    return child


def test_two_processes_fetch_each_shard_once(folder, server):
    readers = [reader(server.address, content(load(folder))) for _ in range(3)]
    assert [ended(child) for child in readers] == [0, 0, 0]
    assert {asked.path: server.times(asked.path) for asked in server.asked} == {
        "index.json": 1, "index.npz": 1,
        "train-000000.tar": 1, "train-000001.tar": 1, "train-000002.tar": 1,
    }  # fmt: skip


def test_a_killed_process_leaves_nothing_that_hinders(folder, server, cache):
    path = folder / "train-000001.tar"
    half = path.stat().st_size // 2

    def stall(handler, asked):
        if asked.before:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(path.stat().st_size))
        handler.end_headers()
        handler.wfile.write(path.read_bytes()[:half])
        handler.wfile.flush()
        return handler.rfile.read(1) is None  # until the other side hangs up

    server.faults[path.name] = stall
    child = reader(server.address, Counter())
    while not [p for p in cache.glob("*.tar.part") if p.stat().st_size == half]:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert content(load(f"{server.address}/index.json")) == content(load(folder))
    assert server.asked[-2].range == f"bytes={half}-"
    assert not list(cache.glob("*.part"))


def test_fetching_ahead_leaves_a_busy_shard_to_others(folder, server, cache):
    def asked() -> list[str]:
        return [asked.path for asked in server.asked if asked.path.endswith(".tar")]

    images = load(f"{server.address}/index.json").images
    assert isinstance(images, ShardImages)
    images.fetch([9, 0, 10])
    assert asked() == ["train-000002.tar", "train-000000.tar"]
    images.fetch([9, 0])
    assert len(asked()) == 2
    with locked(cache / f"{images.shards[1].sha256}.tar"):
        images.fetch([4, 5])
    assert len(asked()) == 2
    images.fetch([4, 5])
    assert asked()[2:] == ["train-000001.tar"]
