"""JPEGs decoded on the device, here the CPU, against the exact decoder. Engine-neutral."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.data.classification_loader import (
    build_classification_test_loader,
    build_classification_train_loader,
)
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.decoding import build_decoder
from resnext_det.data.device_decoding import is_plain_jpeg
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.samplers import BatchPlan
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.errors import UserError

ORIENTATION = 274


@pytest.fixture
def jpegs(tmp_path: Path) -> ClassificationSet:
    """Smooth pictures: two plain JPEGs, a gray one, a rotated one, a CMYK one and a PNG."""
    random = np.random.default_rng(0)
    rotated = Image.Exif()
    rotated[ORIENTATION] = 6
    for place, (name, mode, exif) in enumerate([
        ("a/0.jpg", "RGB", None), ("a/1.jpg", "RGB", None), ("a/2.jpg", "L", None),
        ("b/3.jpg", "RGB", rotated), ("b/4.jpg", "CMYK", None), ("b/5.png", "RGB", None),
    ]):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        image = coarse.resize((70 + place, 50), Image.Resampling.BICUBIC).convert(mode)
        image.save(tmp_path / name, **({"exif": exif} if exif else {}))
    return load_image_folder(DatasetEntry("jpegs", None, tmp_path))


def loaded(cfg: CfgNode, dataset: ClassificationSet, decoder: str) -> list[ClassificationBatch]:
    cfg.INPUT.CLASSIFICATION.DECODER = decoder
    return list(build_classification_train_loader(cfg, dataset))


def test_upright_gray_and_colour_jpegs_go_to_the_device(jpegs: ClassificationSet) -> None:
    exact = build_decoder("exact", "bilinear")
    for name in ("exact", "fast"):
        decoder = build_decoder(name, "bilinear")
        files = [jpegs.images.read(place).data for place in range(6)]
        plain = [is_plain_jpeg(data, decoder.open(data)) for data in files]
        assert plain == [True, True, True, False, False, False]
    whole = jpegs.images.read(0).data
    assert not is_plain_jpeg(whole[:-2], exact.open(whole[:-2]))


@pytest.mark.parametrize("pixel_format", ["RGB", "BGR"])
@pytest.mark.parametrize("view", ["resized_crop", "padded_crop", "torch7_crop"])
def test_pixels_are_the_exact_decoders(
    jpegs: ClassificationSet, cfg: CfgNode, view: str, pixel_format: str
) -> None:
    """The same libjpeg decodes, and torchvision resizes where Pillow does: one level apart."""
    cfg.INPUT.CLASSIFICATION.TRAIN_VIEW, cfg.INPUT.FORMAT = view, pixel_format
    cfg.INPUT.CLASSIFICATION.COLOR_JITTER, cfg.INPUT.CLASSIFICATION.TRAIN_PADDING = [0.4] * 3, 20
    for one, other in zip(loaded(cfg, jpegs, "exact"), loaded(cfg, jpegs, "gpu"), strict=True):
        assert (one.images.int() - other.images.int()).abs().max() <= 1
        assert torch.equal(one.indices, other.indices)
        assert torch.equal(one.colors.factors, other.colors.factors)
        assert (other.encoded, other.files) == ((), None)


def test_workers_and_ten_crop_change_nothing(jpegs: ClassificationSet, cfg: CfgNode) -> None:
    batches = []
    for decoder, workers in (("exact", 0), ("gpu", 2)):
        cfg.INPUT.CLASSIFICATION.DECODER, cfg.DATALOADER.NUM_WORKERS = decoder, workers
        cfg.SOLVER.IMS_PER_BATCH = 40
        batches.append(list(build_classification_test_loader(cfg, jpegs, ten_crop=True)))
    assert [len(batch) for batch in batches[1]] == [4, 2]
    for one, other in zip(*batches, strict=True):
        assert (one.images.int() - other.images.int()).abs().max() <= 1


def spoil(dataset: ClassificationSet, place: int) -> str:
    """Makes comments of a JPEG's quantisation tables: only decoding finds out."""
    path = Path(dataset.images.name(place))
    path.write_bytes(path.read_bytes().replace(b"\xff\xdb", b"\xff\xfe"))
    return str(path)


def test_broken_jpegs_are_set_aside(jpegs: ClassificationSet, cfg: CfgNode) -> None:
    cfg.INPUT.CLASSIFICATION.DECODER, cfg.SOLVER.IMS_PER_BATCH = "gpu", 6
    broken = spoil(jpegs, 1)
    aside = SetAsideImages(100)
    (batch,) = build_classification_test_loader(cfg, jpegs, set_aside=aside)
    assert batch.indices.tolist() == [0, 2, 3, 4, 5]
    assert len(batch.images) == len(batch.labels) == 5
    assert [image["name"] for image in aside.summary()["images"]] == [broken]
    # In training the batch's next readable image takes the place.
    keys = [[key.index for key in batch] for batch in BatchPlan(6, 6, 3).batches(0, 6)]
    aside = SetAsideImages(100)
    batches = build_classification_train_loader(cfg, jpegs, set_aside=aside)
    for places, batch in zip(keys, batches, strict=True):
        gap = places.index(1)
        after = (gap + 1) % 6
        assert batch.indices.tolist() == [*places[:gap], places[after], *places[gap + 1 :]]
        assert torch.equal(batch.images[gap], batch.images[after])
    assert len(aside) == 1


def test_broken_jpegs_can_end_the_run(jpegs: ClassificationSet, cfg: CfgNode) -> None:
    cfg.INPUT.CLASSIFICATION.DECODER = "gpu"
    spoil(jpegs, 1)
    cfg.DATASETS.MAX_BROKEN_IMAGES = 0
    with pytest.raises(UserError, match=r"1\.jpg: cannot be read .*MAX_BROKEN_IMAGES above 0"):
        list(build_classification_test_loader(cfg, jpegs))
    cfg.DATASETS.MAX_BROKEN_IMAGES = 1
    with pytest.raises(UserError, match=r"1\.jpg: cannot be read .*nor can any other of its"):
        list(build_classification_train_loader(cfg, jpegs.subset([1])))
    assert list(build_classification_test_loader(cfg, jpegs.subset([1]))) == []


@pytest.mark.gpu
def test_a_gpu_decodes_nearly_the_same_pixels(jpegs: ClassificationSet, cfg: CfgNode) -> None:
    cfg.MODEL.DEVICE = "cuda"
    for one, other in zip(loaded(cfg, jpegs, "exact"), loaded(cfg, jpegs, "gpu"), strict=True):
        assert other.images.device.type == "cuda"
        difference = (one.images.int() - other.images.cpu().int()).abs().float()
        assert difference.mean() < 2
