"""Proves that an exported detector is the one it was made from. Engine-neutral."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch

from resnext_det.data.catalog import parse_data_argument
from resnext_det.data.coco import CocoDataset, load_coco
from resnext_det.data.opened_image import Pixels
from resnext_det.errors import UserError, few
from resnext_det.evaluation.coco_ap import evaluate_boxes
from resnext_det.evaluation.coco_input import ground_truth_of
from resnext_det.evaluation.results_json import detections_to_coco
from resnext_det.export.comparison import Differences, compare
from resnext_det.export.formats import FixedShape
from resnext_det.export.pictures import in_batches, scaled_to
from resnext_det.export.runtimes import Runner
from resnext_det.export.source import ExportSource
from resnext_det.export.ties import Ties
from resnext_det.inference.images import read_pixels
from resnext_det.structures import Detections

MOST_TIED = 0.02
"""Of the boxes, that may be chosen otherwise between near ties; one may in any case."""


@dataclass(frozen=True)
class Tolerances:
    """What an export may differ by.

    Attributes:
        box: largest difference of a coordinate, pixels.
        score: largest difference of a score.
        ap: AP that may be lost, percent.
    """

    box: float
    score: float
    ap: float


@dataclass(frozen=True)
class AveragePrecisions:
    """AP on a test set, percent; None where it has no ground truth.

    Attributes:
        name: of the test set.
        images: their number.
        checkpoint: of the detector in the checkpoint.
        export: of the exported one.
    """

    name: str
    images: int
    checkpoint: float | None
    export: float | None

    @property
    def lost(self) -> float:
        """What the exported one has less, percent."""
        return (self.checkpoint or 0.0) - (self.export or 0.0)


@dataclass(frozen=True)
class Proof:
    """What came of running an export beside its checkpoint.

    Attributes:
        runtime: what ran it, with its version.
        differences: of the boxes.
        precisions: of AP, where a test set was given.
    """

    runtime: str
    differences: Differences
    precisions: AveragePrecisions | None

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON takes it."""
        return asdict(self)

    def box_problems(self, tolerances: Tolerances) -> list[str]:
        """Returns what speaks against it being the same detector, each as part of a sentence."""
        found = self.differences
        problems = []
        if found.matched == 0 and found.unmatched == 0:
            problems.append("nothing was found in the images, so nothing is proven: give others")
        if found.unmatched:
            problems.append(f"{found.unmatched} boxes are found by one of the two only")
        if found.box > tolerances.box:
            problems.append(f"a box differs by {found.box:.3g} px (--tolerance {tolerances.box:g})")
        if found.score > tolerances.score:
            problems.append(
                f"a score differs by {found.score:.3g} (--score-tolerance {tolerances.score:g})"
            )
        if found.tied > max(1.0, MOST_TIED * found.matched):
            problems.append(
                f"{found.tied} boxes beside {found.matched} are chosen otherwise, more than "
                "near ties explain"
            )
        return problems

    def ap_problems(self, tolerances: Tolerances) -> list[str]:
        """Returns the same of AP."""
        if self.precisions is None or self.precisions.lost <= tolerances.ap:
            return []
        lost = self.precisions.lost
        return [
            f"{lost:.2f} AP are lost on {self.precisions.name} (--ap-tolerance {tolerances.ap:g})"
        ]


def prove(
    source: ExportSource,
    run: Runner,
    runtime: str,
    pictures: list[Pixels],
    *,
    fixed: FixedShape | None = None,
    tolerances: Tolerances,
    test_set: CocoDataset | None = None,
    with_ties: bool = True,
) -> Proof:
    """Runs both detectors on the same images.

    Args:
        source: the detector that was exported.
        run: the exported one.
        runtime: its runtime's name.
        pictures: (H, W, 3) uint8 RGB each, at least one.
        fixed: the one shape that it takes.
        tolerances: what counts as no difference.
        test_set: to compare AP on.
        with_ties: count apart what is chosen otherwise between near ties; see `Ties`.
    """
    batches = in_batches(pictures, fixed)
    expected = [found for batch in batches for found in source.detector.detect(batch)]
    found = [found for batch in batches for found in run(batch)]
    shown = [pixels for batch in batches for pixels in batch]
    ties = Ties(
        box=tolerances.box,
        score=tolerances.score,
        nms_thresh=float(source.cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST),
        candidates=lambda place: source.candidates(shown[place]),
    )
    differences = compare(
        expected,
        found,
        score_thresh=source.score_thresh,
        most=source.cfg.TEST.DETECTIONS_PER_IMAGE,
        margin=tolerances.score,
        ties=ties if with_ties else None,
    )
    precisions = None if test_set is None else _precisions(source, run, fixed, test_set)
    return Proof(runtime, differences, precisions)


def read_test_set(text: str, class_names: Sequence[str]) -> CocoDataset:
    """Reads `NAME=annotations.json:images/`.

    Raises:
        UserError: it is no such set, or its classes are not the detector's.
    """
    entry = parse_data_argument(text)
    if entry.json_file is None:
        raise UserError(f"--test-data {text}: give NAME=annotations.json:images/")
    dataset = load_coco(entry, training=False)
    if tuple(dataset.class_names) != tuple(class_names):
        raise UserError(
            f"--test-data {entry.name}: its classes are {few(dataset.class_names)} "
            f"({len(dataset.class_names)}), the detector's {few(class_names)} ({len(class_names)})"
        )
    return dataset


def pictures_of_set(dataset: CocoDataset, most: int) -> list[Pixels]:
    """Returns the first images of a test set, (H, W, 3) uint8 RGB each."""
    return [pixels for _, pixels in islice(_images(dataset), most)]


def _precisions(
    source: ExportSource, run: Runner, fixed: FixedShape | None, dataset: CocoDataset
) -> AveragePrecisions:
    runs: Mapping[str, Runner] = {"checkpoint": source.detector.detect, "export": run}
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for image_id, pixels in _images(dataset):
        for name, detect in runs.items():
            found = _found(detect, pixels, fixed)
            records[name] += detections_to_coco(found, image_id, dataset.category_ids)
    assert dataset.entry.json_file is not None
    truth = ground_truth_of(dataset.entry.json_file, dataset.truth)
    scores = {name: evaluate_boxes(truth, rows)["AP"] for name, rows in records.items()}
    return AveragePrecisions(dataset.entry.name, len(dataset.records), **scores)


def _images(dataset: CocoDataset) -> Iterator[tuple[int | str, Pixels]]:
    for record in dataset.records:
        yield record.image_id, read_pixels(record.file_name)


def _found(detect: Runner, pixels: Pixels, fixed: FixedShape | None) -> Detections:
    """Returns what is found in an image, in its own pixels."""
    if fixed is None:
        return detect([pixels])[0]
    found = detect([scaled_to(pixels, fixed)] * fixed.number)[0]
    height, width = pixels.shape[:2]
    scale = torch.tensor([width / fixed.width, height / fixed.height]).repeat(2)
    return Detections(found.boxes * scale, found.scores, found.classes)
