"""`resnext-det dataset convert`: labelled photographs as COCO JSON. Engine-neutral."""

import argparse
import shlex
import sys
from collections.abc import Iterator

from resnext_det.data.converting.convert import Conversion, ConvertOptions, convert
from resnext_det.data.converting.recognising import NAMES
from resnext_det.errors import few, one_line


def run(args: argparse.Namespace) -> int:
    """Converts a folder, and says what was made of it and how to go on.

    Returns:
        0; 130 after an interrupt.

    Raises:
        UserError: anything the user can mend; nothing was written.
    """
    options = ConvertOptions(
        format=args.format or "",
        image_root=args.images,
        classes=args.classes,
        split=args.split,
        skip_unlabelled=args.skip_unlabelled,
        from_zero=args.zero_based,
    )
    try:
        done = convert(args.folder, args.output, options)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    recognised = "" if args.format else f"{args.folder}: labels of {NAMES[done.format]}"
    for line in filter(None, (recognised, *done.notes, *_written(done), _next(done))):
        print(one_line(line))
    return 0


def _written(done: Conversion) -> Iterator[str]:
    names = done.class_names
    yield f"{len(names)} class(es): {few(names, 10)}"
    for path, content in done.contents.items():
        objects, images = len(content["annotations"]), len(content["images"])
        yield f"{path}: {images:,} image(s), {objects:,} object(s)"


def _next(done: Conversion) -> str:
    """The command that looks at what was written."""
    sets = []
    for path in done.contents:
        name = path.stem.rpartition("_")[2] if len(done.contents) > 1 else "mine"
        sets.append(shlex.quote(f"{name}={path}:{done.image_root}"))
    return f"Look at it next: resnext-det dataset check {' '.join(sets)}"
