"""Detections as other libraries' objects. Engine-neutral."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from resnext_det.errors import UserError
from resnext_det.structures import Detections

if TYPE_CHECKING:
    import pandas as pd  # pyright: ignore[reportMissingImports]
    import supervision as sv  # pyright: ignore[reportMissingImports]

BOX_COLUMNS = ("x0", "y0", "x1", "y1")
COLUMNS = ("image", "class", "class_name", "score", *BOX_COLUMNS)


def to_supervision(detections: Detections) -> "sv.Detections":
    """Returns one image's detections as supervision's, which tracks, counts and draws them.

    Args:
        detections: from a `Detector`.

    Returns:
        xyxy (R, 4) float32, confidence (R,) float32, class_id (R,) int64, and
        data["class_name"], (R,) text.

    Raises:
        UserError: supervision is not installed.
    """
    try:
        import supervision as sv  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise _not_installed("supervision") from error
    return sv.Detections(
        xyxy=detections.boxes.cpu().numpy(),
        confidence=detections.scores.cpu().numpy(),
        class_id=detections.classes.cpu().numpy(),
        data={"class_name": np.array(names_of(detections), dtype=np.str_)},
    )


def to_pandas(
    detections: Detections | Sequence[Detections], images: Sequence[Any] | None = None
) -> "pd.DataFrame":
    """Returns the detections of one image or of several as a table, a row for each box.

    Args:
        detections: from a `Detector`.
        images: what the column "image" says of each, such as its path; by default its place.

    Returns:
        The columns `COLUMNS`: image, class (int64), class_name, score, x0, y0, x1, y1 (float32,
        pixels); best first within an image.

    Raises:
        UserError: pandas is not installed, or `images` names another number of them.
    """
    try:
        import pandas as pd  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise _not_installed("pandas") from error
    several = [detections] if isinstance(detections, Detections) else list(detections)
    names = list(range(len(several))) if images is None else list(images)
    if len(names) != len(several):
        raise UserError(f"{len(names)} images are named, but {len(several)} have detections")
    if not several:
        return pd.DataFrame({name: [] for name in COLUMNS})
    tables = [_table(pd, *pair) for pair in zip(names, several, strict=True)]
    return pd.concat(tables, ignore_index=True)


def names_of(detections: Detections) -> list[str]:
    """Returns the name of each box's class; "class 3" where names are not known."""
    known = detections.class_names
    return [known[i] if known else f"class {i}" for i in detections.classes.tolist()]


def _table(pd: Any, image: Any, detections: Detections) -> "pd.DataFrame":
    boxes = detections.boxes.cpu().numpy()
    columns = {
        "image": [image] * len(boxes),
        "class": detections.classes.cpu().numpy(),
        "class_name": names_of(detections),
        "score": detections.scores.cpu().numpy(),
        **{name: boxes[:, place] for place, name in enumerate(BOX_COLUMNS)},
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _not_installed(package: str) -> UserError:
    return UserError(
        f"{package} is not installed: pip install {package} (or 'resnext-det[{package}]')"
    )
