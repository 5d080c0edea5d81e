"""The kind that makes ImageNet-5K out of ImageNet-21K. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import command_line, print_outcome
from resnext_det.data.catalog import datasets_root
from resnext_det.data.preparing.class_sources import imagenet_1k_classes
from resnext_det.data.preparing.imagenet_5k import prepare_imagenet_5k


def run(args: argparse.Namespace) -> int:
    """Chooses the classes and links, copies or unpacks them.

    Returns:
        0.

    Raises:
        UserError: see `imagenet_1k_classes` and `prepare_imagenet_5k`.
    """
    place = (
        Path(args.imagenet_1k).expanduser() if args.imagenet_1k else datasets_root() / "imagenet"
    )
    target = Path(args.output).expanduser() if args.output else datasets_root() / "imagenet_5k"
    tree = Path(args.tree).expanduser()
    classes = imagenet_1k_classes(place)
    outcome = prepare_imagenet_5k(tree, target, classes, copy=args.copy, command=command_line())
    print_outcome(target / "train", outcome)
    notes = outcome.record.notes
    print(
        f"the paper has {notes['paper_images'] / 1e6:.1f} million images; the smallest of the "
        f"others has {notes['smallest_other']:,}; test on imagenet_1k_val"
    )
    return 0
