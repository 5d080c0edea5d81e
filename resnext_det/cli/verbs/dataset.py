"""The options of the verb that prepares and checks data sets. Engine-neutral."""

import argparse
import sys
from pathlib import Path

from resnext_det.cli.json_option import add_json
from resnext_det.cli.verbs import prepare_kinds
from resnext_det.errors import UserError

PREPARE = "Prepare a data set from the files its publisher hands out."
CONVERT = (
    "Make COCO JSON, which detectors are trained on, of a folder of photographs labelled in VOC's "
    "XML, YOLO's text, labelme's or COCO's JSON. No photograph is touched."
)
CONVERT_EPILOG = (
    "Names of images in the file are relative to FOLDER, or to --images. VOC counts pixels from 1: "
    "a box's edges are xmin - 1, ymin - 1, xmax, ymax. Boxes are those of the image as it is seen, "
    "after EXIF rotation. Exit status: 0 it is written, 2 a mistake, said in one line."
)
CHECK = (
    "Check data sets before a run: annotations, every image decoded, classes and sizes, pictures "
    "that two sets share. The first set is taken as the one trained on."
)
CHECK_EPILOG = "Exit status: 0 nothing but notes, 1 problems found, 2 a mistake in the command."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    prepare = actions.add_parser("prepare", help=PREPARE, description=PREPARE)
    prepare_kinds.add_kinds(prepare.add_subparsers(dest="kind", required=True, metavar="KIND"))
    prepare.set_defaults(run=run_prepare)
    convert = actions.add_parser(
        "convert", help=CONVERT, description=CONVERT, epilog=CONVERT_EPILOG
    )
    _add_convert_arguments(convert)
    convert.set_defaults(run=run_convert)
    check = actions.add_parser("check", help=CHECK, description=CHECK, epilog=CHECK_EPILOG)
    _add_check_arguments(check)
    check.set_defaults(run=run_check)


def run_prepare(args: argparse.Namespace) -> int:
    """Prepares the set.

    Returns:
        The exit status: the kind's own; 130 after an interrupt.

    Raises:
        UserError: anything the user can mend.
    """
    try:
        return args.prepare(args)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130


def run_check(args: argparse.Namespace) -> int:
    """Checks sets: see `cli.check`."""
    from resnext_det.cli import check

    return check.run(args)


def run_convert(args: argparse.Namespace) -> int:
    """Converts a folder of labelled photographs: see `cli.convert`.

    Raises:
        UserError: as there; mistakes in the command are found before a library is imported.
    """
    if not args.folder.is_dir():
        told = "is no folder" if args.folder.exists() else "no such folder"
        raise UserError(f"{args.folder}: {told}")
    if args.output.suffix != ".json":
        raise UserError(f"-o {args.output}: name a file that ends in .json")
    from resnext_det.cli import convert

    return convert.run(args)


def _add_convert_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="FOLDER", type=Path, help="of labels, and of images, or both")
    add("-o", "--output", metavar="OUT.json", type=Path, required=True, help="the file to write")
    what = "the format of the labels (recognised where there is one alone)"
    add("--from", dest="format", choices=("voc", "yolo", "labelme", "coco"), help=what)
    what = "the folder of the images, where it is not FOLDER or below it"
    add("--images", metavar="FOLDER", type=Path, help=what)
    what = (
        "write OUT_train.json with this share of the images, as 0.8, and OUT_val.json with the "
        "others, chosen by their content: always the same; or 'own': the splits that the "
        "folder itself names"
    )
    add("--split", metavar="SHARE", type=_split, help=what)
    what = (
        "names of all classes in their order, one on each line or a JSON list (that of the "
        "folder's own list, else by alphabet)"
    )
    add("--classes", metavar="FILE", type=Path, help=what)
    what = "leave out images without a label file, instead of taking them for images of nothing"
    add("--skip-unlabelled", action="store_true", help=what)
    what = "VOC's corners are edges counted from 0, as some tools write them"
    add("--zero-based", action="store_true", help=what)


def _split(text: str) -> float | str:
    if text == "own":
        return text
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a share between 0 and 1 nor 'own'")
    return share


def _add_check_arguments(parser: argparse.ArgumentParser) -> None:
    what = (
        "NAME=annotations.json:images/ (detection), NAME=folder/ (class folders or shards), or a "
        "published name, as coco_2017_val"
    )
    parser.add_argument("sets", nargs="+", metavar="SET", help=what)
    what = "check what this detector needs, too; sizes after its resize, boxes beside its anchors"
    parser.add_argument("--config-file", metavar="FILE", help=what)
    add_json(parser, "everything that was found")
    what = "write check.html there, a page of pictures"
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help=what)
    what = "write a mended copy of each annotation file there; nothing is overwritten"
    parser.add_argument("--fix", metavar="FOLDER", type=Path, help=what)
    what = "open images whose names in the annotation file leave the image folder"
    parser.add_argument("--trust-file-names", action="store_true", help=what)
    what = "processes that decode images (as many as there are processors)"
    parser.add_argument("--processes", type=int, metavar="N", help=what)
