"""A check of data sets, from their names to everything that was found. Engine-neutral."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.checking.findings import Finding
from resnext_det.data.checking.geometry import Geometry
from resnext_det.data.checking.image_findings import image_findings, unnamed_images
from resnext_det.data.checking.image_pass import look_at_all
from resnext_det.data.checking.open_sets import open_set
from resnext_det.data.checking.set_facts import SetFacts, set_facts
from resnext_det.data.checking.set_findings import (
    class_findings,
    nothing_to_train,
    object_findings,
    twin_findings,
)
from resnext_det.data.checking.subjects import CheckedSet
from resnext_det.data.checking.twins import Twin, find_twins
from resnext_det.data.coco_boxes import has_valid_outline
from resnext_det.data.coco_problems import Problem, ProblemKind
from resnext_det.data.coco_survey import survey
from resnext_det.data.coco_values import is_outline
from resnext_det.data.needs import BOXES, Needs
from resnext_det.errors import UserError

_DROPPED = {
    ProblemKind.BOX_SIZE,
    ProblemKind.BOX_OUTSIDE,
    ProblemKind.BOX_OVERHANG,
    ProblemKind.POLYGON_POINTS,
}
_DETECTIONS = 100  # kept of an image by default, and scored (pycocotools, Params.maxDets)


@dataclass(frozen=True)
class CheckOptions:
    """What a config says about the sets.

    Attributes:
        needs: what its detector reads beside boxes.
        geometry: its resize and anchors; None without a config.
        drop_bad_boxes: `DATASETS.DROP_BAD_BOXES`.
        trust_file_names: `DATASETS.TRUST_FILE_NAMES`.
        processes: how many decode images; None: as many as there are processors.
    """

    needs: Needs = BOXES
    geometry: Geometry | None = None
    drop_bad_boxes: bool = False
    trust_file_names: bool = False
    processes: int | None = None

    def drops(self, entry: DatasetEntry) -> bool:
        """Returns whether a run leaves unusable boxes of a set out."""
        return self.drop_bad_boxes or entry.published


@dataclass(frozen=True)
class CheckResult:
    """Everything that was found.

    Attributes:
        sets: as they were opened; the first is taken as the one that is trained on.
        facts: the histograms of each.
        findings: set by set, in a fixed order.
        twins: pictures that are there twice.
    """

    sets: tuple[CheckedSet, ...]
    facts: tuple[SetFacts, ...]
    findings: tuple[Finding, ...]
    twins: tuple[Twin, ...]

    @property
    def num_problems(self) -> int:
        """How many findings are more than notes."""
        return sum(finding.is_problem for finding in self.findings)


def check_sets(
    entries: Sequence[DatasetEntry],
    options: CheckOptions = CheckOptions(),
) -> CheckResult:
    """Opens the sets, decodes every image once, and compares them.

    Args:
        entries: where they lie; the first is taken as the one that is trained on.
        options: what a config says about them.

    Raises:
        UserError: a file or folder is not there, or sets for detection and for classification
            stand side by side.
    """
    tasks = {entry.json_file is None for entry in entries}
    if len(tasks) > 1:
        raise UserError(
            "a set with an annotation file and one without cannot be compared: check the sets of "
            "detection and of classification one after the other"
        )
    opened = [open_set(e, trust_file_names=options.trust_file_names) for e in entries]
    sets = tuple(checked for checked, _ in opened)
    for checked in sets:
        checked.facts = look_at_all(
            checked.reader, f"decoding {checked.name}", processes=options.processes
        )
    facts = tuple(set_facts(checked, options.geometry) for checked in sets)
    twins = tuple(find_twins([checked.facts for checked in sets]))
    most = options.geometry.detections_per_image if options.geometry else _DETECTIONS
    findings = []
    for number, (checked, said) in enumerate(opened):
        findings += said
        findings += annotation_findings(checked, options, training=number == 0)
        findings += image_findings(checked)
        findings += object_findings(checked, most)
        # A published set may be one of test images, whose objects are not given.
        if number == 0 and not checked.entry.published:
            findings += nothing_to_train(checked)
    findings += unnamed_images(sets)
    findings += class_findings(sets, facts)
    findings += twin_findings(sets, twins)
    return CheckResult(sets, facts, tuple(findings), twins)


def annotation_findings(
    checked: CheckedSet, options: CheckOptions, *, training: bool
) -> Iterator[Finding]:
    """Yields what `load_coco` would refuse; of what it would drop, notes."""
    path = checked.entry.json_file
    if path is None or not checked.is_read:
        return
    names = {image.image_id: image.name for image in checked.images}
    for slip in checked.slips:
        image = names.get(slip.image_id, "")
        yield Finding(
            checked.name, slip.kind.value, slip.where, slip.reason, "", image, slip.image_id
        )
    content = _with_annotations(checked, training=training)
    for problem in survey(path.name, content, training=training, needs=options.needs):
        if problem.kind == ProblemKind.BOX_CORNERS and checked.entry.published:
            continue
        trusted = options.trust_file_names and problem.kind == ProblemKind.FILE_NAME_LEAVES
        yield Finding(
            checked.name,
            problem.kind.value,
            problem.where,
            problem.reason,
            "" if trusted else _advice(problem),
            names.get(problem.image_id, ""),
            problem.image_id,
            tolerated=trusted or (options.drops(checked.entry) and problem.kind in _DROPPED),
        )
    if not options.needs.masks:
        yield from _unoutlined(checked)


def _advice(problem: Problem) -> str:
    if problem.kind == ProblemKind.FILE_NAME_LEAVES:
        return f"{problem.advice}; this check then takes --trust-file-names"
    return problem.advice


def _unoutlined(checked: CheckedSet) -> Iterator[Finding]:
    """Yields annotations that a detector of boxes leaves out for their polygons."""
    assert checked.objects.rows is not None
    rows = checked.objects.rows.tolist()
    annotations = [checked.content["annotations"][row] for row in rows]
    annotations = [a for a in annotations if is_outline(a.get("segmentation"))]
    for annotation, outlined in zip(annotations, has_valid_outline(annotations), strict=True):
        if not outlined:
            yield Finding(
                checked.name,
                ProblemKind.POLYGON_POINTS.value,
                f"annotation {annotation.get('id')}",
                "has polygons of fewer than three points or an odd number of values alone, and is "
                "left out, as Detectron2 does",
                "leave its 'segmentation' out to have its box used, as --fix does",
                image_id=annotation["image_id"],
                tolerated=True,
            )


def _with_annotations(checked: CheckedSet, *, training: bool) -> Any:
    """COCO's files of test images have no annotations, and need none."""
    content = checked.content
    if isinstance(content, dict) and (checked.entry.published or not training):
        return {"annotations": [], **content}
    return content
