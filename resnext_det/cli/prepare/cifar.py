"""The kinds that unpack CIFAR-10 and CIFAR-100. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import command_line, print_outcome
from resnext_det.data.catalog import datasets_root
from resnext_det.data.preparing.cifar import PUBLISHED, prepare_cifar


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
