"""Shards named in braces: scanned once, then known. Engine-neutral."""

import os

import pytest

from resnext_det.data import shard_pattern
from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.shard_scan import scan_shard
from resnext_det.errors import UserError
from tests.data.sharded import make_tar, send, serving


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RESNEXT_DET_CACHE_GB", raising=False)
    folder = tmp_path / "f"
    for number, image in enumerate((b"A", b"B", b"C")):
        members = [("0.jpg", image), ("0.cls", str(number).encode())]
        make_tar(folder / f"train-{number:02d}.tar", members)
    make_tar(folder / "val-00.tar", [("0.jpg", b"V"), ("0.cls", b"2")])
    return folder


@pytest.fixture
def scans(monkeypatch):
    """Counts the shards that are scanned."""
    scanned = []

    def scan(path):
        scanned.append(path)
        return scan_shard(path)

    monkeypatch.setattr(shard_pattern, "scan_shard", scan)
    return scanned


def load(location: object):
    return load_classification_set(parse_data_argument(f"a={location}"), training=True)


def read(location: object) -> list[tuple[bytes, str]]:
    dataset = load(location)
    images = [dataset.images.read(i) for i in range(len(dataset))]
    return [(image.data, dataset.class_names[image.label]) for image in images]


def error_of(location: object) -> str:
    with pytest.raises(UserError) as error:
        load(location)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_pattern_names_a_set(folder, scans):
    before = sorted(os.listdir(folder))
    expected = [(b"A", "0"), (b"B", "1"), (b"C", "2")]
    assert read(folder / "train-{00..02}.tar") == expected
    assert len(scans) == 3
    assert read(folder / "train-{00..02}.tar") == expected
    assert len(scans) == 3
    assert read(folder / "val-00.tar") == [(b"V", "2")]
    assert read(folder / "train-{00,02}.tar") == [(b"A", "0"), (b"C", "2")]
    assert sorted(os.listdir(folder)) == before  # nothing is written beside the shards


def test_a_shard_written_again_is_scanned_again(folder, scans):
    read(folder / "val-00.tar")
    make_tar(folder / "val-00.tar", [("0.jpg", b"W" * 20000), ("0.cls", b"1")])
    assert read(folder / "val-00.tar") == [(b"W" * 20000, "1")]


def test_names_beside_the_shards_are_taken(folder, scans):
    assert load(folder / "val-00.tar").class_names == ("0", "1", "2")
    (folder / "classnames.txt").write_text("x\ny\nz\n")
    assert load(folder / "val-00.tar").class_names == ("x", "y", "z")


def test_a_pattern_on_a_server(folder, scans):
    with serving(folder) as server:
        address = f"{server.address}/train-{{00..02}}.tar"
        expected = [(b"A", "0"), (b"B", "1"), (b"C", "2")]
        assert read(address) == expected
        dataset = load(address)
        assert dataset.images.name(1) == f"{server.address}/train-01.tar: 0.jpg"
        assert dataset.blocks == (1, 1, 1)
        assert read(address) == expected
        assert [server.times(f"train-{n:02d}.tar") for n in range(3)] == [1, 1, 1]


def test_a_wrong_shard_on_a_server_is_named(folder):
    with serving(folder) as server:
        address = f"{server.address}/train-00.tar"
        server.faults["train-00.tar"] = lambda handler, asked: send(handler, 200, b"?" * 600)
        assert error_of(address).startswith(f"{address}: not a tar, or damaged")
        del server.faults["train-00.tar"]
        assert read(address) == [(b"A", "0")]  # the wrong one was not kept


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("train-{00..03}.tar", "train-03.tar: no such shard of data set 'a'"),
        ("train-{00..02.tar", "a brace without its other half"),
        ("train-{00,00}.tar", "names a shard twice"),
        ("train-{0..99999999}.tar", "more than 100000 shards"),
        ("train-{000..999}{000..999}.tar", "names a shard twice, or more than 100000"),
    ],
)
def test_a_wrong_pattern_is_named(folder, pattern, fault):
    assert fault in error_of(folder / pattern)


def test_a_set_lies_in_one_folder(folder):
    assert "lie in one folder" in error_of(f"{folder.parent}/{{f,g}}/train-00.tar")
