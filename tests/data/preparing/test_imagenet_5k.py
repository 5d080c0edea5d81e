"""ImageNet-5K: which classes, links, copies, archives, interruptions, what is missing."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.data.catalog import find_dataset
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.manifest import read_manifest
from resnext_det.data.preparing import imagenet_5k
from resnext_det.data.preparing.class_sources import imagenet_1k_classes
from resnext_det.data.preparing.imagenet_5k import choose_classes, prepare_imagenet_5k
from resnext_det.errors import UserError
from tests.data.preparing.tiny_imagenet import (
    COUNTS,
    devkit_files,
    files_below,
    image_bytes,
    make_archives,
    tar_bytes,
)

IN_1K = ("n00000001", "n00000005")
# Beside the 1K classes the three biggest are 9, 4 and, by name, 3 of those with three images.
TREE = {
    "n00000001": 1, "n00000002": 2, "n00000003": 3, "n00000004": 4,
    "n00000005": 2, "n00000006": 3, "n00000007": 3, "n00000009": 5,
}  # fmt: skip
CHOSEN = ["n00000001", "n00000003", "n00000004", "n00000005", "n00000009"]


def make_tree(root: Path, *, archived: bool = False) -> Path:
    root.mkdir()
    for wnid, count in TREE.items():
        number = int(wnid[1:])
        files = {f"{wnid}_{i}.JPEG": image_bytes(10 * number + i) for i in range(count)}
        if archived:
            (root / f"{wnid}.tar").write_bytes(tar_bytes(files))
            continue
        (root / wnid).mkdir()
        for name, data in files.items():
            (root / wnid / name).write_bytes(data)
    return root


def prepare(tree: Path, target: Path, **given):
    return prepare_imagenet_5k(tree, target, IN_1K, **{"others": 3, **given})


def refusal(tree: Path, target: Path, **given) -> str:
    with pytest.raises(UserError) as caught:
        prepare(tree, target, **given)
    return str(caught.value)


def test_the_biggest_others_ties_by_name():
    assert list(choose_classes(TREE, IN_1K, 3)) == CHOSEN
    random = np.random.default_rng(0)
    counts = {f"n{number:08d}": int(random.integers(1, 9)) for number in range(200)}
    known = sorted(counts)[::7]
    chosen = choose_classes(counts, known, 40)
    others = [name for name in chosen if name not in known]
    left = [name for name in counts if name not in chosen]
    assert len(chosen) == len(known) + 40
    assert max((counts[n], [-ord(c) for c in n]) for n in left) < min(
        (counts[n], [-ord(c) for c in n]) for n in others
    )


@pytest.mark.parametrize("form", ["links", "copies", "archives"])
def test_every_form_of_a_tree(form, tmp_path):
    tree = make_tree(tmp_path / "21k", archived=form == "archives")
    plain = tree if form != "archives" else make_tree(tmp_path / "plain")
    target = tmp_path / "imagenet_5k"
    outcome = prepare(tree, target, copy=form == "copies", command="resnext-det x")
    assert [p.name for p in sorted((target / "train").iterdir())] == CHOSEN
    for wnid in CHOSEN:
        assert files_below((target / "train" / wnid).resolve()) == files_below(plain / wnid)
        assert (target / "train" / wnid).is_symlink() == (form == "links")
    record = read_manifest(target).splits["train"]
    assert record == outcome.record
    assert record.classes == {wnid: TREE[wnid] for wnid in CHOSEN}
    assert record.notes == {
        "tree": str(tree),
        "classes_in_tree": 8,
        "classes_1k": list(IN_1K),
        "smallest_other": 3,
        "paper_images": 6_800_000,
    }
    assert sorted(p.name for p in target.iterdir()) == ["manifest.json", "train"]
    assert not prepare(tree, target).fresh


def test_it_is_found_by_name_and_read_through_links(tmp_path):
    tree = make_tree(tmp_path / "21k")
    for path in tree.rglob("*.JPEG"):
        Image.new("RGB", (4, 4)).save(path, "JPEG")
    prepare(tree, tmp_path / "imagenet_5k")
    folder = load_image_folder(find_dataset("imagenet_5k_train", {}, tmp_path))
    assert list(folder.class_names) == CHOSEN
    assert len(folder) == sum(TREE[wnid] for wnid in CHOSEN)
    assert len(folder.images.read(0).data) > 100
    (tree / "n00000001/n00000001_0.JPEG").rename(tmp_path / "lost.JPEG")
    Image.new("RGB", (4, 4)).save(tree / "n00000009/more.JPEG")
    Image.new("RGB", (4, 4)).save(tree / "n00000001/other.JPEG")
    with pytest.raises(UserError, match="n00000009: 6 images, but"):
        load_image_folder(find_dataset("imagenet_5k_train", {}, tmp_path))


@pytest.mark.parametrize("archived", [False, True], ids=["copies", "archives"])
@pytest.mark.parametrize("stop_at", range(5))
def test_interrupted_anywhere_then_finished(tmp_path, monkeypatch, stop_at, archived):
    tree, target = make_tree(tmp_path / "21k", archived=archived), tmp_path / "5k"
    name = "_unpack" if archived else "_copy"
    fill, seen, counted = getattr(imagenet_5k, name), [], []

    def interrupted(source, folder):
        if len(seen) == stop_at:
            (folder / "half.JPEG").write_bytes(b"half")
            raise KeyboardInterrupt
        seen.append(source.path.stem)
        return fill(source, folder)

    monkeypatch.setattr(imagenet_5k, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tree, target, copy=True)
    monkeypatch.setattr(imagenet_5k, name, lambda s, f: seen.append(s.path.stem) or fill(s, f))
    monkeypatch.setattr(imagenet_5k, "count_images", lambda source: counted.append(source))
    prepare(tree, target, copy=True)
    assert seen == CHOSEN  # each was written once
    assert counted == []  # and counted once
    assert len(files_below(target / "train")) == sum(TREE[wnid] for wnid in CHOSEN)


def test_an_interrupted_count_goes_on(tmp_path, monkeypatch):
    tree, count, seen = make_tree(tmp_path / "21k"), imagenet_5k.count_images, []
    monkeypatch.setattr(imagenet_5k, "_AT_ONCE", 3)

    def interrupted(source):
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(source.path.name)
        return count(source)

    monkeypatch.setattr(imagenet_5k, "count_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tree, tmp_path / "5k")
    again = []
    monkeypatch.setattr(
        imagenet_5k, "count_images", lambda s: again.append(s.path.name) or count(s)
    )
    prepare(tree, tmp_path / "5k")
    assert again == sorted(TREE)[3:]


@pytest.mark.parametrize("copy", [True, False], ids=["copies-after-links", "links-after-copies"])
def test_another_form_after_an_interrupt(tmp_path, monkeypatch, copy):
    tree, target = make_tree(tmp_path / "21k"), tmp_path / "5k"
    monkeypatch.setattr(imagenet_5k.SplitWork, "finish", lambda *_: None)
    prepare(tree, target, copy=not copy)
    monkeypatch.undo()
    prepare(tree, target, copy=copy)
    assert all(path.is_symlink() != copy for path in (target / "train").iterdir())
    assert len(files_below(tree)) == sum(TREE.values())  # nothing was deleted through a link


def test_what_is_missing(tmp_path):
    tree = make_tree(tmp_path / "21k")
    assert refusal(tree, tmp_path / "a", others=7) == (
        f"{tree}: 6 classes beside those of ImageNet-1K, but 7 are needed: is it ImageNet-21K?"
    )
    (tree / "n00000005").rename(tree / "spare")
    assert refusal(tree, tmp_path / "a") == (
        f"{tree}: 1 of ImageNet-1K's 2 classes are not in it, such as 'n00000005': link or copy "
        "them there from ImageNet-1K's train/"
    )
    (tree / "n00000005").mkdir()
    message = refusal(tree, tmp_path / "a")
    assert message == f"{tree}/n00000005: no image in it; 1 such class(es)"
    assert refusal(tmp_path / "no", tmp_path / "a") == f"{tmp_path}/no: no such folder"
    (tmp_path / "empty").mkdir()
    assert "no class in it" in refusal(tmp_path / "empty", tmp_path / "b")


def test_validation_images_are_kept_out(tmp_path):
    tree = make_tree(tmp_path / "21k")
    (tree / "n00000002/ILSVRC2012_val_00000001.JPEG").write_bytes(b"a")
    message = refusal(tree, tmp_path / "a")
    assert message == (
        f"{tree}/n00000002: 'ILSVRC2012_val_00000001.JPEG' is a validation image: take those out "
        "first"
    )


def test_a_damaged_class_archive(tmp_path):
    tree = make_tree(tmp_path / "21k", archived=True)
    path = tree / "n00000004.tar"
    path.write_bytes(path.read_bytes()[:2000])
    assert refusal(tree, tmp_path / "a").startswith(f"{path}: cut off or damaged after ")


def test_a_folder_goes_before_its_archive(tmp_path):
    tree = make_tree(tmp_path / "21k")
    (tree / "n00000004.tar").write_bytes(b"")
    (tree / "n00000004.tar.part").write_bytes(b"")
    assert prepare(tree, tmp_path / "a").record.classes["n00000004"] == 4


def test_where_the_1k_classes_are_read(tmp_path):
    names = tuple(sorted(COUNTS))
    archives = make_archives(tmp_path / "downloads")
    assert imagenet_1k_classes(archives.devkit, None, 3) == names
    for name in names:
        (tmp_path / "imagenet/val" / name).mkdir(parents=True)
    assert imagenet_1k_classes(tmp_path / "imagenet", None, 3) == names
    assert imagenet_1k_classes(tmp_path / "imagenet/val", None, 3) == names
    with pytest.raises(UserError, match="3 classes nXXXXXXXX in it, not 1,000"):
        imagenet_1k_classes(tmp_path / "imagenet")
    with pytest.raises(UserError, match="--imagenet-1k names ImageNet-1K's folder or its devkit"):
        imagenet_1k_classes(tmp_path / "nowhere")
    archives.devkit.write_bytes(tar_bytes(devkit_files()))
    with pytest.raises(UserError, match="not a gzip file"):
        imagenet_1k_classes(archives.devkit, None)


def test_a_tree_that_was_moved(tmp_path):
    tree = make_tree(tmp_path / "21k")
    prepare(tree, tmp_path / "a")
    moved = tmp_path / "moved"
    moved.mkdir()
    shutil.move(tree, moved / "21k")
    message = refusal(moved / "21k", tmp_path / "a")
    assert message.startswith(
        f"{tmp_path}/a/train: 5 class folder(s) of {tmp_path}/a/manifest.json"
    )
