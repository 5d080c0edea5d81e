"""Writing shards and indexing foreign ones: bytes, resuming, what is refused. Engine-neutral."""

import hashlib
import json
import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import webdataset

from resnext_det.cli import main
from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.manifest import read_manifest
from resnext_det.data.preparing import shards as writing
from resnext_det.data.preparing.shards import ShardSizes, write_shards
from resnext_det.errors import UserError
from tests.data.sharded import make_folder, make_tar

COUNTS = {"ant": 5, "bee": 3, "cat": 4}
FOUR = ShardSizes(images=4)


@pytest.fixture
def source(tmp_path) -> Path:
    return make_folder(tmp_path / "train", COUNTS)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_webdataset_reads_what_is_written(source, tmp_path):
    record = write_shards(source, tmp_path / "out", FOUR, command="the command")
    assert (dict(record.classes), record.notes["shards"]) == (COUNTS, 3)
    assert read_manifest(tmp_path / "out").splits["out"] == record
    assert record.command == "the command"
    urls = [str(tmp_path / f"out/train-{number:06d}.tar") for number in range(3)]
    read = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [sample["__key__"] for sample in read] == [f"{number:08d}" for number in range(12)]
    names = (tmp_path / "out/classnames.txt").read_text().splitlines()
    assert names == sorted(COUNTS)
    found = Counter((sample["jpeg"], names[int(sample["cls"])]) for sample in read)
    assert found == Counter((p.read_bytes(), p.parent.name) for p in source.rglob("*.JPEG"))
    per_shard = [{int(sample["cls"]) for sample in read[i : i + 4]} for i in (0, 4, 8)]
    assert all(len(classes) > 1 for classes in per_shard)  # each a mix


def test_the_index_says_what_there_is(source, tmp_path):
    write_shards(source, tmp_path / "out", FOUR)
    content = json.loads((tmp_path / "out/index.json").read_text())
    assert content["class_names"] == sorted(COUNTS)
    for shard in content["shards"]:
        path = tmp_path / "out" / shard["name"]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert (shard["bytes"], shard["sha256"]) == (path.stat().st_size, digest)
    assert [shard["samples"] for shard in content["shards"]] == [4, 4, 4]


def test_bytes_bound_a_shard(source, tmp_path):
    sizes = {path: path.stat().st_size for path in source.rglob("*.JPEG")}
    most = 2 * max(sizes.values())
    write_shards(source, tmp_path / "out", ShardSizes(size=most))
    for path in (tmp_path / "out").glob("*.tar"):
        with tarfile.open(path) as archive:
            assert sum(m.size for m in archive if m.name.endswith(".jpeg")) <= most
    record = write_shards(source, tmp_path / "single", ShardSizes(size=1))
    assert record.notes["shards"] == 12  # an image is never split


class Cut(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("moment", ["in a shard", "behind a shard", "in the index"])
def test_an_interrupted_writing_goes_on_to_the_same_bytes(source, tmp_path, monkeypatch, moment):
    write_shards(source, tmp_path / "whole" / "out", FOUR)
    output = tmp_path / "cut" / "out"
    calls = []

    def cut(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2 or moment == "in the index":
            if moment == "in a shard":
                (output / ".train-000001.tar.half").write_bytes(b"a kill leaves this")
            raise Cut
        return original(*args, **kwargs)

    name = {
        "in a shard": "_write_samples",
        "behind a shard": "hashed_file",
        "in the index": "write_index",
    }
    original = getattr(writing, name[moment])
    with monkeypatch.context() as patch:
        patch.setattr(writing, name[moment], cut)
        with pytest.raises(Cut):
            write_shards(source, output, FOUR)
    first = (output / "train-000000.tar").stat().st_ino
    write_shards(source, output, FOUR)
    assert (output / "train-000000.tar").stat().st_ino == first  # not written again
    assert files(output) == files(tmp_path / "whole" / "out")


def test_a_finished_writing_is_left_alone(source, tmp_path):
    first = write_shards(source, tmp_path / "out", FOUR)
    before = files(tmp_path / "out")
    assert write_shards(source, tmp_path / "out", FOUR) == first
    assert files(tmp_path / "out") == before
    with pytest.raises(UserError, match=r"holds shards already \(train-000000\.tar\)"):
        write_shards(source, tmp_path / "out", ShardSizes(images=5))
    (tmp_path / "out/train-000001.tar").unlink()
    with pytest.raises(UserError, match="no such shard"):
        write_shards(source, tmp_path / "out", FOUR)


def test_another_source_is_not_mixed_in(source, tmp_path, monkeypatch):
    def cut(*_, **__):
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_index", cut)
        with pytest.raises(Cut):
            write_shards(source, tmp_path / "out", FOUR)
    (source / "ant/0.JPEG").write_bytes(b"another size")
    with pytest.raises(UserError, match="was begun from something else"):
        write_shards(source, tmp_path / "out", FOUR)


def test_broken_images_are_kept_as_they_are(source, tmp_path):
    (source / "ant/0.JPEG").write_bytes(b"")
    write_shards(source, tmp_path / "out", FOUR)
    dataset = load_classification_set(parse_data_argument(f"a={tmp_path}/out"), training=True)
    assert sum(dataset.images.read(i).data == b"" for i in range(12)) == 1


def test_odd_folders_are_named(source, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        write_shards(tmp_path / "nowhere", tmp_path / "out", FOUR)
    with pytest.raises(UserError, match="which it is made from"):
        write_shards(source, source / "out", FOUR)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file, not a folder"):
        write_shards(source, tmp_path / "file", FOUR)
    (source / "empty").mkdir()
    with pytest.raises(UserError, match="no image in this class folder"):
        write_shards(source, tmp_path / "out", FOUR)


# ---- foreign shards, and the command ----


def prepare(*words: object) -> int:
    return main(["dataset", "prepare", "shards", *map(str, words)])


def foreign(folder: Path) -> Path:
    make_tar(
        folder / "a-0.tar", [("0.jpg", b"A"), ("0.cls", b"1"), ("1.jpg", b"B"), ("1.cls", b"0")]
    )
    make_tar(folder / "a-1.tar", [("0.jpg", b"C"), ("0.json", b'{"label": 10}')])
    return folder


def read(folder: Path) -> list[tuple[bytes, str]]:
    dataset = load_classification_set(parse_data_argument(f"a={folder}"), training=True)
    images = [dataset.images.read(i) for i in range(len(dataset))]
    return [(image.data, dataset.class_names[image.label]) for image in images]


def test_foreign_shards_are_indexed(tmp_path, capsys):
    folder = foreign(tmp_path / "f")
    before = files(folder)
    assert prepare(folder, "--index-only") == 0
    assert capsys.readouterr().out.startswith(f"{folder}: 3 images of 11 classes in 2 shards, ")
    assert read(folder) == [(b"A", "01"), (b"B", "00"), (b"C", "10")]
    assert {name: data for name, data in files(folder).items() if name in before} == before
    assert prepare(folder, "--index-only") == 0  # once more is no mistake


@pytest.mark.parametrize("form", ["given", "json", "beside"])
def test_class_names_of_foreign_shards(tmp_path, form):
    folder = foreign(tmp_path / "f")
    names = [f"class {number}" for number in range(12)]
    path = {
        "given": tmp_path / "n",
        "json": tmp_path / "n.json",
        "beside": folder / "classnames.txt",
    }
    path[form].write_text(json.dumps(names) if form == "json" else "\n".join(names) + "\n")
    words = [] if form == "beside" else ["--class-names", path[form]]
    assert prepare(folder, "--index-only", *words) == 0
    assert [name for _, name in read(folder)] == ["class 1", "class 0", "class 10"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\nb\n", "a label is 10, but there are 2 class names"),
        ("a\n\nb\n", "name 1 is ''"),
        ("a\na\n", "name 1 is 'a': empty, no text, or there twice"),
        ("", "no list of class names"),
    ],
    ids=["few", "gap", "twice", "empty"],
)
def test_wrong_class_names_are_named(tmp_path, capsys, text, fault):
    (tmp_path / "names").write_text(text)
    words = (foreign(tmp_path / "f"), "--index-only", "--class-names", tmp_path / "names")
    assert prepare(*words) == 2
    assert fault in capsys.readouterr().err


def test_shards_of_two_sets_are_not_mixed(tmp_path, capsys):
    folder = foreign(tmp_path / "f")
    make_tar(folder / "val-0.tar", [("0.jpg", b"A"), ("0.cls", b"1")])
    assert prepare(folder, "--index-only") == 2
    assert "holds shards of 2 sets (a-0.tar, val-0.tar)" in capsys.readouterr().err


def test_a_folder_without_shards_is_named(tmp_path, capsys):
    assert prepare(tmp_path, "--index-only") == 2
    assert f"{tmp_path}: no shards (*.tar) in it" in capsys.readouterr().err
    assert prepare(tmp_path / "nowhere", "--index-only") == 2


def test_the_command_writes(source, tmp_path, capsys):
    assert prepare(source, tmp_path / "out", "--per-shard", 5) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{tmp_path}/out: 12 images of 3 classes in 3 shards, ")
    assert printed.err == ""
    assert prepare(source, tmp_path / "big") == 0
    assert len(list((tmp_path / "big").glob("*.tar"))) == 1


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["a"], "where to?"),
        (["a", "b", "--index-only"], "--index-only takes the folder"),
        (["a", "--index-only", "--per-shard", "3"], "--index-only takes the folder"),
        (["a", "b", "--class-names", "c"], "--class-names goes with --index-only"),
        (["a", "b", "--per-shard", "0"], "--per-shard 0"),
        (["a", "b", "--shard-size", "-1"], "--shard-size -1"),
        (["a", "b", "--shard-size", "nan"], "--shard-size nan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_contradicting_words_are_named(words, fault, capsys):
    assert prepare(*words) == 2
    assert fault in capsys.readouterr().err


@pytest.mark.parametrize("name", ["new\nline", os.fsdecode(b"\xff")], ids=["break", "bytes"])
def test_a_class_name_that_no_index_holds_is_named(source, tmp_path, name, capsys):
    (source / "cat").rename(source / name)
    assert prepare(source, tmp_path / "out") == 2
    assert "this class is named with a line break" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_image_name_of_any_bytes_is_written(source, tmp_path):
    next((source / "cat").iterdir()).rename(source / "cat" / os.fsdecode(b"\xff\n.png"))
    record = write_shards(source, tmp_path / "out", ShardSizes(images=4))
    assert record.images == read_manifest(tmp_path / "out").splits["out"].images


def test_what_is_no_image_file_is_named(source, tmp_path, capsys):
    os.mkfifo(source / "cat" / "pipe.png")
    assert prepare(source, tmp_path / "out") == 2
    assert "pipe.png: cannot be read (not a plain file)" in capsys.readouterr().err
    (source / "cat" / "pipe.png").unlink()
    (source / "cat" / "gone.png").symlink_to("nowhere.png")
    assert prepare(source, tmp_path / "out") == 2
    assert "gone.png: cannot be read (No such file or directory)" in capsys.readouterr().err
