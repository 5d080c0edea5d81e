"""Folders of class folders: classes, images, and what is wrong with them. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.image_folder import load_image_folder
from resnext_det.errors import UserError

PATHS = ("cat/a.png", "cat/b.png", "cat/c.png", "ant/a.png", "ant/B.JPG")


@pytest.fixture
def entry(tmp_path: Path) -> DatasetEntry:
    for path in PATHS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / path)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    return DatasetEntry("pets", None, tmp_path)


def samples_of(folder: ClassificationSet) -> list[tuple[str, int]]:
    images = folder.images
    return [(images.name(place), images.label(place)) for place in range(len(images))]


def test_classes_are_the_sorted_folders(entry: DatasetEntry) -> None:
    folder = load_image_folder(entry)
    assert folder.class_names == ("ant", "cat")
    assert [(Path(path).name, number) for path, number in samples_of(folder)] == [
        ("B.JPG", 0), ("a.png", 0), ("a.png", 1), ("b.png", 1), ("c.png", 1)
    ]  # fmt: skip


def test_bad_folders_are_named(tmp_path: Path, entry: DatasetEntry) -> None:
    def complaint(root: Path, json_file: Path | None = None) -> str:
        with pytest.raises(UserError) as error:
            load_image_folder(DatasetEntry("pets", json_file, root))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "nowhere: no such folder" in complaint(tmp_path / "nowhere")
    assert "a file, not a folder" in complaint(tmp_path / "cat" / "notes.txt")
    assert "no class folders" in complaint(tmp_path / "cat")
    assert "pets=folder/" in complaint(tmp_path, tmp_path / "a.json")
    (tmp_path / "empty").mkdir()
    assert f"{tmp_path / 'empty'}: no image in this class folder" in complaint(tmp_path)
    with pytest.raises(UserError, match="DETECTRON2_DATASETS"):
        load_image_folder(DatasetEntry("imagenet_1k_train", None, tmp_path / "none", True))


@pytest.mark.parametrize("training", [True, False])
def test_files_that_are_no_images_are_named_when_loading(
    entry: DatasetEntry, training: bool
) -> None:
    (entry.image_root / "cat" / "b.png").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"cat/b\.png: cannot be read as an image"):
        load_image_folder(entry, training=training)
    # Whoever reads them sets them aside.
    assert len(load_image_folder(entry, training=training, skip_broken=True)) == 5


def test_a_folder_without_one_readable_image_is_refused(entry: DatasetEntry) -> None:
    for path in PATHS:
        (entry.image_root / path).write_bytes(b"")
    with pytest.raises(UserError, match=r"ant/B\.JPG: .*; nor can any other image of the 5"):
        load_image_folder(entry, skip_broken=True)


def test_real_folder_with_grayscale_images(shared: Callable[[str], Path]) -> None:
    root = shared("in20")
    train = load_image_folder(DatasetEntry("in20", None, root / "train"))
    val = load_image_folder(DatasetEntry("in20_val", None, root / "val"))
    assert train.class_names == val.class_names
    assert (len(train), len(val), len(train.class_names)) == (10000, 1000, 20)
    gray = 0
    for path, _ in samples_of(train) + samples_of(val):
        with Image.open(path) as image:
            gray += image.mode == "L"
    assert gray == 158
