"""The options of the verb that finds boxes in images and videos. Engine-neutral."""

import argparse
import os
from pathlib import Path

from resnext_det.errors import UserError

EPILOG = (
    "Exit status: 0 all images were read; 1 the results are written, and some images could not be "
    "read; 2 a mistake, said in one line; 130 interrupted."
)
_INPUT = (
    "an image or a video; a folder, with all that are below it; a pattern in quotes ('*.jpg', "
    "'**/*.png'); - for standard input: one image, or names, a line each"
)
_SAVE = (
    "what is written, of pictures,videos,json,csv (all): pictures/ and videos/ with named boxes, "
    "coco_instances_results.json with images.json, detections.csv"
)
_THRESH = (
    "leave out boxes scored below it, 0 … 1 (what the run's config says, usually 0.05; of these "
    "0.5 and better are drawn)"
)
_ACCELERATION = (
    "what the detector is run with: auto, what `resnext-det benchmark` saved for this machine or a "
    "usual choice; exact, as the evaluation computes; or words in quotes, of float32 bfloat16 "
    "float16 channels_last fold_norms fast_pooling winograd keep_memory compile cuda_graphs"
)
_ANNOTATIONS = (
    "COCO annotations that name the images: their image and category ids are used (numbers by "
    "place, from 1)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("checkpoint", metavar="CKPT", help="a detector's checkpoint, as model_final.pth")
    add("inputs", metavar="INPUT", nargs="+", help=_INPUT)
    add("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder of results")
    add("--save", default="pictures,videos,json,csv", metavar="WHAT,…", help=_SAVE)
    add("--score-thresh", type=float, metavar="SCORE", help=_THRESH)
    add("--classes", metavar="NAME,…", help="keep these classes alone")
    add("--batch-size", type=int, default=1, metavar="N", help="images taken at once (1)")
    add("--device", default="auto", help="cpu, cuda, cuda:1, … (a GPU where there is one)")
    add("--engine", choices=("auto", "d2", "portable"), default="auto", help="detection engine")
    add("--acceleration", default="auto", metavar="WORDS", help=_ACCELERATION)
    add("--processes", type=int, default=1, metavar="N", help="that share the images, on CPUs (1)")
    add("--tile", type=int, metavar="PIXELS", help="cut large images into tiles of this side")
    add("--overlap", type=float, metavar="SHARE", help="of a tile with the next one (0.2)")
    add("--annotations", type=Path, metavar="JSON", help=_ANNOTATIONS)
    broken = "images that may be unreadable, and are left out (what the run's config says, 100)"
    add("--max-broken", type=int, metavar="N", help=broken)
    add("--config-file", metavar="FILE", help="for a checkpoint that carries no config")
    names = "for a checkpoint without class names: a file with one on each line, or a JSON list"
    add("--class-names", type=Path, metavar="FILE", help=names)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Finds boxes: see `cli.predict`.

    Raises:
        UserError: as there; a checkpoint that is not there is found before torch is imported.
    """
    if "://" not in args.checkpoint and not os.path.lexists(args.checkpoint):
        raise UserError(f"{args.checkpoint}: no such file")
    from resnext_det.cli import predict

    return predict.run(args)
