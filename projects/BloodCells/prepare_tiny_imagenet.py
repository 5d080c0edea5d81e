"""Turns Tiny ImageNet into an ImageFolder of every tenth of its classes. Engine-neutral.

    python projects/BloodCells/prepare_tiny_imagenet.py tiny-imagenet-200 datasets/in20

The classes are those at places 0, 10, 20 … of the sorted ids in `wnids.txt`, with all their
500 training images and, from the set's `val` folder, all their 50 validation images.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from resnext_det.errors import UserError

STEP = 10


def choose_classes(wnids: Sequence[str], step: int = STEP) -> list[str]:
    """Returns every `step`-th of the sorted ids, beginning with the first."""
    return sorted(wnids)[::step]


def prepare(source: Path, output: Path, step: int = STEP) -> str:
    """Copies the chosen classes to `output/train` and `output/val`.

    Args:
        source: the unpacked archive, which holds `wnids.txt`, `train` and `val`.
        output: made where it is missing.
        step: take every `step`-th class.

    Returns:
        What was written, in one line.

    Raises:
        UserError: a file of the archive is missing.
    """
    chosen = choose_classes(_read(source / "wnids.txt").split(), step)
    pairs = [
        (path, output / "train" / wnid / path.name)
        for wnid in chosen
        for path in sorted((source / "train" / wnid / "images").glob("*.JPEG"))
    ]
    num_train = len(pairs)
    for line in _read(source / "val" / "val_annotations.txt").splitlines():
        name, wnid = line.split("\t")[:2]
        if wnid in chosen:
            pairs.append((source / "val" / "images" / name, output / "val" / wnid / name))
    missing = next((path for path, _ in pairs if not path.is_file()), None)
    if missing or not num_train:
        raise UserError(f"{missing or source / 'train'}: no such image, though the lists name it")
    for path, copy in pairs:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return f"{output}: {len(chosen)} classes, {num_train} + {len(pairs) - num_train} images"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name the folder tiny-imagenet-200") from None


def main() -> int:
    """Runs the command; returns 0, or 2 after a mistake the user can mend."""
    parser = argparse.ArgumentParser(description="Tiny ImageNet -> ImageFolder of 20 classes")
    parser.add_argument("source", type=Path, help="the unpacked tiny-imagenet-200")
    parser.add_argument("output", type=Path, help="folder for train and val")
    args = parser.parse_args()
    try:
        print(prepare(args.source, args.output))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
