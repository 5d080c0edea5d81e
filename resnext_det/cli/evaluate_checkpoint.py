"""A checkpoint run on a test set, before its results are evaluated. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.analysis.places import Subject
from resnext_det.config import LoadedConfig, with_values
from resnext_det.data.catalog import find_dataset, parse_data_argument
from resnext_det.engines.base import resolve_engine
from resnext_det.engines.detection import DetectionJob, evaluate_detector
from resnext_det.errors import UserError
from resnext_det.evaluation.results_json import RESULTS_FILE
from resnext_det.inference.detector_file import read_detector_file


def run_checkpoint(args: argparse.Namespace) -> Subject:
    """Finds the boxes, as `train_net.py --eval-only` does, and says where they are.

    Args:
        args: of the verb: source, test_data, output, engine.

    Raises:
        UserError: no test set or no folder is named, or the file is no detector's.
    """
    if args.test_data is None:
        raise UserError(
            f"{args.source}: a checkpoint is run first: give --test-data NAME=annotations.json:"
            "images/ and -o FOLDER"
        )
    if args.output is None:
        raise UserError(f"{args.source}: give -o FOLDER, where what it finds is written to")
    named = "=" in args.test_data
    entry = parse_data_argument(args.test_data) if named else find_dataset(args.test_data, {})
    if entry.json_file is None:
        raise UserError(
            f"--test-data {args.test_data}: is a set of class folders; a detector is evaluated on "
            "NAME=annotations.json:images/"
        )
    file = read_detector_file(args.source)
    changes = {
        "DATASETS.TEST": [entry.name],
        "MODEL.WEIGHTS": str(args.source),
        "OUTPUT_DIR": str(args.output),
    }
    loaded = LoadedConfig(
        with_values(file.cfg, changes), str(args.source), frozenset(changes), frozenset(changes)
    )
    engine = resolve_engine(args.engine)
    evaluate_detector(engine, DetectionJob(loaded, {entry.name: entry}, False))
    results = Path(args.output) / RESULTS_FILE
    return Subject(str(args.source), results, entry.json_file, args.images or entry.image_root)
