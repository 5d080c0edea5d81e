"""What decoding every image tells: missing, broken, turned, of another size. Engine-neutral."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

from resnext_det.data.checking.findings import CheckKind, Finding
from resnext_det.data.checking.image_facts import ImageFacts
from resnext_det.data.checking.readers import NOT_OPENED
from resnext_det.data.checking.subjects import CheckedSet, SetImage

_TURNS = {
    2: "mirrored",
    3: "turned by 180°",
    4: "mirrored upside down",
    5: "mirrored and turned by 90°",
    6: "turned by 90°",
    7: "mirrored and turned by 270°",
    8: "turned by 270°",
}


def image_findings(checked: CheckedSet) -> Iterator[Finding]:
    """Yields what is to be said of the images of a set, in their order."""
    for image, facts in zip(checked.images, checked.facts, strict=True):
        for kind, reason, advice in _of_image(image, facts, str(checked.entry.image_root)):
            where = f"image {image.name}"
            if image.image_id is not None:
                where += f" (id {image.image_id})"
            yield Finding(
                checked.name, kind.value, where, reason, advice, image.name, image.image_id
            )


def _of_image(
    image: SetImage, facts: ImageFacts, folder: str
) -> Iterator[tuple[CheckKind, str, str]]:
    if facts.missing:
        yield CheckKind.IMAGE_MISSING, f"is not in {folder}", "put it there, or take its entry out"
        return
    if facts.error == NOT_OPENED:  # is told of its name
        return
    if facts.error:
        yield CheckKind.IMAGE_BROKEN, facts.error, "put an intact image in its place"
        return
    found = (facts.height, facts.width)
    turn = _TURNS.get(facts.orientation)
    if image.size is not None and image.size != found:
        said = f"is {found[1]}x{found[0]}, but the annotation file says "
        said += f"{image.size[1]}x{image.size[0]} (width x height, after EXIF rotation)"
        sideways = image.size == found[::-1] and turn is not None
        advice = "turn the boxes, or take the orientation out of the file" if sideways else ""
        yield CheckKind.IMAGE_OTHER_SIZE, said, advice or "mend the size and see to the boxes"
    elif turn is not None:
        reason = f"is {turn} by its EXIF orientation {facts.orientation} before its boxes are used"
        yield CheckKind.IMAGE_TURNED, reason, "see whether its boxes were drawn on it upright"


def unnamed_images(sets: Sequence[CheckedSet]) -> Iterator[Finding]:
    """Yields images that lie in a set's folder and that no set with this folder names.

    Published sets are left out: several of them share a folder, some of them not checked here.
    """
    folders = {}
    for checked in sets:
        if checked.is_detection and not checked.entry.published and checked.images:
            folders.setdefault(checked.entry.image_root.resolve(), []).append(checked)
    for folder, sharing in folders.items():
        named = {os.path.normpath(image.name) for checked in sharing for image in checked.images}
        for name in _images_below(folder):
            if name not in named:
                yield Finding(
                    sharing[0].name,
                    CheckKind.IMAGE_UNNAMED.value,
                    f"image {name}",
                    f"is in {sharing[0].entry.image_root}, but no annotation file names it",
                    image=name,
                )


def _images_below(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(IMG_EXTENSIONS):
                yield os.path.normpath(os.path.relpath(os.path.join(root, name), folder))
