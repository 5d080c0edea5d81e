"""CIFAR's archives against torchvision's own reader; interruptions; hostile and wrong archives."""

import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from resnext_det.data.catalog import find_dataset
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.manifest import read_manifest
from resnext_det.data.preparing import cifar
from resnext_det.data.preparing.cifar import PUBLISHED, prepare_cifar
from resnext_det.data.preparing.published import Expected
from resnext_det.errors import UserError
from tests.data.preparing.tiny_cifar import (
    FOLDERS,
    NAMES,
    TINY,
    make_archive,
    make_cifar,
    python_files,
)
from tests.data.preparing.tiny_imagenet import files_below

KINDS = ["cifar10", "cifar100"]


def refusal(kind: str, source: Path, target: Path, **given) -> str:
    with pytest.raises(UserError) as caught:
        prepare_cifar(kind, source, target, **{"reference": TINY, **given})
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("version", ["python", "binary", "folder"])
@pytest.mark.parametrize("kind", KINDS)
def test_same_images_as_torchvision(kind, version, tmp_path, monkeypatch):
    source = make_cifar(tmp_path, kind, "binary" if version == "binary" else "python")
    unpacked = tmp_path / "theirs"
    with tarfile.open(make_cifar(tmp_path / "python", kind)) as archive:
        archive.extractall(unpacked, filter="data")
    if version == "folder":
        source = unpacked / FOLDERS[kind, "python"]
    outcomes = prepare_cifar(kind, source, tmp_path / "ours" / kind, reference=TINY)
    reader = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}[
        kind
    ]
    monkeypatch.setattr(reader, "_check_integrity", lambda _: True)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    for split, outcome in outcomes.items():
        theirs = reader(unpacked, train=split == "train")
        root = tmp_path / "ours" / kind / split
        written = {path.stem: path for path in root.rglob("*.png")}
        assert sorted(written) == [f"{place:05d}" for place in range(len(theirs))]
        for place, (image, label) in enumerate(theirs):
            path = written[f"{place:05d}"]
            assert path.parent.name == theirs.classes[label]
            np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(image))
        assert outcome.fresh
        assert outcome.record.images == len(theirs)
        assert list(outcome.record.classes) == NAMES[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_found_by_name(kind, tmp_path):
    prepare_cifar(kind, make_cifar(tmp_path, kind, images=30), tmp_path / kind, reference=TINY)
    for split in ("train", "test"):
        folder = load_image_folder(find_dataset(f"{kind}_{split}", {}, tmp_path))
        assert folder.class_names == tuple(NAMES[kind])
        assert len(folder) == read_manifest(tmp_path / kind).splits[split].images


def test_a_finished_set_is_left_alone(tmp_path, monkeypatch):
    source = make_cifar(tmp_path, "cifar10")
    first = prepare_cifar("cifar10", source, tmp_path / "a", reference=TINY)
    monkeypatch.setattr(cifar, "open_archive", lambda *_, **__: pytest.fail("read again"))
    again = prepare_cifar("cifar10", source, tmp_path / "a", reference=TINY)
    assert [outcome.fresh for outcome in again.values()] == [False, False]
    assert [o.record for o in again.values()] == [o.record for o in first.values()]


@pytest.mark.parametrize("stop_at", range(6))
def test_interrupted_anywhere_then_finished(tmp_path, monkeypatch, stop_at):
    source, write, seen = make_cifar(tmp_path, "cifar10"), cifar._write_batch, []

    def interrupted(folder, batch, names, first):
        if len(seen) == stop_at:
            (folder / names[batch.labels[0]] / f"{first:05d}.png").write_bytes(b"half")
            raise KeyboardInterrupt
        seen.append(first)
        write(folder, batch, names, first)

    monkeypatch.setattr(cifar, "_write_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_cifar("cifar10", source, tmp_path / "a", reference=TINY)
    monkeypatch.setattr(
        cifar, "_write_batch", lambda f, b, n, i: seen.append(i) or write(f, b, n, i)
    )
    prepare_cifar("cifar10", source, tmp_path / "a", reference=TINY)
    assert seen == [0, 5, 10, 15, 20, 0]  # each batch once
    monkeypatch.setattr(cifar, "_write_batch", write)
    prepare_cifar("cifar10", source, tmp_path / "b", reference=TINY)
    for split in ("train", "test"):
        assert files_below(tmp_path / "a" / split) == files_below(tmp_path / "b" / split)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["manifest.json", "test", "train"]


class Touch:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_a_hostile_batch_executes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {**python_files("cifar10"), "data_batch_2": pickle.dumps({"data": Touch()}, 2)}
    source = make_archive(tmp_path / "a.tar.gz", files, "cifar-10-batches-py")
    message = refusal("cifar10", source, tmp_path / "b")
    assert message.startswith(f"{source}: data_batch_2: not plain data: GLOBAL names '")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["../../evil", "/etc", "a/b", "", ".hidden"], ids=repr)
def test_class_names_that_lead_elsewhere(tmp_path, name):
    meta = pickle.dumps({b"label_names": [name.encode(), b"bird"]}, 4)
    source = make_archive(
        tmp_path / "a.tar.gz", {**python_files("cifar10"), "batches.meta": meta}, "cifar"
    )
    message = refusal("cifar10", source, tmp_path / "b")
    assert message == f"{source}: batches.meta: {name!r} cannot be the name of a class folder"


def test_wrong_archives(tmp_path):
    ten, hundred = make_cifar(tmp_path, "cifar10"), make_cifar(tmp_path, "cifar100", "binary")
    assert refusal("cifar10", hundred, tmp_path / "a") == f"{hundred}: holds cifar100, not cifar10"
    assert refusal("cifar100", ten, tmp_path / "a") == f"{ten}: holds cifar10, not cifar100"
    files = python_files("cifar10")
    del files["data_batch_3"]
    source = make_archive(tmp_path / "b.tar.gz", files, "cifar-10-batches-py")
    message = refusal("cifar10", source, tmp_path / "a")
    assert message == f"{source}: data_batch_3 missing: not cifar10, or cut off"
    assert refusal("cifar10", tmp_path / "no", tmp_path / "a").endswith("no such archive or folder")
    (tmp_path / "empty").mkdir()
    assert "batches.meta, data_batch_1" in refusal("cifar10", tmp_path / "empty", tmp_path / "a")


@pytest.mark.parametrize("kept", [0, 1, 10, 0.5, 0.98])
def test_cut_off_archives(tmp_path, kept):
    source = make_cifar(tmp_path, "cifar10")
    data = source.read_bytes()
    source.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    message = refusal("cifar10", source, tmp_path / "a")
    assert message.startswith(f"{source}: ")
    assert "cut off" in message or "not a" in message


BATCHES = {
    "labels": ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "for 1 class numbers"),
    "pixels": ({b"data": np.zeros((1, 3072)), b"labels": [1]}, "float64 (1, 3072)"),
    "text": ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [b"1"]}, "is no batch of CIFAR"),
    "keys": ({b"images": 1}, "no b'data' and b'labels' in it"),
    "list": ([1], "no b'data' and b'labels' in it"),
    "range": ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [4]}, "class 4, but there are 4"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_damaged_batches(tmp_path, name):
    content, expected = BATCHES[name]
    files = {**python_files("cifar10"), "data_batch_1": pickle.dumps(content, 4)}
    source = make_archive(tmp_path / "a.tar.gz", files, "cifar-10-batches-py")
    message = refusal("cifar10", source, tmp_path / "b")
    assert message.startswith(f"{source}: data_batch_1: ")
    assert expected in message


def test_published_digests_and_counts(tmp_path):
    source = make_cifar(tmp_path, "cifar10")
    message = refusal("cifar10", source, tmp_path / "a", reference=PUBLISHED["cifar10"])
    assert "but cifar-10-python.tar.gz has c58f30108f718f92721af3b95e74349a" in message
    counts = PUBLISHED["cifar10"].without_digests()
    message = refusal("cifar10", source, tmp_path / "a", reference=counts)
    assert message.startswith(
        f"{source}: train: 25 images of 4 classes, but 50,000 of 10 were published"
    )
    short = replace(TINY, counts={"test": Expected(6, 4)})
    message = refusal("cifar10", source, tmp_path / "a", reference=short)
    assert message.startswith(f"{source}: test: 5 images of 4 classes, but 6 of 4 were published")


def test_published_digests_of_the_files(tmp_path):
    for name, data in python_files("cifar10").items():
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_bytes(data)
    message = refusal("cifar10", tmp_path / "a", tmp_path / "b", reference=PUBLISHED["cifar10"])
    assert message.startswith(f"{tmp_path}/a/batches.meta: MD5 ")


def test_constants_are_torchvisions():
    for kind, theirs in (
        ("cifar10", torchvision.datasets.CIFAR10),
        ("cifar100", torchvision.datasets.CIFAR100),
    ):
        archive = PUBLISHED[kind].archives[0]
        assert (archive.name, archive.md5) == (theirs.filename, theirs.tgz_md5)
        files = [*theirs.train_list, *theirs.test_list]
        files.append([theirs.meta["filename"], theirs.meta["md5"]])
        for name, md5 in files:
            assert cifar.CIFAR_FILES[name] == md5
