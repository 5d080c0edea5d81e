#!/usr/bin/env python
"""What acceleration does to AP: trained detectors, exact and under settings. Engine-neutral.

    python projects/SpeedComparison/accuracy.py CKPT… --folder FOLDER --json FILE

Without `--test-data` the images are held-out scenes of the quickstart's kind, of another seed.
Each checkpoint finds boxes by `resnext-det predict` under each setting; the difference of AP to the
exact detector's has a paired 95 % interval over the images. Begun anew with the same folder, it
goes on.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.analysis.analyse import Options
from resnext_det.analysis.comparing import compare
from resnext_det.cli import main as resnext_det
from resnext_det.data.catalog import DatasetEntry, parse_data_argument
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data
from resnext_det.errors import UserError
from resnext_det.evaluation.box_arrays import TruthBoxes, read_rows, read_truth
from resnext_det.statistics.matches import match_detections
from resnext_det.statistics.weighted_ap import average_precision, metric_names
from resnext_det.timing.conditions import conditions
from resnext_det.timing.results import write_results

SCRIPT = "projects/SpeedComparison/accuracy.py"
EXACT = "exact"
SETTINGS = (
    "float32 channels_last fold_norms fast_pooling winograd keep_memory",
    "bfloat16 channels_last fold_norms fast_pooling keep_memory",
)
_SEED = 77
_BATCH = 8
_SAMPLES = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, and writes the JSON file after each detector; returns 0, or 2 where it cannot."""
    args = parse(argv)
    try:
        entry = parse_data_argument(args.test_data) if args.test_data else scenes(args)
        assert entry.json_file is not None
        truth, rows = read_truth(entry.json_file), list[dict[str, Any]]()
        for checkpoint in args.checkpoints:
            rows += measured(checkpoint, entry, truth, args)
            result = {"num_images": truth.num_images, "rows": rows}
            write_results(args.json, {**conditions(SCRIPT), **result})
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def scenes(args: argparse.Namespace) -> DatasetEntry:
    """Makes held-out scenes, unless the folder has them."""
    params = QuickstartParams(
        train_scenes=0, val_scenes=args.scenes, train_crops=0, val_crops=0, seed=_SEED
    )
    return build_quickstart_data(args.folder, params=params).scenes_val


def measured(
    checkpoint: Path, entry: DatasetEntry, truth: TruthBoxes, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Returns a row for each setting: AP, and what the setting scores above the exact detector."""
    exact = found_boxes(checkpoint, entry, EXACT, args)
    rows = []
    for words in args.settings:
        under = found_boxes(checkpoint, entry, words, args)
        found = compare(
            truth, (exact, under), (EXACT, words), Options(None, _SAMPLES, 0.95), num_images=0
        )
        row = {"detector": name_of(checkpoint), "setting": words}
        row["ap"] = {EXACT: ap_of(exact, truth), "setting": ap_of(under, truth)}
        row["differences"] = [asdict(one) for one in found.differences[:3]]
        print(f"{row['detector']}, {words}: {found.sentence}", flush=True)
        rows.append(row)
    return rows


def found_boxes(
    checkpoint: Path, entry: DatasetEntry, words: str, args: argparse.Namespace
) -> Path:
    """Runs a detector under a setting, and returns its results file.

    Raises:
        UserError: it could not be run; the reason has been printed.
    """
    output = args.folder / name_of(checkpoint) / words.replace(" ", "_")
    predict = ["predict", str(checkpoint), str(entry.image_root), "-o", str(output)]
    predict += ["--annotations", str(entry.json_file), "--save", "json", "--engine", "portable"]
    predict += ["--acceleration", words, "--batch-size", str(_BATCH), "--device", args.device]
    if resnext_det(predict) != 0:
        raise UserError(f"{checkpoint}: could not be run under {words!r}")
    return output / "coco_instances_results.json"


def name_of(checkpoint: Path) -> str:
    """Returns the name of the folder that it lies in, its run's."""
    return checkpoint.resolve().parent.name


def ap_of(results: Path, truth: TruthBoxes) -> dict[str, float]:
    """Returns AP, AP50 and AP75 in percent."""
    once = np.ones((1, truth.num_images), dtype=np.int64)
    (scores,) = average_precision(match_detections(truth, read_rows(results, truth)), once)
    names = metric_names(truth.class_names)
    return {name: float(scores[names.index(name)]) for name in ("AP", "AP50", "AP75")}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="AP under acceleration")
    add = parser.add_argument
    add("checkpoints", nargs="+", type=Path, metavar="CKPT", help="each in a folder of its own")
    add("--json", type=Path, required=True)
    add("--folder", type=Path, required=True, help="takes scenes and predictions")
    add("--test-data", metavar="NAME=JSON:IMAGES", help="instead of scenes")
    add("--scenes", type=int, default=1500, metavar="N")
    add("--settings", nargs="+", default=SETTINGS, metavar="WORDS", help="each in quotes")
    add("--device", default="cpu", help="cpu, cuda, …")
    args = parser.parse_args(argv)
    names = list(map(name_of, args.checkpoints))
    if len(set(names)) < len(names):
        parser.error("two checkpoints lie in folders of one name: rename one of the folders")
    return args


if __name__ == "__main__":
    sys.exit(main())
