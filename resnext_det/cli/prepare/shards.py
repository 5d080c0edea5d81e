"""The kind that writes WebDataset shards, or the index of some. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import command_line
from resnext_det.data.preparing.foreign_shards import index_shards
from resnext_det.data.preparing.shards import ShardSizes, write_shards
from resnext_det.errors import UserError, one_line

DESCRIPTION = "Write a folder of class folders as WebDataset shards, or index the shards you have."
_DEFAULT_MB = 500.0


def add_parser(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the kind to `resnext-det dataset prepare`."""
    parser = kinds.add_parser("shards", help=DESCRIPTION, description=DESCRIPTION)
    what = "class folders of images; with --index-only, the shards"
    parser.add_argument("source", metavar="FOLDER", help=what)
    parser.add_argument("output", metavar="OUTPUT", nargs="?", help="folder of the shards")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--per-shard", type=int, metavar="N", help="images in a shard")
    what = f"most image bytes in a shard, 10^6 each (default {_DEFAULT_MB:g})"
    size.add_argument("--shard-size", type=float, metavar="MB", help=what)
    what = "write the index of shards that another program made"
    parser.add_argument("--index-only", action="store_true", help=what)
    what = "with --index-only: class names, a line each or a JSON list (default: classnames.txt)"
    parser.add_argument("--class-names", metavar="FILE", help=what)
    parser.set_defaults(prepare=run)


def run(args: argparse.Namespace) -> int:
    """Writes the shards or their index, and prints what there is.

    Returns:
        0.

    Raises:
        UserError: arguments that contradict each other; see `write_shards` and `index_shards`.
    """
    source = Path(args.source).expanduser()
    if args.index_only:
        if args.output is not None or args.per_shard is not None or args.shard_size is not None:
            raise UserError("--index-only takes the folder of the shards and --class-names alone")
        output = source
        names = Path(args.class_names).expanduser() if args.class_names else None
        record = index_shards(source, names, command=command_line())
    else:
        if args.output is None:
            raise UserError(f"where to? resnext-det dataset prepare shards {args.source} OUTPUT")
        if args.class_names:
            raise UserError("--class-names goes with --index-only: class folders have names")
        output = Path(args.output).expanduser()
        record = write_shards(source, output, _sizes(args), command=command_line())
    shards = f"{record.notes['shards']:,} shard{'' if record.notes['shards'] == 1 else 's'}"
    print(one_line(f"{output}: {record} in {shards}, {record.notes['bytes']:,} bytes"))
    return 0


def _sizes(args: argparse.Namespace) -> ShardSizes:
    if args.per_shard is not None:
        if args.per_shard < 1:
            raise UserError(f"--per-shard {args.per_shard}: give 1 or more")
        return ShardSizes(images=args.per_shard)
    size = _DEFAULT_MB if args.shard_size is None else args.shard_size
    if not 0 < size < 1e9:
        raise UserError(f"--shard-size {size:g}: give a size in MB, as 500")
    return ShardSizes(size=max(1, round(size * 1e6)))
