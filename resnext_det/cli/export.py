"""The verb that exports a detector and proves the file. Engine-neutral."""

import argparse
import math
import sys
from pathlib import Path

from rich.console import Console

from resnext_det.cli.printing import check_json, open_console, status, write_json
from resnext_det.cli.verbs.export import files_read
from resnext_det.data.class_names import read_class_names
from resnext_det.data.opened_image import MAX_PIXELS, Pixels
from resnext_det.errors import UserError, one_line
from resnext_det.export.formats import (
    NAMES,
    FixedShape,
    Format,
    check_target,
    files_of,
    parse_fixed,
)
from resnext_det.export.int8 import Quantized
from resnext_det.export.pictures import built_in_pictures, pictures_of
from resnext_det.export.proving import Proof, Tolerances, pictures_of_set, read_test_set
from resnext_det.export.run import Exported, Wanted, export
from resnext_det.export.source import read_source
from resnext_det.export.suppression import OPSET
from resnext_det.export.writing import check_packages

NUM_PROVEN = 16
NUM_CALIBRATED = 100
AP_TOLERANCE, AP_TOLERANCE_INT8 = 0.1, 1.0  # percent


def run(args: argparse.Namespace) -> int:
    """Exports, proves, prints what was found, and writes the JSON.

    Returns:
        The exit status: 0, or 1 where the export is not the detector and no file was written.

    Raises:
        UserError: anything the user can mend, found before the export where possible.
    """
    output = Path(args.output).expanduser()
    read = files_read(args)
    kind = check_target(output, read)
    check_json(args.json, [*read, *files_of(output)])
    tolerances = _tolerances(args)
    fixed = None if args.fixed is None else _fixed(args.fixed)
    calibration = _calibration(args, kind)
    check_packages(kind, int8=args.int8)
    pictures = pictures_of(Path(args.images), "--images", NUM_PROVEN) if args.images else None
    if pictures is None and not args.test_data:
        pictures = built_in_pictures()
    source = read_source(
        args.checkpoint,
        config_file=args.config_file,
        class_names=read_class_names(Path(args.class_names)) if args.class_names else (),
        score_thresh=args.score_thresh,
    )
    test_set = read_test_set(args.test_data, source.class_names) if args.test_data else None
    if pictures is None:
        assert test_set is not None
        pictures = pictures_of_set(test_set, NUM_PROVEN)
    wanted = Wanted(
        output=output,
        kind=kind,
        tolerances=tolerances,
        pictures=pictures,
        fixed=fixed,
        test_set=test_set,
        calibration=calibration,
        grouped=args.int8_grouped,
    )
    with status() as say:
        exported = export(source, wanted, say)
    _print(open_console(args.json), wanted, exported)
    write_json(args.json, {"file": str(output), "format": kind} | exported.as_dict())
    if exported.problems:
        reasons = "; ".join(exported.problems)
        print(f"error: {one_line(f'{output}: not written: {reasons}')}", file=sys.stderr)
        return 1
    return 0


def _calibration(args: argparse.Namespace, kind: Format) -> list[Pixels] | None:
    if not args.int8:
        if args.calibration:
            raise UserError("--calibration is of --int8 only: give that, too, or leave it out")
        return None
    if kind != "onnx":
        raise UserError(f"--int8 writes .onnx files, not {NAMES[kind]}: name one with -o")
    if not args.calibration:
        raise UserError("--int8 needs --calibration FOLDER, images such as it will be run on")
    return pictures_of(Path(args.calibration), "--calibration", NUM_CALIBRATED)


def _tolerances(args: argparse.Namespace) -> Tolerances:
    lost = AP_TOLERANCE_INT8 if args.int8 else AP_TOLERANCE
    given = lost if args.ap_tolerance is None else args.ap_tolerance
    for option in ("tolerance", "score_tolerance", "ap_tolerance"):
        value = getattr(args, option)
        if value is not None and not 0 <= value < math.inf:
            raise UserError(f"--{option.replace('_', '-')} {value:g}: give a number from 0 on")
    return Tolerances(args.tolerance, args.score_tolerance, given)


def _fixed(text: str) -> FixedShape:
    """Reads --fixed; images beyond what is decoded would take all memory before they fail."""
    fixed = parse_fixed(text)
    if fixed.height * fixed.width * fixed.number > MAX_PIXELS:
        raise UserError(f"--fixed {text}: more than {MAX_PIXELS:,} pixels in all: give fewer")
    return fixed


def _print(console: Console, wanted: Wanted, exported: Exported) -> None:
    kind = f"ONNX, opset {OPSET}" if wanted.kind == "onnx" else NAMES[wanted.kind]
    shape = _shape(wanted.fixed)
    console.print(f"{wanted.output}: {kind}, {exported.megabytes:.1f} MB, {shape}", markup=False)
    _print_proof(console, "float32", exported.proof)
    if exported.int8 is not None:
        quantized, proof = exported.int8
        _print_proof(console, f"INT8, grouped convolutions in {quantized.grouped}", proof)
        _print_times(console, quantized)


def _shape(fixed: FixedShape | None) -> str:
    if fixed is None:
        return "any number of images of any size"
    images = "image" if fixed.number == 1 else "images"
    return f"{fixed.number} {images} of {fixed.height}x{fixed.width}"


def _print_proof(console: Console, what: str, proof: Proof) -> None:
    found = proof.differences
    lines = [
        f"{what} in {proof.runtime}: {found.matched} boxes in {found.images} images",
        f"  largest difference of a box    {found.box:.3g} px",
        f"  largest difference of a score  {found.score:.3g}",
        f"  boxes found by one only        {found.unmatched}",
    ]
    if found.tied:
        lines.append(f"  chosen otherwise, near ties    {found.tied}")
    if proof.precisions is not None:
        ap = proof.precisions
        scores = f"{_percent(ap.checkpoint)} -> {_percent(ap.export)}"
        lines.append(f"  AP on {ap.name}, {ap.images} images: {scores}")
    console.print("\n".join(lines), markup=False, highlight=False)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _print_times(console: Console, quantized: Quantized) -> None:
    names = {"float": "float32"} | {
        name: f"INT8, {name}" for name in quantized.seconds if name != "float"
    }
    times = [f"{names[name]} {taken * 1e3:.0f} ms" for name, taken in quantized.seconds.items()]
    console.print(f"  a batch takes: {', '.join(times)}", markup=False, highlight=False)
