"""Image folders: classes, crops, normalisation, errors. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.image_folder import check_same_folders, load_image_folder
from resnext_det.data.imagenet import (
    build_classification_test_loader,
    build_classification_train_loader,
)
from resnext_det.errors import UserError


@pytest.fixture
def entry(tmp_path: Path) -> DatasetEntry:
    """Two classes, five images, one of them grayscale, one broad, one tall."""
    random = np.random.RandomState(0)
    for path, shape in {
        "cat/a.png": (40, 60, 3), "cat/b.png": (60, 40, 3), "cat/c.png": (50, 50),
        "ant/a.png": (40, 40, 3), "ant/B.JPG": (41, 43, 3),
    }.items():  # fmt: skip
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 256, shape, dtype=np.uint8)).save(tmp_path / path)
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


def test_evaluation_by_hand(entry: DatasetEntry, cfg: CfgNode) -> None:
    cfg.INPUT.CLASSIFICATION.RESIZE_TEST = 40
    batches = list(build_classification_test_loader(cfg, entry))
    assert [tuple(images.shape) for images, _ in batches] == [(4, 3, 32, 32), (1, 3, 32, 32)]
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 0, 1, 1, 1]
    pixels = np.asarray(Image.open(entry.image_root / "cat/a.png"), dtype=np.float32)
    centre = pixels[4:36, 14:46]  # 60x40 is at its size already
    expected = (centre - np.float32(cfg.MODEL.PIXEL_MEAN)) / np.float32(cfg.MODEL.PIXEL_STD)
    images = batches[0][0]
    assert images.dtype == torch.float32
    torch.testing.assert_close(images[2], torch.from_numpy(expected).permute(2, 0, 1))


def test_bgr_reverses_channels_only(entry: DatasetEntry, cfg: CfgNode) -> None:
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [0.0] * 3, [1.0] * 3
    rgb = next(iter(build_classification_train_loader(cfg, entry)))[0]
    cfg.INPUT.FORMAT = "BGR"
    bgr = next(iter(build_classification_train_loader(cfg, entry)))[0]
    assert torch.equal(bgr, rgb.flip(1))
    assert rgb.max() > 200  # 0-255 units


def test_workers_resume_and_ranks_change_nothing(entry: DatasetEntry, cfg: CfgNode) -> None:
    whole = list(build_classification_train_loader(cfg, entry))
    torch.manual_seed(1)
    cfg.DATALOADER.NUM_WORKERS = 2
    for start, world in ((0, 1), (3, 1), (2, 2)):
        parts = [
            build_classification_train_loader(
                cfg, entry, start_iteration=start, rank=rank, world_size=world
            )
            for rank in range(world)
        ]
        for (images, labels), *shares in zip(whole[start:], *parts, strict=True):
            assert torch.equal(images, torch.cat([share[0] for share in shares]))
            assert torch.equal(labels, torch.cat([share[1] for share in shares]))
    assert not torch.equal(whole[0][0], whole[1][0])


def test_global_generator_is_left_alone(entry: DatasetEntry, cfg: CfgNode) -> None:
    state = torch.get_rng_state()
    for _ in build_classification_train_loader(cfg, entry):
        assert torch.equal(torch.get_rng_state(), state)


def test_flip_and_crop_are_drawn(entry: DatasetEntry, cfg: CfgNode) -> None:
    """With the whole image as crop and no flip, training equals a plain resize."""
    given = cfg.INPUT.CLASSIFICATION
    given.TRAIN_SCALE, given.TRAIN_RATIO, given.TRAIN_CROP = [1.0, 1.0], [1.0, 1.0], 40
    given.HFLIP, given.RESIZE_TEST, given.TEST_CROP = 0.0, 40, 40
    cfg.SOLVER.IMS_PER_BATCH = 5
    tested = next(iter(build_classification_test_loader(cfg, entry)))[0][1]  # ant/a.png, 40x40

    def nearest(hflip: float) -> float:
        given.HFLIP = hflip
        images = next(iter(build_classification_train_loader(cfg, entry)))[0]
        wanted = tested.flip(2) if hflip else tested
        return min(float((image - wanted).abs().max()) for image in images)

    assert nearest(0.0) == 0.0
    assert nearest(1.0) == 0.0


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


def test_differing_classes_are_named(tmp_path: Path, entry: DatasetEntry) -> None:
    first = load_image_folder(entry)
    other = tmp_path.with_name(tmp_path.name + "_val")
    for name in ("ant", "bee"):
        (other / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(other / name / "x.png")
    second = load_image_folder(DatasetEntry("val", None, other))
    check_same_folders(first, first)
    with pytest.raises(UserError, match=rf"'bee' is in {other} but not in {tmp_path}; 2 such"):
        check_same_folders(first, second)


def test_broken_image_is_one_line(entry: DatasetEntry, cfg: CfgNode) -> None:
    (entry.image_root / "cat/a.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"cat/a\.png: cannot be read as an image"):
        list(build_classification_train_loader(cfg, entry))


def test_unknown_interpolation_is_named(entry: DatasetEntry, cfg: CfgNode) -> None:
    cfg.INPUT.CLASSIFICATION.INTERPOLATION = "cubic"
    with pytest.raises(UserError, match=r"INTERPOLATION 'cubic' is not one of .*bicubic"):
        build_classification_train_loader(cfg, entry)


def test_real_folder_with_grayscale_images(shared: Callable[[str], Path], cfg: CfgNode) -> None:
    root = shared("in20")
    train = load_image_folder(DatasetEntry("in20", None, root / "train"))
    val = load_image_folder(DatasetEntry("in20_val", None, root / "val"))
    check_same_folders(train, val)
    assert (len(train), len(val), len(train.class_names)) == (10000, 1000, 20)
    gray = 0
    for path, _ in samples_of(train) + samples_of(val):
        with Image.open(path) as image:
            gray += image.mode == "L"
    assert gray == 158
    cfg.SOLVER.IMS_PER_BATCH = 100
    seen = sum(len(labels) for _, labels in build_classification_test_loader(cfg, val))
    assert seen == 1000


@pytest.mark.parametrize("training", [True, False])
def test_files_that_are_no_images_are_named_when_loading(
    entry: DatasetEntry, training: bool
) -> None:
    (entry.image_root / "cat" / "b.png").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"cat/b\.png: cannot be read as an image"):
        load_image_folder(entry, training=training)
