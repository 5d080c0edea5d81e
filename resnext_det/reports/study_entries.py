"""Differences, PR curves and pictures of a study's result JSON. Engine-neutral."""

import re
from dataclasses import dataclass

from resnext_det.reports.json_values import Entry, MalformedError, number

VERDICTS = ("larger", "smaller", "not told apart")
_IMAGE = re.compile(r"data:image/(jpeg|png);base64,[A-Za-z0-9+/]+=*")


@dataclass(frozen=True)
class StudyDifference:
    """What a second model scores above a first, over the seeds and images of a study.

    Attributes:
        first: label of the model that is subtracted.
        second: label of the model it is subtracted from.
        metric: key of the rows' metrics.
        value: second minus first, percent points; None where either has no ground truth.
        low: lower end of the bootstrap interval.
        high: upper end of it.
        confidence: of both intervals, 0 … 1.
        num_images: images that were drawn from.
        num_seeds: seeds that were drawn from.
        per_seed: each seed's own difference.
        t_low: lower end of Student's t interval of `per_seed`; None with one seed.
        t_high: upper end of it.
        verdict: one of `VERDICTS`; None with one seed.
        text: a plain sentence.
    """

    first: str
    second: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    confidence: float
    num_images: int | None
    num_seeds: int | None
    per_seed: tuple[float, ...]
    t_low: float | None
    t_high: float | None
    verdict: str | None
    text: str

    @property
    def one_seed(self) -> bool:
        """Whether one network of each was compared, which says nothing of architectures."""
        return self.num_seeds == 1 or (self.num_seeds is None and len(self.per_seed) == 1)

    @property
    def drawn(self) -> str:
        """What the bootstrap draws again: one seed is the same in every draw."""
        return "images" if self.one_seed else "images and seeds"


@dataclass(frozen=True)
class PrecisionCurve:
    """Precision over recall of one row of the table, mean over its seeds.

    Attributes:
        model: of the row.
        pretrained: of the row.
        note: of the row.
        iou: "0.5", "0.75", or "mean" over IoU 0.5 … 0.95.
        recall: 0 … 1.
        precision: as many, 0 … 1.
        low: the seeds' lowest; empty with one seed.
        high: the seeds' highest.
    """

    model: str
    pretrained: bool | None
    note: str
    iou: str
    recall: tuple[float, ...]
    precision: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class StudyBox:
    """A named box: x, y, w, h in pixels of the image; `score` 0 … 1, None of ground truth."""

    bbox: tuple[float, float, float, float]
    name: str
    score: float | None


@dataclass(frozen=True)
class PictureSide:
    """What one trained detector found; `score` is the image's, in percent, or None."""

    model: str
    seed: int | None
    score: float | None
    boxes: tuple[StudyBox, ...]


@dataclass(frozen=True)
class StudyPicture:
    """An image, its ground truth and what two detectors found.

    Attributes:
        file_name: of the image.
        width: in pixels, as boxes count them.
        height: in pixels.
        address: a data: address; None where the image must not be passed on.
        truth: the ground truth.
        sides: two detectors.
    """

    file_name: str
    width: float
    height: float
    address: str | None
    truth: tuple[StudyBox, ...]
    sides: tuple[PictureSide, ...]


def read_difference(entry: Entry) -> StudyDifference:
    """Reads one of "differences".

    Raises:
        MalformedError: a value is missing or of another kind.
    """
    verdict = entry.value.get("verdict")
    if verdict is not None and verdict not in VERDICTS:
        expected = ", ".join(f"{word!r}" for word in VERDICTS)
        raise MalformedError(f"{entry.place('verdict')} is none of {expected}, null")
    return StudyDifference(
        first=entry.text("first"),
        second=entry.text("second"),
        metric=entry.text("metric"),
        value=entry.maybe_number("value"),
        low=entry.maybe_number("low"),
        high=entry.maybe_number("high"),
        confidence=entry.number("confidence"),
        num_images=entry.maybe_count("num_images"),
        num_seeds=entry.maybe_count("num_seeds"),
        per_seed=entry.numbers("per_seed"),
        t_low=entry.maybe_number("t_low"),
        t_high=entry.maybe_number("t_high"),
        verdict=verdict,
        text=entry.text("text", ""),
    )


def read_precision_recall(entry: Entry) -> tuple[PrecisionCurve, ...]:
    """Reads "precision_recall".

    Raises:
        MalformedError: a value is missing or of another kind, or lengths differ.
    """
    recall = entry.numbers("recall")
    return tuple(_precision_curve(curve, recall) for curve in entry.entries("curves"))


def read_picture(entry: Entry) -> StudyPicture:
    """Reads one of "pictures".

    Raises:
        MalformedError: a value is missing or of another kind, or the image is not in the file.
    """
    address = entry.text("address", "") or None
    if address is not None and not _IMAGE.fullmatch(address):
        # The page stands alone: an address elsewhere would fetch something when it is opened.
        raise MalformedError(f"{entry.place('address')} is no JPEG or PNG as a data: address")
    width, height = entry.number("width"), entry.number("height")
    if min(width, height) <= 0:
        raise MalformedError(f"{entry.where} is {width:g}x{height:g} pixels")
    return StudyPicture(
        file_name=entry.text("file_name"),
        width=width,
        height=height,
        address=address,
        truth=tuple(map(_box, entry.entries("truth"))),
        sides=tuple(map(_side, entry.entries("sides"))),
    )


def _precision_curve(entry: Entry, recall: tuple[float, ...]) -> PrecisionCurve:
    lines = {key: entry.numbers(key) for key in ("precision", "low", "high")}
    for key, values in lines.items():
        if (values or key == "precision") and len(values) != len(recall):
            raise MalformedError(
                f"{entry.place(key)} has {len(values)} values, recall has {len(recall)}"
            )
        if any(not 0 <= value <= 1 for value in values):
            raise MalformedError(f"{entry.place(key)} is not within 0 … 1")
    iou = entry.required("iou")
    return PrecisionCurve(
        model=entry.text("model"),
        pretrained=maybe_bool(entry, "pretrained"),
        note=entry.text("note", ""),
        iou=iou if isinstance(iou, str) else f"{number(iou, entry.place('iou')):g}",
        recall=recall,
        **lines,
    )


def maybe_bool(entry: Entry, key: str) -> bool | None:
    """Returns true or false, or None where it is absent or null.

    Raises:
        MalformedError: it is something else.
    """
    value = entry.value.get(key)
    if value is not None and not isinstance(value, bool):
        raise MalformedError(f"{entry.place(key)} is neither true nor false nor null")
    return value


def _side(entry: Entry) -> PictureSide:
    return PictureSide(
        model=entry.text("model"),
        seed=entry.maybe_count("seed"),
        score=entry.maybe_number("score"),
        boxes=tuple(map(_box, entry.entries("boxes"))),
    )


def _box(entry: Entry) -> StudyBox:
    bbox = entry.numbers("bbox")
    if len(bbox) != 4:
        raise MalformedError(f"{entry.place('bbox')} is not x, y, w, h")
    x, y, width, height = bbox
    return StudyBox((x, y, width, height), entry.text("name", ""), entry.maybe_number("score"))
