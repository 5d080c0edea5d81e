"""ILSVRC2012's archives against torchvision's own parsers; interruptions; wrong archives."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from torchvision.datasets import imagenet as torchvision_imagenet

from resnext_det.data.manifest import read_manifest
from resnext_det.data.preparing import imagenet_1k
from resnext_det.data.preparing.imagenet_1k import PUBLISHED, prepare_train, prepare_val
from resnext_det.data.preparing.published import Expected, Published
from resnext_det.errors import UserError
from tests.data.preparing.tiny_imagenet import (
    COUNTS,
    TINY,
    Archives,
    class_tar,
    devkit_files,
    files_below,
    make_archives,
    tar_bytes,
    val_files,
)


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    return make_archives(tmp_path / "downloads")


def refusal(archives: Archives, target: Path, split: str = "train", **given) -> str:
    prepare, sources = {
        "train": (prepare_train, (archives.train,)),
        "val": (prepare_val, (archives.val, archives.devkit)),
    }[split]
    with pytest.raises(UserError) as caught:
        prepare(*sources, target, **{"reference": TINY, **given})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_same_files_as_torchvision(archives, tmp_path, monkeypatch):
    theirs = archives.train.parent
    monkeypatch.setattr(torchvision_imagenet, "_verify_archive", lambda *_: None)
    torchvision_imagenet.parse_devkit_archive(theirs)
    torchvision_imagenet.parse_train_archive(theirs)
    torchvision_imagenet.parse_val_archive(theirs)
    ours = tmp_path / "imagenet"
    prepare_train(archives.train, ours, reference=TINY)
    prepare_val(archives.val, archives.devkit, ours, reference=TINY)
    for split in ("train", "val"):
        assert files_below(ours / split) == files_below(theirs / split)
    assert sorted(p.name for p in ours.iterdir()) == ["manifest.json", "train", "val"]


def test_manifest(archives, tmp_path):
    outcome = prepare_train(archives.train, tmp_path / "a", reference=TINY, command="resnext-det x")
    record = read_manifest(tmp_path / "a").splits["train"]
    assert outcome.fresh
    assert outcome.record == record
    assert (record.kind, record.command) == ("imagenet-1k", "resnext-det x")
    assert list(record.classes.items()) == sorted(COUNTS.items())
    data = archives.train.read_bytes()
    source = record.sources[0]
    assert (source.name, source.size) == ("ILSVRC2012_img_train.tar", len(data))
    assert source.md5 == hashlib.md5(data).hexdigest()
    assert source.sha256 == hashlib.sha256(data).hexdigest()


def test_without_digests_nothing_is_computed(archives, tmp_path):
    record = prepare_train(archives.train, tmp_path / "a", reference=TINY, digest=False).record
    assert record.sources[0].md5 is None
    record = prepare_val(
        archives.val, archives.devkit, tmp_path / "a", reference=TINY, digest=False
    )
    assert record.record.images == 7


def test_a_finished_set_is_left_alone(archives, tmp_path, monkeypatch):
    target = tmp_path / "imagenet"
    first = prepare_train(archives.train, target, reference=TINY)
    monkeypatch.setattr(imagenet_1k, "open_archive", lambda *_, **__: pytest.fail("read again"))
    again = prepare_train(archives.train, target, reference=TINY)
    assert not again.fresh
    assert again.record == first.record


@pytest.mark.parametrize("digest", [True, False], ids=["digest", "no-digest"])
@pytest.mark.parametrize("stop_at", range(9))
def test_interrupted_anywhere_then_finished(archives, tmp_path, monkeypatch, stop_at, digest):
    target, read, seen = tmp_path / "imagenet", imagenet_1k.read_member, []

    def interrupted(reader, member):
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        seen.append(member.name)
        return read(reader, member)

    monkeypatch.setattr(imagenet_1k, "read_member", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_train(archives.train, target, reference=TINY, digest=digest)
    assert not (target / "train").exists()
    seen_before = len(seen)
    monkeypatch.setattr(imagenet_1k, "read_member", lambda r, m: seen.append(m.name) or read(r, m))
    outcome = prepare_train(archives.train, target, reference=TINY, digest=digest)
    whole = tmp_path / "whole"
    expected = prepare_train(archives.train, whole, reference=TINY, digest=digest)
    assert outcome.record == expected.record
    assert files_below(target / "train") == files_below(whole / "train")
    assert sorted(p.name for p in target.iterdir()) == ["manifest.json", "train"]
    finished = 0 if stop_at < 3 else 3 if stop_at < 7 else 7  # classes have 3, 4 and 2 images
    assert len(seen) - seen_before - 9 == 9 - finished  # nine of them are those of the whole run


@pytest.mark.parametrize("stop_at", range(7))
def test_validation_interrupted_anywhere(archives, tmp_path, monkeypatch, stop_at):
    target, read, seen = tmp_path / "imagenet", imagenet_1k.read_member, []

    def interrupted(reader, member):
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        seen.append(member.name)
        return read(reader, member)

    monkeypatch.setattr(imagenet_1k, "read_member", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_val(archives.val, archives.devkit, target, reference=TINY)
    monkeypatch.setattr(imagenet_1k, "read_member", lambda r, m: seen.append(m.name) or read(r, m))
    prepare_val(archives.val, archives.devkit, target, reference=TINY)
    assert sorted(seen) == sorted(val_files())  # each was written once
    written = {Path(name).name: data for name, data in files_below(target / "val").items()}
    assert written == val_files()


def test_a_half_written_image_is_written_again(archives, tmp_path):
    target = tmp_path / "imagenet"
    name = "ILSVRC2012_val_00000004.JPEG"  # of class 3
    half = target / ".val.partial/n00000003" / name
    half.parent.mkdir(parents=True)
    half.write_bytes(val_files()[name][:9])
    prepare_val(archives.val, archives.devkit, target, reference=TINY)
    assert (target / "val/n00000003" / name).read_bytes() == val_files()[name]


def test_what_the_journal_and_the_disk_do_not_agree_on_is_done_again(archives, tmp_path):
    target = tmp_path / "imagenet"
    refusal(archives, target, reference=replace(TINY, train_counts=Expected(8, 3)))
    (target / ".train.partial/n00000003/n00000003_1.JPEG").write_bytes(b"")  # as after a power cut
    prepare_train(archives.train, target, reference=TINY)
    assert len(files_below(target / "train")) == 9
    assert all(files_below(target / "train").values())


def get_stuck(archives: Archives, target: Path, ready: Path) -> None:
    """Prepares the training split, but stays with its fifth image."""
    read, seen = imagenet_1k.read_member, []

    def stuck(reader, member):
        seen.append(member)
        if len(seen) == 5:
            ready.touch()
            time.sleep(600)
        return read(reader, member)

    imagenet_1k.read_member = stuck  # in the child alone
    prepare_train(archives.train, target, reference=TINY)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_a_process_that_is_stopped(archives, tmp_path, how):
    target, ready = tmp_path / "imagenet", tmp_path / "ready"
    forking = multiprocessing.get_context("fork")  # importing everything again takes seconds
    child = forking.Process(target=get_stuck, args=(archives, target, ready))
    child.start()
    try:
        while not ready.exists():
            assert child.is_alive()
            time.sleep(0.05)
        message = refusal(archives, target)  # while it is at work
        assert message == f"{target}: another preparation is at work there"
    finally:
        os.kill(child.pid, how)
        child.join()
    assert not (target / "train").exists()
    assert (target / ".train.partial/n00000003").is_dir()
    assert prepare_train(archives.train, target, reference=TINY).fresh
    assert len(files_below(target / "train")) == 9


def test_wrong_archives_are_named(archives, tmp_path):
    swapped = Archives(archives.val, archives.train, archives.devkit)
    holds = f"{archives.val}: holds 'ILSVRC2012_val_0000000"
    message = refusal(swapped, tmp_path / "a")
    assert message.startswith(holds)
    assert message.endswith("it is the validation archive; give it as --val")
    message = refusal(swapped, tmp_path / "a", "val")
    assert message == (
        f"{archives.train}: holds 'n00000003.tar': it is the training archive; give it as --train"
    )
    test = tmp_path / "ILSVRC2012_img_test.tar"
    test.write_bytes(tar_bytes({"ILSVRC2012_test_00000001.JPEG": b"a"}))
    for split in ("train", "val"):
        message = refusal(Archives(test, test, archives.devkit), tmp_path / "a", split)
        assert message.endswith("it is the test archive, which has no labels")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not a tar archive, or empty or damaged"),
        (b"\x1f\x8b" + bytes(2000), "not a tar archive, or empty or damaged"),
        (bytes(10240), "no images"),
    ],
    ids=["empty", "gzip", "zeros"],
)
def test_no_tar(tmp_path, content, expected):
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    message = refusal(Archives(path, path, path), tmp_path / "b")
    assert message.startswith(f"{path}: ")
    assert expected in message or "0 images of 0 classes, but 9 of 3 were published" in message


def test_archives_that_are_not_there(archives, tmp_path):
    gone = Archives(tmp_path / "gone.tar", tmp_path, archives.devkit)
    assert refusal(gone, tmp_path / "a") == f"{tmp_path}/gone.tar: no such archive"
    message = refusal(gone, tmp_path / "a", "val")
    assert message == f"{tmp_path}: a folder; the archive itself is needed"


@pytest.mark.parametrize("cut", [1, 512, 700, 1024, 5000, 10000], ids=lambda n: f"{n}-bytes")
@pytest.mark.parametrize("split", ["train", "val"])
def test_cut_off_archives(archives, tmp_path, cut, split):
    path = getattr(archives, split)
    data = path.read_bytes().rstrip(b"\0")  # the padding of the last record is no loss
    path.write_bytes(data[:-cut])
    message = refusal(archives, tmp_path / "a", split)
    assert message.startswith(str(path))
    assert "cut off" in message
    assert not (tmp_path / "a" / split).exists()


def test_a_class_archive_that_is_cut_off(archives, tmp_path):
    inner = class_tar("n00000001", 4)[:3000]
    archives.train.write_bytes(tar_bytes({"n00000001.tar": inner}))
    message = refusal(archives, tmp_path / "a")
    assert message.startswith(f"{archives.train}: n00000001.tar: cut off")


def test_an_image_in_two_folders(archives, tmp_path):
    inner = tar_bytes({"a/n00000001_1.JPEG": b"a", "b/n00000001_1.JPEG": b"b"})
    archives.train.write_bytes(tar_bytes({"n00000001.tar": inner}))
    message = refusal(archives, tmp_path / "a")
    assert message == f"{archives.train}: n00000001.tar: 'n00000001_1.JPEG' is in it twice"


def test_what_is_no_image(archives, tmp_path):
    inner = tar_bytes({"n00000001_1.py": b"a"})
    archives.train.write_bytes(tar_bytes({"n00000001.tar": inner}))
    message = refusal(archives, tmp_path / "a")
    assert message.startswith(f"{archives.train}: n00000001.tar: 'n00000001_1.py' is no image (")


def test_published_sizes_and_digests(archives, tmp_path):
    message = refusal(archives, tmp_path / "a", reference=PUBLISHED)
    size = archives.train.stat().st_size
    assert message == (
        f"{archives.train}: {size:,} bytes, but ILSVRC2012_img_train.tar has 147,897,477,120: cut "
        "off, or another archive (--no-digest takes it as it is)"
    )
    reference = replace(TINY, train=Published("a.tar", "0" * 32, size))
    message = refusal(archives, tmp_path / "a", reference=reference)
    md5 = hashlib.md5(archives.train.read_bytes()).hexdigest()
    assert message == (
        f"{archives.train}: MD5 {md5}, but a.tar has {'0' * 32}: a damaged download, or another "
        "archive (--no-digest takes it as it is)"
    )
    record = prepare_train(archives.train, tmp_path / "a", reference=TINY, digest=False).record
    assert record.images == 9  # nothing was unpacked again


def test_missing_images_are_named(archives, tmp_path):
    reference = replace(TINY, train_counts=Expected(10, 3))
    message = refusal(archives, tmp_path / "a", reference=reference)
    assert message == (
        f"{archives.train}: 9 images of 3 classes, but 10 of 3 were published; give the devkit too "
        "to name the classes"
    )
    tars = {f"{wnid}.tar": class_tar(wnid, count) for wnid, count in COUNTS.items()}
    tars["n00000001.tar"] = class_tar("n00000001", 1)
    del tars["n00000002.tar"]
    archives.train.write_bytes(tar_bytes(tars))
    message = refusal(archives, tmp_path / "b", devkit=archives.devkit)
    assert message == (
        f"{archives.train}: 4 images of 2 classes, but 9 of 3 were published; n00000001 has 1, not "
        "4, n00000002 has 0, not 2"
    )


def test_another_archive_than_it_was_begun_from(archives, tmp_path):
    target = tmp_path / "imagenet"
    refusal(archives, target, reference=replace(TINY, train_counts=Expected(8, 3)))
    other = tmp_path / "other.tar"
    other.write_bytes(archives.train.read_bytes())
    message = refusal(replace(archives, train=other), target)
    assert "was begun from something else (sources" in message
    prepare_train(archives.train, target, reference=TINY)
    message = refusal(replace(archives, train=other), target)
    assert message.startswith(f"{target}/train: was prepared from something else")


def test_targets_that_hold_other_things(archives, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    message = refusal(archives, tmp_path)
    assert message == (
        f"{tmp_path}: holds other things, such as 'downloads': give an --output of its own"
    )
    (tmp_path / "a/train").mkdir(parents=True)
    message = refusal(archives, tmp_path / "a")
    assert message.startswith(f"{tmp_path}/a/train: is there already and was not made by")
    message = refusal(archives, tmp_path / "notes.txt")
    assert "notes.txt" in message


def test_class_folders_that_are_gone(archives, tmp_path):
    target = tmp_path / "imagenet"
    prepare_train(archives.train, target, reference=TINY)
    shutil.rmtree(target / "train/n00000002")
    message = refusal(archives, target)
    assert message.startswith(f"{target}/train: 1 class folder(s) of {target}/manifest.json are")


def test_full_disks(archives, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    message = refusal(archives, tmp_path / "a")
    assert "GB are needed, but its disk has 0.0 GB free" in message
    monkeypatch.undo()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(imagenet_1k, "unpack_images", full)
    message = refusal(archives, tmp_path / "a")
    assert message.endswith(": No space left on device: mend that, and the same command goes on")


def test_a_devkit_of_another_year(archives, tmp_path):
    archives.devkit.write_bytes(tar_bytes({"devkit-1.0/data/meta.mat": b""}, "w:gz"))
    message = refusal(archives, tmp_path / "a", "val")
    assert message == (
        f"{archives.devkit}: no data/ILSVRC2012_validation_ground_truth.txt in it: the kit of "
        "2012, ILSVRC2012_devkit_t12.tar.gz, is needed"
    )


@pytest.mark.parametrize("damage", ["meta", "truth", "gzip", "cut"])
def test_damaged_devkits(archives, tmp_path, damage):
    files = devkit_files()
    if damage == "meta":
        files["ILSVRC2012_devkit_t12/data/meta.mat"] = b"MATLAB 5.0 MAT-file" + bytes(200)
    if damage == "truth":
        files["ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"] = b"1\n77\n"
    data = tar_bytes(files, "w:gz")
    archives.devkit.write_bytes({"gzip": tar_bytes(files), "cut": data[:-40]}.get(damage, data))
    message = refusal(archives, tmp_path / "a", "val")
    assert message.startswith(f"{archives.devkit}: ")
    expected = {
        "meta": "data/meta.mat cannot be read",
        "truth": "77 is no class number",
        "gzip": "not a gzip file",
        "cut": "cut off or damaged",
    }
    assert expected[damage] in message


def test_more_images_than_labels(archives, tmp_path):
    archives.val.write_bytes(tar_bytes({"ILSVRC2012_val_00000008.JPEG": b"a"}))
    message = refusal(archives, tmp_path / "a", "val")
    assert message == f"{archives.val}: 'ILSVRC2012_val_00000008.JPEG': the devkit has 7 labels"
