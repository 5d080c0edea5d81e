"""Two detectors' results on the same images, with paired intervals. Engine-neutral."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.analysis.analyse import Analysis, Options
from resnext_det.analysis.content import as_json
from resnext_det.evaluation.box_arrays import TruthBoxes, read_rows
from resnext_det.statistics.bootstrap import Draws, PairedDifference, differences_of
from resnext_det.statistics.images import ImageDifference, differences_between
from resnext_det.statistics.matches import match_detections
from resnext_det.statistics.sentences import difference_sentence
from resnext_det.statistics.weighted_ap import average_precision, metric_names


@dataclass(frozen=True)
class Comparison:
    """What the second detector scores above the first.

    Attributes:
        names: of both.
        differences: of AP AP50 AP75 APs APm APl and, with several classes, AP-CLASS; those that
            the data set defines.
        sentence: on AP; empty where there is nothing to find.
        images: those on which they differ most.
    """

    names: tuple[str, str]
    differences: tuple[PairedDifference, ...]
    sentence: str
    images: tuple[ImageDifference, ...]


def compare(
    truth: TruthBoxes,
    results: tuple[Path, Path],
    names: tuple[str, str],
    options: Options,
    *,
    num_images: int,
) -> Comparison:
    """Compares two results files by a paired bootstrap over images.

    Args:
        truth: what both were made for.
        results: of both; the first is subtracted.
        names: of both, for the sentence.
        options: how many samples, at least one; the confidence.
        num_images: how many images are looked for on which they differ.

    Raises:
        UserError: a file is missing, malformed, or of another data set; there is no sample.
    """
    matches = [match_detections(truth, read_rows(path, truth)) for path in results]
    draws = Draws(truth.num_images, 1, options.num_samples)
    weights = draws.image_counts()
    scores = [average_precision(side, weights)[None] for side in matches]  # (1, S + 1, M)
    metrics = metric_names(truth.class_names)
    found = differences_of(metrics, scores[0], scores[1], draws, options.confidence)
    main = next((one for one in found if one.metric == "AP"), None)
    return Comparison(
        names,
        tuple(found),
        difference_sentence(main, *names) if main is not None else "",
        tuple(differences_between(truth, matches[0], matches[1], num_images)),
    )


def comparison_json(found: Comparison, sides: tuple[Analysis, Analysis]) -> dict[str, Any]:
    """Returns both analyses, and what lies between them."""
    return {
        "sentence": found.sentence,
        "first": {"name": found.names[0], **as_json(sides[0])},
        "second": {"name": found.names[1], **as_json(sides[1])},
        "differences": [_difference(one) for one in found.differences],
        "error_costs": _costs(sides),
        "images": [
            {"image_id": one.image_id, "first": one.first, "second": one.second}
            for one in found.images
        ],
    }


def _difference(one: PairedDifference) -> dict[str, Any]:
    keys = ("metric", "value", "low", "high", "confidence", "num_images")
    return {key: getattr(one, key) for key in keys}


def _costs(sides: tuple[Analysis, Analysis]) -> dict[str, Any]:
    """Returns what each kind of error costs the second more than the first."""
    first, second = (as_json(side)["errors"]["costs"] for side in sides)
    return {
        kind: None if first[kind] is None else float(np.subtract(second[kind], first[kind]))
        for kind in first
    }
