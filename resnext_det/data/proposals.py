"""Proposals of an RPN, stored for a Fast R-CNN that is trained apart. Engine-neutral.

One uncompressed `.npz` without pickled objects: `image_ids` (N,), `counts` (N,), and one after
the other for all images `boxes` (P, 4) float32, xyxy, pixels of the image on disk, and
`objectness_logits` (P,) float32.
"""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.image_headers import spread
from resnext_det.data.npz import mapped_array
from resnext_det.errors import UserError
from resnext_det.whole_files import write_whole

if TYPE_CHECKING:
    from resnext_det.data.coco_records import CocoDataset, CocoRecord

PROPOSALS_FILE = "box_proposals.npz"
_SLACK = 0.1  # of an image's longer side; boxes of another size or set go further over its edge
_MEND = "write it anew with an RPN run (MODEL.META_ARCHITECTURE ProposalNetwork)"


@dataclass(frozen=True)
class ProposalRows:
    """Where the proposals of one image stand.

    Attributes:
        path: the file.
        start: the first row.
        stop: the row after the last.
    """

    path: str
    start: int
    stop: int


@dataclass(frozen=True)
class _Arrays:
    image_ids: NDArray[np.generic]
    counts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    objectness_logits: NDArray[np.float32]


def write_proposals(
    path: Path,
    image_ids: Sequence[int] | Sequence[str],
    boxes: Sequence[NDArray[np.float32]],
    objectness_logits: Sequence[NDArray[np.float32]],
) -> None:
    """Writes the proposals of N images so that an interrupt leaves the old file or the new one.

    Args:
        path: the file; parents are made.
        image_ids: the N ids of the annotation file.
        boxes: for each image (P_i, 4) float32, xyxy, pixels of the image on disk.
        objectness_logits: for each image (P_i,) float32.
    """
    arrays = {
        "image_ids": np.array(image_ids) if len(image_ids) else np.zeros(0, np.int64),
        "counts": np.array([len(rows) for rows in boxes], dtype=np.int64),
        "boxes": np.concatenate([np.zeros((0, 4), np.float32), *boxes]),
        "objectness_logits": np.concatenate([np.zeros(0, np.float32), *objectness_logits]),
    }
    write_whole(path, lambda file: np.savez(file, **arrays))


def attach_proposals(dataset: "CocoDataset", file: str, *, training: bool = False) -> "CocoDataset":
    """Tells each record of a set where its proposals stand, after a look at them.

    Args:
        dataset: the set.
        file: the file that `DATASETS.PROPOSAL_FILES_*` names for it.
        training: look at those of `spread` images only, not of all.

    Raises:
        UserError: the file is missing, torn, of another format, lacks an image of the set, holds
            none for any, or boxes that are not finite or not of the images.
    """
    arrays = _open(file)
    stops = np.cumsum(arrays.counts)
    rows = {
        str(key): ProposalRows(file, int(stop - count), int(stop))
        for key, count, stop in zip(arrays.image_ids, arrays.counts, stops, strict=True)
    }
    missing = [r.image_id for r in dataset.records if str(r.image_id) not in rows]
    if missing:
        raise UserError(
            f"{file}: has no proposals for {len(missing)} of the {len(dataset.records)} images of "
            f"{dataset.entry.json_file}, the first is image {missing[0]}; {_MEND} on this set"
        )
    records = tuple(replace(r, proposals=rows[str(r.image_id)]) for r in dataset.records)
    if not any(rows[str(r.image_id)].stop > rows[str(r.image_id)].start for r in records):
        raise UserError(
            f"{file}: holds no proposal for any image of {dataset.entry.json_file}; {_MEND}"
        )
    for record in spread(records, training=training):
        _check_boxes(file, record, read_rows(rows[str(record.image_id)])[0])
    return replace(dataset, records=records)


def read_rows(rows: ProposalRows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns an image's (P, 4) boxes, xyxy, and (P,) logits, the highest logit first.

    Raises:
        UserError: the file has changed since, or has numbers that are not finite.
    """
    arrays = _open(rows.path)
    logits = np.array(arrays.objectness_logits[rows.start : rows.stop])
    boxes = np.array(arrays.boxes[rows.start : rows.stop])
    if not (np.isfinite(boxes).all() and np.isfinite(logits).all()):
        raise UserError(
            f"{rows.path}: rows {rows.start} to {rows.stop} are not all finite; {_MEND}"
        )
    order = np.argsort(-logits, kind="stable")
    return boxes[order], logits[order]


def _check_boxes(file: str, record: "CocoRecord", boxes: NDArray[np.float32]) -> None:
    limits = np.array([record.width, record.height] * 2)
    slack = _SLACK * limits.max()
    wrong = ((boxes < -slack) | (boxes > limits + slack)).any(axis=1)
    wrong |= (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if wrong.any():
        shown = ", ".join(f"{value:g}" for value in boxes[wrong][0])
        raise UserError(
            f"{file}: a proposal of image {record.image_id} is [{shown}], not a box x1, y1, x2, y2 "
            f"in an image of {record.width}x{record.height}; {_MEND} on this set"
        )


def _open(file: str) -> _Arrays:
    """Opens a file once in each process; its rows stay on disk until they are asked for."""
    if file.endswith(".pkl"):
        raise UserError(
            f"{file}: pickled proposals run whatever code they hold, so they are not read; {_MEND}"
        )
    try:
        return _map(file, os.stat(file).st_mtime_ns)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file of proposals; {_MEND}") from None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: torn, or not a file of proposals ({reason}); {_MEND}") from error


@lru_cache(maxsize=16)
def _map(file: str, _modified: int) -> _Arrays:
    arrays = _Arrays(*(mapped_array(Path(file), name) for name in _Arrays.__annotations__))
    kinds = {"image_ids": "iuU", "counts": "iu", "boxes": "f", "objectness_logits": "f"}
    for name, kind in kinds.items():
        array = getattr(arrays, name)
        if array.dtype.kind not in kind or array.ndim != (2 if name == "boxes" else 1):
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
    total = int(arrays.counts.sum())
    if arrays.boxes.shape != (total, 4) or len(arrays.objectness_logits) != total:
        raise ValueError(f"{total} rows are counted, {len(arrays.boxes)} are there")
    if len(np.unique(arrays.image_ids)) != len(arrays.counts) or (arrays.counts < 0).any():
        raise ValueError("an image id stands there twice, or a count is negative")
    return arrays
