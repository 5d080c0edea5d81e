"""Archives in the form of ILSVRC2012's, with a handful of images."""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

from resnext_det.data.preparing.imagenet_1k import Reference
from resnext_det.data.preparing.published import Expected

COUNTS = {"n00000003": 3, "n00000001": 4, "n00000002": 2}
TRUTH = (2, 1, 1, 3, 2, 1, 2)  # class numbers of the validation images
TINY = Reference(None, None, None, Expected(9, 3), Expected(7, 3))


@dataclass(frozen=True)
class Archives:
    train: Path
    val: Path
    devkit: Path


def image_bytes(seed: int, size: int = 700) -> bytes:
    """Bytes that stand for an image: nothing here decodes them."""
    return np.random.default_rng(seed).bytes(size + seed)


def tar_bytes(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def class_tar(wnid: str, count: int) -> bytes:
    number = int(wnid[1:])
    return tar_bytes({f"{wnid}_{i}.JPEG": image_bytes(10 * number + i) for i in range(count)})


def val_files() -> dict[str, bytes]:
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, len(TRUTH) + 1)]
    files = {name: image_bytes(100 + place) for place, name in enumerate(names)}
    return dict(sorted(files.items(), key=lambda item: item[1]))  # not in the order of the numbers


def meta_mat() -> bytes:
    """synsets as in the kit: leaf classes first, then one with children."""
    fields = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")
    fields += ("children", "wordnet_height", "num_train_images")
    synsets = np.zeros((4, 1), dtype=[(field, object) for field in fields])
    for place, wnid in enumerate([*sorted(COUNTS), "n00000009"]):
        children = np.array([1, 2]) if place == 3 else 0
        row = (place + 1, wnid, f"word {place}, other", "gloss", 2 * (place == 3))
        synsets[place, 0] = (*row, children, int(place == 3), COUNTS.get(wnid, 0))
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": synsets})
    return buffer.getvalue()


def devkit_files() -> dict[str, bytes]:
    folder = "ILSVRC2012_devkit_t12/data"
    truth = "".join(f"{number}\n" for number in TRUTH).encode()
    return {
        "ILSVRC2012_devkit_t12/readme.txt": b"read me",
        f"{folder}/meta.mat": meta_mat(),
        f"{folder}/ILSVRC2012_validation_ground_truth.txt": truth,
    }


def make_archives(folder: Path) -> Archives:
    folder.mkdir(parents=True, exist_ok=True)
    archives = Archives(
        folder / "ILSVRC2012_img_train.tar",
        folder / "ILSVRC2012_img_val.tar",
        folder / "ILSVRC2012_devkit_t12.tar.gz",
    )
    tars = {f"{wnid}.tar": class_tar(wnid, count) for wnid, count in COUNTS.items()}
    archives.train.write_bytes(tar_bytes(tars))
    archives.val.write_bytes(tar_bytes(val_files()))
    archives.devkit.write_bytes(tar_bytes(devkit_files(), "w:gz"))
    return archives


def files_below(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
