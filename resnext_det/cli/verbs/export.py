"""The options of the verb that exports a detector. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.json_option import add_json
from resnext_det.export.formats import check_target, parse_fixed
from resnext_det.weights.readers.plain_file import check_plain_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("checkpoint", metavar="CKPT", help="a detector's checkpoint, such as model_final.pth")
    output_help = "what to write: .onnx, .pt2 (torch.export) or .xml (OpenVINO, with its .bin)"
    add("-o", "--output", required=True, metavar="FILE", help=output_help)
    fixed_help = "take N images (1) of this size only; otherwise any number of any size"
    add("--fixed", metavar="HxW[xN]", help=fixed_help)
    add("--score-thresh", type=float, metavar="S", help="give boxes scored above this (config's)")
    add("--config-file", metavar="FILE", help="of a checkpoint that holds no config")
    add("--class-names", metavar="FILE", help="one on each line, of a checkpoint that holds none")
    images_help = "prove it on the first 16 images there (--test-data's, or 4 built in)"
    add("--images", metavar="FOLDER", help=images_help)
    data_help = "compare AP, too, on NAME=annotations.json:images/"
    add("--test-data", metavar="NAME=…", help=data_help)
    add("--tolerance", type=float, default=0.1, metavar="PX", help="of a box, in pixels (0.1)")
    score_help = "of a score (0.001)"
    add("--score-tolerance", type=float, default=0.001, metavar="S", help=score_help)
    ap_help = "AP that may be lost (0.1; with --int8 1.0)"
    add("--ap-tolerance", type=float, metavar="AP", help=ap_help)
    add("--int8", action="store_true", help="quantise to 8 bits; .onnx only")
    calibration_help = "take the ranges for --int8 from the first 100 images there"
    add("--calibration", metavar="FOLDER", help=calibration_help)
    grouped_help = "what grouped convolutions compute in with --int8; auto takes the faster"
    choices = ("auto", "float", "int8")
    add("--int8-grouped", choices=choices, default="auto", help=grouped_help)
    add_json(parser, "differences, sizes and times")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exports: see `cli.export`.

    Raises:
        UserError: as there; what the command alone tells is found before torch is imported.
    """
    check_target(Path(args.output).expanduser(), files_read(args))
    if args.fixed is not None:
        parse_fixed(args.fixed)
    if "://" not in args.checkpoint:
        check_plain_file(Path(args.checkpoint), args.checkpoint)
    from resnext_det.cli import export

    return export.run(args)


def files_read(args: argparse.Namespace) -> list[Path]:
    """Returns the files that are read; neither the export nor the JSON may take their place."""
    words = [args.checkpoint, args.config_file, args.class_names]
    if args.test_data:
        words.append(args.test_data.partition("=")[2].rpartition(":")[0])
    return [Path(word).expanduser() for word in words if word]
