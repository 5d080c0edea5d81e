"""The kinds that unpack CIFAR-10 and CIFAR-100. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import add_output, command_line, print_outcome
from resnext_det.data.catalog import datasets_root
from resnext_det.data.preparing.cifar import PUBLISHED, prepare_cifar

_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def add_parser(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the kinds to `resnext-det dataset prepare`."""
    for kind, title in _TITLES.items():
        description = f"Write {title}'s images as PNG files, for {kind}_train and {kind}_test."
        parser = kinds.add_parser(kind, help=description, description=description)
        stem = title.lower()
        what = f"{stem}-python.tar.gz, {stem}-binary.tar.gz, or the folder that one unpacks to"
        parser.add_argument("archive", metavar="ARCHIVE", help=what)
        add_output(parser, kind)
        parser.set_defaults(prepare=run)


def run(args: argparse.Namespace) -> int:
    """Writes the images.

    Returns:
        0.

    Raises:
        UserError: see `prepare_cifar`.
    """
    target = Path(args.output).expanduser() if args.output else datasets_root() / args.kind
    reference = PUBLISHED[args.kind]
    outcomes = prepare_cifar(
        args.kind,
        Path(args.archive).expanduser(),
        target,
        reference=reference if args.digest else reference.without_digests(),
        command=command_line(),
    )
    for split, outcome in outcomes.items():
        print_outcome(target / split, outcome)
    return 0
