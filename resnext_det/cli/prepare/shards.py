"""The kind that writes WebDataset shards, or the index of some. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.prepare.command import MB_PER_SHARD, command_line
from resnext_det.data.preparing.foreign_shards import index_shards
from resnext_det.data.preparing.shards import ShardSizes, write_shards
from resnext_det.errors import UserError, one_line


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
    size = MB_PER_SHARD if args.shard_size is None else args.shard_size
    if not 0 < size < 1e9:
        raise UserError(f"--shard-size {size:g}: give a size in MB, as 500")
    return ShardSizes(size=max(1, round(size * 1e6)))
