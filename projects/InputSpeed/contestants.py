"""The input pipelines that are timed: torchvision's two, and this project's. Engine-neutral.

Each goes once over a folder of images and ends with normalised float32 batches on the CPU, but
for the one that leaves them uint8. The torchvision ones are those of its reference scripts for
classification.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from resnext_det.classification.device_batch import build_device_batch
from resnext_det.config import get_cfg
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.classification_loader import (
    build_classification_test_loader,
    build_classification_train_loader,
)
from resnext_det.data.image_folder import load_image_folder

VIEWS = ("train", "test")
PIL, TENSOR, EXACT, FAST = "torchvision, PIL", "torchvision, decode_image", "exact", "fast"
UINT8 = "fast, uint8"
"""Without the normalisation, which is a GPU's work where there is one."""
NAMES = (PIL, TENSOR, EXACT, FAST, UINT8)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Pass = Callable[[], int]
"""Goes once over the images and returns how many there were."""


@dataclass(frozen=True)
class Work:
    """What one pass reads.

    Attributes:
        folder: of class folders.
        view: one of VIEWS.
        workers: processes.
        batch: images of a batch.
        repeats: times that the folder is gone through in one pass.
    """

    folder: Path
    view: str
    workers: int
    batch: int
    repeats: int = 1


def build_pass(name: str, work: Work) -> Pass:
    """Builds one of NAMES."""
    if name in (PIL, TENSOR):
        loader = _torchvision(name, work)
        return lambda: _count(loader)
    loader = _ours(name, work)
    if name == UINT8:
        return lambda: sum(len(batch) for batch in loader)
    normalise = build_device_batch(_config(name, work), torch.device("cpu"))
    return lambda: _count(map(normalise, loader))


def _count(batches: Iterable[Any]) -> int:
    total = 0
    for images, _ in batches:
        assert images.dtype == torch.float32
        total += len(images)
    return total


def _torchvision(name: str, work: Work) -> Iterable[Any]:
    to_tensor = v2.PILToTensor() if name == PIL else v2.Identity()
    steps = [*view_transforms(work.view), to_tensor]
    steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(_MEAN, _STD)]
    given: dict[str, Any] = {} if name == PIL else {"loader": _decoded}
    images = ImageFolder(str(work.folder), transform=v2.Compose(steps), **given)
    repeated = torch.utils.data.ConcatDataset([images] * work.repeats)
    return DataLoader(repeated, work.batch, shuffle=work.view == "train", num_workers=work.workers)


def view_transforms(view: str) -> list[v2.Transform]:
    """Returns torchvision's transforms of one of VIEWS, with the sizes of ImageNet's recipes."""
    if view == "train":
        return [v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip()]
    return [v2.Resize(256, antialias=True), v2.CenterCrop(224)]


def _decoded(path: str) -> torch.Tensor:
    return decode_image(path, ImageReadMode.RGB)


def _ours(name: str, work: Work) -> Iterable[Any]:
    cfg = _config(name, work)
    images = load_image_folder(DatasetEntry("photographs", None, work.folder))
    images = images.subset(list(range(len(images))) * work.repeats)
    if work.view == "test":
        return build_classification_test_loader(cfg, images)
    cfg.SOLVER.MAX_ITER = -(-len(images) // work.batch)
    return build_classification_train_loader(cfg, images)


def _config(name: str, work: Work) -> Any:
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.INPUT.FORMAT = "RGB"
    cfg.INPUT.CLASSIFICATION.DECODER = FAST if name == UINT8 else name
    cfg.MODEL.PIXEL_MEAN = [255 * value for value in _MEAN]
    cfg.MODEL.PIXEL_STD = [255 * value for value in _STD]
    cfg.DATALOADER.NUM_WORKERS = work.workers
    cfg.SOLVER.IMS_PER_BATCH = work.batch
    cfg.SEED = 1
    return cfg
