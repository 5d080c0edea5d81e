"""Loaders of classification data: crops, order, ranks, broken images. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_loader import (
    build_classification_test_loader,
    build_classification_train_loader,
)
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.samplers import BatchPlan
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.errors import UserError
from resnext_det.seeding import derive_seed


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
    return DatasetEntry("pets", None, tmp_path)


@pytest.fixture
def pets(entry: DatasetEntry) -> ClassificationSet:
    return load_image_folder(entry)


def assert_same(one: ClassificationBatch, other: ClassificationBatch) -> None:
    for name in ("images", "labels", "indices"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert (one.colors is None) == (other.colors is None)
    for mine, theirs in zip(one.colors or (), other.colors or (), strict=True):
        assert torch.equal(mine, theirs)
    assert one.set_aside == other.set_aside


def test_evaluation_by_hand(pets: ClassificationSet, cfg: CfgNode) -> None:
    batches = list(build_classification_test_loader(cfg, pets))
    assert [tuple(batch.images.shape) for batch in batches] == [(4, 3, 32, 32), (1, 3, 32, 32)]
    assert torch.cat([batch.labels for batch in batches]).tolist() == [0, 0, 1, 1, 1]
    assert torch.cat([batch.indices for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    pixels = np.asarray(Image.open(pets.entry.image_root / "cat/a.png"))
    centre = torch.from_numpy(pixels[4:36, 14:46].copy())  # 60x40 is at its size already
    assert torch.equal(batches[0].images[2], centre.permute(2, 0, 1))
    assert batches[0].images.dtype == torch.uint8
    assert batches[0].colors is None


@pytest.mark.parametrize("decoder", ["exact", "fast"])
def test_crops_of_png_files_are_torchvisions_to_the_bit(
    pets: ClassificationSet, cfg: CfgNode, decoder: str
) -> None:
    """The transforms as they would be written with torchvision, from the same seeds."""
    cfg.INPUT.CLASSIFICATION.DECODER = decoder
    given = cfg.INPUT.CLASSIFICATION
    crop = v2.RandomResizedCrop(32, tuple(given.TRAIN_SCALE), tuple(given.TRAIN_RATIO))
    flip = v2.RandomHorizontalFlip(given.HFLIP)
    compared = 0
    for batch, keys in zip(
        build_classification_train_loader(cfg, pets), BatchPlan(5, 4, 3).batches(0, 6), strict=True
    ):
        assert batch.indices.tolist() == [key.index for key in keys]
        for picture, key in zip(batch.images, keys, strict=True):
            name = pets.images.name(key.index)
            if name.endswith("png"):
                torch.manual_seed(derive_seed(3, key.iteration, key.position))
                with Image.open(name) as image:
                    wanted = flip(crop(image.convert("RGB")))
                assert torch.equal(picture, functional.pil_to_tensor(wanted))
                compared += 1
    assert compared > 15


def test_bgr_reverses_channels_only(pets: ClassificationSet, cfg: CfgNode) -> None:
    rgb = next(iter(build_classification_train_loader(cfg, pets))).images
    cfg.INPUT.FORMAT = "BGR"
    bgr = next(iter(build_classification_train_loader(cfg, pets))).images
    assert torch.equal(bgr, rgb.flip(1))


@pytest.mark.parametrize("policy", ["", "trivial_augment_wide"])
def test_workers_resume_and_ranks_change_nothing(
    pets: ClassificationSet, cfg: CfgNode, policy: str
) -> None:
    given = cfg.INPUT.CLASSIFICATION
    given.AUTO_AUGMENT, given.COLOR_JITTER, given.LIGHTING = policy, [0.4] * 3, 0.1
    whole = list(build_classification_train_loader(cfg, pets))
    torch.manual_seed(1)
    cfg.DATALOADER.NUM_WORKERS = 2
    for start, world in ((0, 1), (3, 1), (2, 2)):
        parts = [
            build_classification_train_loader(
                cfg, pets, start_iteration=start, rank=rank, world_size=world
            )
            for rank in range(world)
        ]
        for batch, *shares in zip(whole[start:], *parts, strict=True):
            for wanted, share in zip(batch.split(world), shares, strict=True):
                assert_same(share, wanted)
    assert not torch.equal(whole[0].images, whole[1].images)


def test_global_generator_is_left_alone(pets: ClassificationSet, cfg: CfgNode) -> None:
    cfg.INPUT.CLASSIFICATION.AUTO_AUGMENT = "trivial_augment_wide"
    state = torch.get_rng_state()
    for _ in build_classification_train_loader(cfg, pets):
        assert torch.equal(torch.get_rng_state(), state)


def test_flip_and_crop_are_drawn(pets: ClassificationSet, cfg: CfgNode) -> None:
    """With the whole image as crop and no flip, training equals a plain resize."""
    given = cfg.INPUT.CLASSIFICATION
    given.TRAIN_SCALE, given.TRAIN_RATIO, given.TRAIN_CROP = [1.0, 1.0], [1.0, 1.0], 40
    given.RESIZE_TEST, given.TEST_CROP, cfg.SOLVER.IMS_PER_BATCH = 40, 40, 5
    tested = next(iter(build_classification_test_loader(cfg, pets))).images[1]  # ant/a.png, 40x40

    def nearest(hflip: float) -> float:
        given.HFLIP = hflip
        batch = next(iter(build_classification_train_loader(cfg, pets)))
        wanted = tested.flip(2) if hflip else tested
        return min(float((image.int() - wanted.int()).abs().max()) for image in batch.images)

    assert nearest(0.0) == 0.0
    assert nearest(1.0) == 0.0


def test_padded_crops_hold_the_image_and_its_mean_colour(
    pets: ClassificationSet, cfg: CfgNode
) -> None:
    """A crop of the padded size is the whole padded image: checked pixel by pixel."""
    given = cfg.INPUT.CLASSIFICATION
    given.TRAIN_VIEW, given.TRAIN_PADDING, given.TRAIN_CROP, given.HFLIP = "padded_crop", 4, 48, 0.0
    cfg.INPUT.FORMAT, cfg.MODEL.PIXEL_MEAN = "BGR", [103.53, 116.28, 123.675]
    chosen = pets.subset([1])  # ant/a.png, 40x40
    batch = next(iter(build_classification_train_loader(cfg, chosen)))
    pixels = np.asarray(Image.open(pets.images.name(1)))[..., ::-1]
    for image in batch.images.permute(0, 2, 3, 1):
        wanted = np.full((48, 48, 3), (104, 116, 124), np.uint8)
        wanted[4:44, 4:44] = pixels
        assert np.array_equal(image.numpy(), wanted)
    given.TRAIN_CROP = 49
    with pytest.raises(UserError, match=r"ant/a.png: an image of 40x40 px .* TRAIN_CROP 49"):
        next(iter(build_classification_train_loader(cfg, chosen)))


def test_ten_crop_is_torchvisions(pets: ClassificationSet, cfg: CfgNode) -> None:
    batches = list(build_classification_test_loader(cfg, pets, crop=(35, 32), ten_crop=True))
    assert [len(batch) for batch in batches] == [1] * 5
    for index, batch in enumerate(batches):
        assert batch.num_windows == 10
        with Image.open(pets.images.name(index)) as image:
            crops = v2.TenCrop(32)(v2.Resize(35)(image.convert("RGB")))
        wanted = torch.stack([functional.pil_to_tensor(crop) for crop in crops])
        assert torch.equal(batch.images, wanted)


@pytest.mark.parametrize("world", [1, 2])
def test_broken_images_are_replaced_in_training(
    pets: ClassificationSet, cfg: CfgNode, world: int
) -> None:
    """cat/a.png and cat/b.png are broken: cat/c.png, which follows, takes their places."""
    broken = [pets.images.name(place) for place in (2, 3)]
    for name in broken:
        Path(name).write_bytes(b"broken")
    wanted = [[key.index for key in keys] for keys in BatchPlan(5, 4, 3).batches(0, 6)]
    found = [[] for _ in wanted]
    for rank in range(world):
        aside = SetAsideImages(100)
        batches = build_classification_train_loader(
            cfg, pets, rank=rank, world_size=world, set_aside=aside
        )
        for row, batch in zip(found, batches, strict=True):
            row += batch.indices.tolist()
        assert [image["name"] for image in aside.summary()["images"]] == broken
    assert found == [[4 if index in (2, 3) else index for index in batch] for batch in wanted]


def test_broken_images_are_left_out_of_an_evaluation(pets: ClassificationSet, cfg: CfgNode) -> None:
    broken = pets.images.name(2)
    Path(broken).write_bytes(b"broken")
    cfg.SOLVER.IMS_PER_BATCH = 1  # the broken one's batch is empty
    aside = SetAsideImages(100)
    batches = list(build_classification_test_loader(cfg, pets, set_aside=aside))
    assert [batch.indices.tolist() for batch in batches] == [[0], [1], [3], [4]]
    assert aside.summary()["count"] == 1
    assert aside.summary()["images"][0]["name"] == broken


def test_the_first_broken_image_can_end_the_run(pets: ClassificationSet, cfg: CfgNode) -> None:
    Path(pets.images.name(2)).write_bytes(b"broken")
    cfg.DATASETS.MAX_BROKEN_IMAGES = 0
    with pytest.raises(
        UserError, match=r"cat/a\.png: .*; DATASETS\.MAX_BROKEN_.* above 0"
    ) as error:
        list(build_classification_train_loader(cfg, pets))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"cat/a\.png: cannot be read as an image"):
        list(build_classification_test_loader(cfg, pets))


def test_a_set_of_broken_images_ends_the_run(pets: ClassificationSet, cfg: CfgNode) -> None:
    for place in range(5):
        Path(pets.images.name(place)).write_bytes(b"broken")
    with pytest.raises(
        UserError, match=r"cannot be read .* nor can any other of the 5 images to train"
    ):
        next(iter(build_classification_train_loader(cfg, pets)))


def test_an_image_that_is_gone_ends_the_run(pets: ClassificationSet, cfg: CfgNode) -> None:
    Path(pets.images.name(2)).unlink()
    with pytest.raises(UserError, match=r"cat/a\.png: no such image"):
        list(build_classification_train_loader(cfg, pets))


def test_an_empty_share_has_no_batches(pets: ClassificationSet, cfg: CfgNode) -> None:
    chosen = pets.subset([0])
    batches = [
        list(build_classification_test_loader(cfg, chosen, rank=rank, world_size=2))
        for rank in range(2)
    ]
    assert [len(share) for share in batches] == [1, 0]


def test_real_folder_is_read_whole(shared: Callable[[str], Path], cfg: CfgNode) -> None:
    val = load_image_folder(DatasetEntry("in20_val", None, shared("in20") / "val"))
    cfg.SOLVER.IMS_PER_BATCH, cfg.INPUT.CLASSIFICATION.DECODER = 100, "fast"
    aside = SetAsideImages(100)
    batches = build_classification_test_loader(cfg, val, set_aside=aside)
    assert sum(len(batch) for batch in batches) == 1000
    assert aside.summary() == {"count": 0, "images": []}
