"""CIFAR's archives, with a handful of images a batch."""

import io
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnext_det.data.preparing.cifar import Reference

TINY = Reference((), {})
NAMES = {
    "cifar10": ["airplane", "automobile", "bird", "cat"],
    "cifar100": ["apple", "aquarium_fish", "baby"],
}
FOLDERS = {
    ("cifar10", "python"): "cifar-10-batches-py",
    ("cifar10", "binary"): "cifar-10-batches-bin",
    ("cifar100", "python"): "cifar-100-python",
    ("cifar100", "binary"): "cifar-100-binary",
}
BATCHES = {
    "cifar10": [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"],
    "cifar100": ["train", "test"],
}


@dataclass(frozen=True)
class TinyBatch:
    pixels: np.ndarray
    labels: list[int]


def batches(kind: str, images: int = 5) -> dict[str, TinyBatch]:
    draws = np.random.default_rng(7)
    made = {}
    for name in BATCHES[kind]:
        pixels = draws.integers(0, 256, (images, 3072), dtype=np.uint8)
        made[name] = TinyBatch(pixels, draws.integers(0, len(NAMES[kind]), images).tolist())
    return made


def python_files(kind: str, images: int = 5) -> dict[str, bytes]:
    """Protocol 2, as the originals; their keys are Python 2's strings, which read as text, too."""
    labels = "labels" if kind == "cifar10" else "fine_labels"
    files = {}
    for name, batch in batches(kind, images).items():
        content = {"data": batch.pixels, labels: batch.labels, "filenames": ["a.png"] * images}
        files[name] = with_python_2s_strings(pickle.dumps(content, protocol=2))
    names = {"cifar10": ("batches.meta", "label_names"), "cifar100": ("meta", "fine_label_names")}
    file, key = names[kind]
    files[file] = with_python_2s_strings(pickle.dumps({key: NAMES[kind]}, protocol=2))
    return files


def with_python_2s_strings(data: bytes) -> bytes:
    """Writes BINUNICODE of short text as SHORT_BINSTRING, but those of _codecs.encode."""
    out, place = bytearray(), 0
    import pickletools

    operations = list(pickletools.genops(data))
    ends = [position for _, _, position in operations[1:]] + [len(data)]
    for (opcode, argument, position), end in zip(operations, ends, strict=True):
        plain = opcode.name == "BINUNICODE" and len(argument) < 60 and argument != "latin1"
        out += b"U" + bytes([len(argument)]) + argument.encode() if plain else data[position:end]
        place = end
    assert place == len(data)
    return bytes(out)


def binary_files(kind: str, images: int = 5) -> dict[str, bytes]:
    files = {}
    for name, batch in batches(kind, images).items():
        labels = np.array(batch.labels, np.uint8)[:, None]
        columns = [labels] if kind == "cifar10" else [np.full_like(labels, 9), labels]
        files[f"{name}.bin"] = np.concatenate([*columns, batch.pixels], axis=1).tobytes()
    names = {"cifar10": "batches.meta.txt", "cifar100": "fine_label_names.txt"}[kind]
    files[names] = "\n".join([*NAMES[kind], "", ""]).encode()
    return files


def make_archive(path: Path, files: dict[str, bytes], folder: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        top = tarfile.TarInfo(folder)
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        for name, data in {**files, "readme.html": b"<html>"}.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_cifar(folder: Path, kind: str, version: str = "python", images: int = 5) -> Path:
    files = (python_files if version == "python" else binary_files)(kind, images)
    stem = {"cifar10": "cifar-10", "cifar100": "cifar-100"}[kind]
    return make_archive(folder / f"{stem}-{version}.tar.gz", files, FOLDERS[kind, version])
