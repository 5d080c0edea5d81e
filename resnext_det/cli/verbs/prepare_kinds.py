"""The options of each kind of `resnext-det dataset prepare`. Engine-neutral.

A kind sets the default `prepare`: a function of the arguments that returns the exit status.
"""

import argparse

from resnext_det.cli.prepare.command import MB_PER_SHARD, add_output
from resnext_det.data.preparing.published import IMAGENET_ARCHIVES

IMAGENET_1K = "Unpack ILSVRC2012 into imagenet_1k_train and imagenet_1k_val."
IMAGENET_5K = (
    "Choose ImageNet-5K out of ImageNet-21K, for imagenet_5k_train: the 1K classes and the 4,000 "
    "biggest others."
)
FOLDER = (
    "Count and check your own folder of class folders; its images stay as they are, and what was "
    "found is left beside them in manifest.json. `dataset check train=FOLDER/train "
    "val=FOLDER/val` looks at more: twins, classes, pictures."
)
SHARDS = "Write a folder of class folders as WebDataset shards, or index the shards you have."
_CIFAR = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def add_kinds(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the kinds to `resnext-det dataset prepare`."""
    _add_imagenet_1k(kinds)
    _add_imagenet_5k(kinds)
    _add_cifar(kinds)
    _add_folder(kinds)
    _add_shards(kinds)


def _add_imagenet_1k(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = kinds.add_parser("imagenet-1k", help=IMAGENET_1K, description=IMAGENET_1K)
    what = "holds the archives under their own names; instead of naming each"
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help=what)
    for option, archive in IMAGENET_ARCHIVES.items():
        parser.add_argument(f"--{option}", metavar="FILE", help=archive.name)
    add_output(parser, "imagenet")
    parser.set_defaults(prepare=_prepare_imagenet_1k)


def _add_imagenet_5k(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = kinds.add_parser("imagenet-5k", help=IMAGENET_5K, description=IMAGENET_5K)
    what = "ImageNet-21K: folders nXXXXXXXX, or archives nXXXXXXXX.tar"
    parser.add_argument("tree", metavar="TREE", help=what)
    what = "ImageNet-1K's folder or its devkit, for its classes ($DETECTRON2_DATASETS/imagenet)"
    parser.add_argument("--imagenet-1k", metavar="PLACE", help=what)
    what = "copy the images of class folders; they are linked otherwise"
    parser.add_argument("--copy", action="store_true", help=what)
    where = "where it goes ($DETECTRON2_DATASETS/imagenet_5k)"
    parser.add_argument("--output", metavar="FOLDER", help=where)
    parser.set_defaults(prepare=_prepare_imagenet_5k)


def _add_cifar(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for kind, title in _CIFAR.items():
        description = f"Write {title}'s images as PNG files, for {kind}_train and {kind}_test."
        parser = kinds.add_parser(kind, help=description, description=description)
        stem = title.lower()
        what = f"{stem}-python.tar.gz, {stem}-binary.tar.gz, or the folder that one unpacks to"
        parser.add_argument("archive", metavar="ARCHIVE", help=what)
        add_output(parser, kind)
        parser.set_defaults(prepare=_prepare_cifar)


def _add_folder(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = kinds.add_parser("folder", help=FOLDER, description=FOLDER)
    parser.add_argument("root", metavar="FOLDER", help="holds train/, val/ or test/")
    what = "decode every image whole, not only its header"
    parser.add_argument("--decode", action="store_true", help=what)
    parser.set_defaults(prepare=_prepare_folder)


def _add_shards(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = kinds.add_parser("shards", help=SHARDS, description=SHARDS)
    what = "class folders of images; with --index-only, the shards"
    parser.add_argument("source", metavar="FOLDER", help=what)
    parser.add_argument("output", metavar="OUTPUT", nargs="?", help="folder of the shards")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--per-shard", type=int, metavar="N", help="images in a shard")
    what = f"most image bytes in a shard, 10^6 each (default {MB_PER_SHARD:g})"
    size.add_argument("--shard-size", type=float, metavar="MB", help=what)
    what = "write the index of shards that another program made"
    parser.add_argument("--index-only", action="store_true", help=what)
    what = "with --index-only: class names, a line each or a JSON list (default: classnames.txt)"
    parser.add_argument("--class-names", metavar="FILE", help=what)
    parser.set_defaults(prepare=_prepare_shards)


def _prepare_imagenet_1k(args: argparse.Namespace) -> int:
    from resnext_det.cli.prepare import imagenet_1k

    return imagenet_1k.run(args)


def _prepare_imagenet_5k(args: argparse.Namespace) -> int:
    from resnext_det.cli.prepare import imagenet_5k

    return imagenet_5k.run(args)


def _prepare_cifar(args: argparse.Namespace) -> int:
    from resnext_det.cli.prepare import cifar

    return cifar.run(args)


def _prepare_folder(args: argparse.Namespace) -> int:
    from resnext_det.cli.prepare import folder

    return folder.run(args)


def _prepare_shards(args: argparse.Namespace) -> int:
    from resnext_det.cli.prepare import shards

    return shards.run(args)
