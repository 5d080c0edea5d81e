"""Ground truth and two detectors' boxes side by side, as SVG elements. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from resnext_det.evaluation.name_places import Area, free_area
from resnext_det.reports.study_entries import StudyBox, StudyPicture
from resnext_det.reports.svg import shortened

SCORE_THRESH = 0.5  # boxes scored below it are not drawn
_UNIT = 400.0  # the longer side of every panel, so that lines and names are of one size
_TEXT = 15.0
_WIDTH_OF_LETTER = 0.56  # of the text's height: an average of sans-serif faces


@dataclass(frozen=True)
class Panel:
    """One picture of a row: its SVG, what stands below it, and words for who does not see it."""

    svg: Markup
    caption: str
    words: str


def panels(picture: StudyPicture, number: int) -> list[Panel]:
    """Returns the ground truth's panel, then one of each side.

    The image is in the page once: the first panel holds it, the others use it.

    Args:
        picture: of a study.
        number: of the picture on the page, for its id.
    """
    scale = _UNIT / max(picture.width, picture.height)
    size = picture.width * scale, picture.height * scale
    ident = f"picture-{number}"
    truth = _boxes([(picture.truth, "truth")], scale, size)
    shown = [
        Panel(
            _svg(size, _ground(picture, size, ident), truth), "ground truth", _words(picture.truth)
        )
    ]
    for side in picture.sides:
        boxes = [box for box in side.boxes if box.score is None or box.score >= SCORE_THRESH]
        ground = Markup('<use href="#{}"/>').format(ident)
        caption = side.model if side.seed is None else f"{side.model}, seed {side.seed}"
        if side.score is not None:
            caption += f": F1 {side.score:.0f} %"
        drawn = _outlines(picture.truth, scale) + _boxes([(boxes, "found")], scale, size)
        shown.append(Panel(_svg(size, ground, drawn), caption, _words(boxes)))
    return shown


def marked_panel(
    picture: StudyPicture, number: int, marked: Sequence[StudyBox], caption: str
) -> Panel:
    """Returns one panel with the ground truth, and some boxes over it in another colour.

    Args:
        picture: an image and its ground truth.
        number: of the picture on the page, for its id.
        marked: what is drawn over it.
        caption: what stands below it.
    """
    scale = _UNIT / max(picture.width, picture.height)
    size = picture.width * scale, picture.height * scale
    drawn = _boxes([(picture.truth, "truth"), (marked, "found")], scale, size)
    ground = _ground(picture, size, f"picture-{number}")
    return Panel(_svg(size, ground, drawn), caption, _words([*picture.truth, *marked]))


def judged_panel(
    picture: StudyPicture,
    number: int,
    objects: Sequence[StudyBox],
    wrong: Sequence[StudyBox],
    caption: str,
) -> Panel:
    """Returns one panel with all that was sought dashed, and what it is about in full lines.

    Args:
        picture: an image and its ground truth.
        number: of the picture on the page, for its id.
        objects: of the ground truth, that a detection was meant for or that were not found.
        wrong: detections.
        caption: what stands below it.
    """
    scale = _UNIT / max(picture.width, picture.height)
    size = picture.width * scale, picture.height * scale
    drawn = _outlines(picture.truth, scale)
    drawn += _boxes([(objects, "truth"), (wrong, "found")], scale, size)
    ground = _ground(picture, size, f"picture-{number}")
    return Panel(_svg(size, ground, drawn), caption, _words([*objects, *wrong]))


def _svg(size: tuple[float, float], ground: Markup, drawn: Markup) -> Markup:
    return Markup('<svg viewBox="0 0 {:.0f} {:.0f}" class="panel">{}{}</svg>').format(
        *size, ground, drawn
    )


def _ground(picture: StudyPicture, size: tuple[float, float], ident: str) -> Markup:
    """Returns the image, or where it must not be passed on an empty ground, with an id."""
    place = Markup('id="{}" width="{:.2f}" height="{:.2f}"').format(ident, *size)
    if picture.address is None:
        return Markup('<rect {} class="empty"/>').format(place)
    return Markup('<image {} preserveAspectRatio="none" href="{}"/>').format(place, picture.address)


def _outlines(boxes: Sequence[StudyBox], scale: float) -> Markup:
    """Returns thin dashed boxes: what was to be found."""
    return Markup("").join(
        Markup('<rect class="sought" {}/>').format(_place(box, scale)) for box in boxes
    )


def _boxes(
    groups: Sequence[tuple[Sequence[StudyBox], str]], scale: float, size: tuple[float, float]
) -> Markup:
    """Returns boxes and, over all lines, those names that cover no other.

    Args:
        groups: boxes and their kind, "truth" or "found"; later ones lie above earlier ones.
        scale: from the image to the panel.
        size: of the panel.
    """
    lines, names = Markup(""), Markup("")
    for boxes, kind in groups:
        lines += Markup("").join(
            Markup('<rect class="halo" {0}/><rect class="{1}" {0}/>').format(
                _place(box, scale), kind
            )
            for box in boxes
        )
    taken: list[Area] = []
    for boxes, kind in reversed(groups):
        # The surest first: where there is no room for all, theirs are read.
        for box in sorted(boxes, key=lambda b: -(b.score or 0)):
            name = shortened(box.name, 18)
            text = name if box.score is None else f"{name} {100 * box.score:.0f}"
            place = _room(box, text, scale, size, taken)
            if text and place is not None:
                taken.append(place)
                names += _name(text, place, kind)
    return lines + names


def _place(box: StudyBox, scale: float) -> Markup:
    x, y, width, height = (side * scale for side in box.bbox)
    return Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"').format(
        x, y, max(1.0, width), max(1.0, height)
    )


def _room(
    box: StudyBox,
    text: str,
    scale: float,
    size: tuple[float, float],
    taken: Sequence[Area],
) -> Area | None:
    """Returns the place of a name above, in or below its box, or None where there is no room."""
    x, y, width, height = (side * scale for side in box.bbox)
    name = len(text) * _TEXT * _WIDTH_OF_LETTER + 6, _TEXT + 4
    return free_area((x, y, width, height), name, size, taken)


def _name(text: str, place: Area, kind: str) -> Markup:
    x, y, width, height = place
    return Markup(
        '<rect class="{kind} name" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        'height="{height:.1f}"/><text x="{left:.1f}" y="{base:.1f}" textLength="{length:.1f}" '
        'lengthAdjust="spacingAndGlyphs">{text}</text>'
    ).format(
        kind=kind,
        x=x,
        y=y,
        width=width,
        height=height,
        left=x + 3,
        base=y + _TEXT,
        length=width - 6,
        text=text,
    )


def _words(boxes: Sequence[StudyBox]) -> str:
    names = [box.name for box in boxes]
    counts = [f"{names.count(name)} {name}" for name in dict.fromkeys(names)]
    return ", ".join(counts) or "no box"
