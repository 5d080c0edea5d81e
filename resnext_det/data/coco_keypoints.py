"""The keypoints of a COCO annotation file and their names, checked. Engine-neutral."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.coco_checks import absent
from resnext_det.data.coco_problems import Problem, ProblemKind, refuse_first

_MEND = "use a set with keypoints, or set MODEL.KEYPOINT_ON False"
_HUGE = 1e30
_OTHER_SIDE = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}


@dataclass(frozen=True)
class KeypointNames:
    """The keypoints of a set's objects.

    Attributes:
        names: the K names, in the order of the file.
        mirrored: pairs of names that change places in a mirror image.
    """

    names: tuple[str, ...]
    mirrored: tuple[tuple[str, str], ...]


def read_keypoint_names(path: Path, categories: Sequence[dict[str, Any]]) -> KeypointNames:
    """Reads the names, which every category has to have, and all the same.

    Names that differ in left and right alone ("left_eye", "right_eye") are mirrored pairs.

    Raises:
        UserError: as `keypoint_name_problems` yields.
    """
    refuse_first(path, keypoint_name_problems(categories))
    names = categories[0]["keypoints"]
    others = {name: re.sub("left|Left|LEFT", lambda m: _OTHER_SIDE[m[0]], name) for name in names}
    pairs = [(name, other) for name, other in others.items() if other != name and other in names]
    return KeypointNames(tuple(names), tuple(pairs))


def keypoint_name_problems(categories: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Yields categories without keypoints, with other ones than the first, or with one twice."""
    first: dict[str, Any] | None = None
    for category in categories:
        where = f"category '{category['name']}' (id {category['id']})"
        names = category.get("keypoints")
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            reason = "has no list 'keypoints' of their names, which MODEL.KEYPOINT_ON True needs"
            yield Problem(ProblemKind.KEYPOINT_NAMES, where, reason, _MEND)
            continue
        if len(set(names)) < len(names):
            reason = f"has the keypoint '{_repeated(names)}' twice"
            yield Problem(ProblemKind.KEYPOINT_NAMES, where, reason, "rename one")
        first = first or category
        if names != first["keypoints"]:
            yield Problem(
                ProblemKind.KEYPOINT_NAMES,
                where,
                f"has {len(names)} keypoints {_short(names)}, but '{first['name']}' (id "
                f"{first['id']}) has {len(first['keypoints'])} {_short(first['keypoints'])}: one "
                "detector has the same keypoints for every category",
                "make them alike",
            )


def read_keypoints(
    path: Path,
    annotations: Sequence[dict[str, Any]],
    sizes: Sequence[tuple[int, int]],
    num_keypoints: int,
) -> NDArray[np.float64]:
    """Reads and checks keypoints; a crowd may be without.

    Args:
        path: the annotation file, for messages.
        annotations: A annotations.
        sizes: (height, width) of the image of each.
        num_keypoints: K.

    Returns:
        (A, K, 3): x, y as in the file, and the visibility 0 (not labelled), 1 or 2.

    Raises:
        UserError: as `keypoint_problems` yields.
    """
    refuse_first(path, absent_keypoints(annotations))
    refuse_first(path, keypoint_problems(annotations, sizes, num_keypoints))
    rows = _rows(annotations, num_keypoints)
    return np.array(rows, dtype=np.float64).reshape(-1, num_keypoints, 3)


def absent_keypoints(annotations: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Yields objects without keypoints; a crowd may be without."""
    return absent(
        [annotation for annotation in annotations if not annotation.get("iscrowd")],
        "keypoints",
        (ProblemKind.KEYPOINTS_MISSING, ProblemKind.NO_KEYPOINTS),
        "MODEL.KEYPOINT_ON True",
        mend_all=_MEND,
        mend_some="give it zeros where none is labelled",
    )


def keypoint_problems(
    annotations: Sequence[dict[str, Any]], sizes: Sequence[tuple[int, int]], num_keypoints: int
) -> Iterator[Problem]:
    """Yields annotations with bad keypoints, arguments as of `read_keypoints`.

    Other than K of them; a value that is no number; a visibility that is none; a labelled
    keypoint far outside its image.
    """
    rows = _rows(annotations, num_keypoints)
    sound: list[int] = []
    for place, row in enumerate(rows):
        reason = _flaw(row, num_keypoints)
        if reason is None:
            sound.append(place)
        else:
            yield _problem(ProblemKind.KEYPOINT_VALUES, annotations[place], reason)
    for stray in _strays([rows[place] for place in sound], [sizes[place] for place in sound]):
        height, width = sizes[sound[stray]]
        reason = (
            f"a labelled keypoint is more than {max(height, width)} px outside its image of "
            f"{width}x{height}"
        )
        yield _problem(ProblemKind.KEYPOINT_OUTSIDE, annotations[sound[stray]], reason)


def _rows(annotations: Sequence[dict[str, Any]], num_keypoints: int) -> list[Any]:
    none = [0] * (3 * num_keypoints)
    return [annotation.get("keypoints") or none for annotation in annotations]


def _strays(rows: Sequence[list[float]], sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Returns the places of sound rows with a labelled keypoint far outside its image."""
    if not rows:
        return []
    keypoints = np.array(rows, dtype=np.float64).reshape(len(rows), -1, 3)
    edges = np.array([max(size) for size in sizes], dtype=np.float64).reshape(-1, 1, 1)
    far = (keypoints[:, :, :2] < -edges) | (keypoints[:, :, :2] > 2 * edges)
    strays = np.flatnonzero((far.any(axis=2) & (keypoints[:, :, 2] > 0)).any(axis=1))
    return strays.tolist()


def _problem(kind: ProblemKind, annotation: dict[str, Any], reason: str) -> Problem:
    where = f"annotation {annotation['id']}"
    return Problem(kind, where, reason, "mend the file", annotation["image_id"])


def num_visible(keypoints: Sequence[float]) -> int:
    """Returns how many of (3 K,) keypoints are labelled, COCO's `num_keypoints`."""
    return sum(visibility > 0 for visibility in keypoints[2::3])


def _flaw(row: Any, num_keypoints: int) -> str | None:
    if not isinstance(row, list) or len(row) != 3 * num_keypoints:
        found = f"{len(row)} values" if isinstance(row, list) else repr(row)
        return (
            f"'keypoints' has {found}, but {num_keypoints} keypoints have {3 * num_keypoints} "
            "(x, y, visibility of each)"
        )
    # Infinity and nan fail both comparisons; so does a whole number beyond any float.
    if not all(type(v) in (int, float) and -_HUGE < v < _HUGE for v in row):
        return "'keypoints' has a value that is no finite number"
    if not set(row[2::3]) <= {0, 1, 2}:
        return f"'keypoints' has the visibility {_stranger(row)}; it is 0, 1 or 2"
    return None


def _stranger(row: list[float]) -> float:
    return next(v for v in row[2::3] if v not in (0, 1, 2))


def _repeated(names: list[str]) -> str:
    return next(name for number, name in enumerate(names) if name in names[:number])


def _short(names: list[str]) -> str:
    return f"({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
