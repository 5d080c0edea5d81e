"""The kind that makes ImageNet-5K out of ImageNet-21K. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import command_line, print_outcome
from resnext_det.data.catalog import datasets_root
from resnext_det.data.preparing.class_sources import imagenet_1k_classes
from resnext_det.data.preparing.imagenet_5k import prepare_imagenet_5k

DESCRIPTION = (
    "Choose ImageNet-5K out of ImageNet-21K, for imagenet_5k_train: the 1K classes and the 4,000 "
    "biggest others."
)


def add_parser(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the kind to `resnext-det dataset prepare`."""
    parser = kinds.add_parser("imagenet-5k", help=DESCRIPTION, description=DESCRIPTION)
    what = "ImageNet-21K: folders nXXXXXXXX, or archives nXXXXXXXX.tar"
    parser.add_argument("tree", metavar="TREE", help=what)
    what = "ImageNet-1K's folder or its devkit, for its classes ($DETECTRON2_DATASETS/imagenet)"
    parser.add_argument("--imagenet-1k", metavar="PLACE", help=what)
    what = "copy the images of class folders; they are linked otherwise"
    parser.add_argument("--copy", action="store_true", help=what)
    where = "where it goes ($DETECTRON2_DATASETS/imagenet_5k)"
    parser.add_argument("--output", metavar="FOLDER", help=where)
    parser.set_defaults(prepare=run)


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
