"""Where the sample images of a page are read from, if it has any. Engine-neutral.

A study holds small copies of its images. One older than that names a folder, which may be any of
the reader's where the file is a stranger's: pictures of it would be in a page that is passed on.
"""

from dataclasses import dataclass
from pathlib import Path

from resnext_det.data.file_names import leaves_folder, shown_name
from resnext_det.reports.study import Study


@dataclass(frozen=True)
class SampleSource:
    """What a study names, beside its rows.

    Attributes:
        annotations: the annotation file.
        images: the folder of its images.
        refused: why nothing is read there; empty where it is.
    """

    annotations: Path
    images: Path
    refused: str = ""


def sample_source(study: Study, *, trusted: bool = False) -> SampleSource | None:
    """Returns where sample images are read from; None where the page has none.

    Args:
        study: the study.
        trusted: whether it may name folders outside its own.
    """
    annotations, images = study.file("annotations"), study.file("images")
    if study.pictures or any(row.curves for row in study.rows):
        return None
    if annotations is None or images is None or not annotations.exists():
        return None
    runs = [row.run for row in study.rows if row.run is not None]
    away = [path for path in (images, annotations, *runs) if _leaves(study.path.parent, path)]
    if trusted or not away:
        return SampleSource(annotations, images)
    name = shown_name(str(away[0]))
    return SampleSource(annotations, images, f"{name} is outside the folder of {study.path.name}")


def _leaves(folder: Path, path: Path) -> bool:
    """Links below the folder are its owner's business, as below a folder of images."""
    if not path.is_relative_to(folder):
        return True
    return leaves_folder(str(path.relative_to(folder)))
