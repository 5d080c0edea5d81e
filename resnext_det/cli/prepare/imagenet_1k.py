"""The kind that unpacks ILSVRC2012. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import command_line, print_outcome
from resnext_det.data.catalog import datasets_root
from resnext_det.data.preparing.imagenet_1k import PUBLISHED, prepare_train, prepare_val
from resnext_det.data.preparing.published import (
    IMAGENET_ARCHIVES,
    IMAGENET_DEVKIT,
    IMAGENET_TRAIN,
    IMAGENET_VAL,
)
from resnext_det.errors import UserError

_NAMES = {option: archive.name for option, archive in IMAGENET_ARCHIVES.items()}


def run(args: argparse.Namespace) -> int:
    """Unpacks what was given.

    Returns:
        0.

    Raises:
        UserError: see `prepare_train` and `prepare_val`.
    """
    archives = _archives(args)
    target = Path(args.output).expanduser() if args.output else datasets_root() / "imagenet"
    reference = PUBLISHED if args.digest else PUBLISHED.without_digests()
    train, val, devkit = (archives.get(name) for name in _NAMES)
    if val is not None and devkit is None:
        raise UserError(f"{val}: its labels are in {IMAGENET_DEVKIT.name}: give it as --devkit")
    given = {"reference": reference, "digest": args.digest, "command": command_line()}
    if val is not None and devkit is not None:  # first: its mistakes show within a minute
        print_outcome(target / "val", prepare_val(val, devkit, target, **given))
    if train is not None:
        print_outcome(target / "train", prepare_train(train, target, devkit=devkit, **given))
    return 0


def _archives(args: argparse.Namespace) -> dict[str, Path]:
    """Returns train, val, devkit -> the archive, of those that were named or found."""
    named = {name: getattr(args, name) for name in _NAMES if getattr(args, name)}
    found = {name: Path(path).expanduser() for name, path in named.items()}
    folder = Path(args.folder).expanduser() if args.folder else None
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; give an archive as --train or --val")
        there = {name: folder / file for name, file in _NAMES.items() if (folder / file).is_file()}
        found = {**there, **found}
    if not {"train", "val"} & set(found):
        where = f"{folder}: holds" if folder else "nothing to unpack: there is"
        raise UserError(f"{where} neither {IMAGENET_TRAIN.name} nor {IMAGENET_VAL.name}")
    return found
