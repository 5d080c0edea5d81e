"""Paired differences in top-1 and top-5 accuracy of two classifiers. Engine-neutral."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.statistics.bootstrap import Draws, PairedDifference, differences_of
from resnext_det.statistics.pairing import check_pairs

_TOP = (1, 5)

# Numbers of drawn images that are held at a time; as float64, 64 MB.
_BUDGET = 2**23


@dataclass(frozen=True)
class _Ranks:
    """One file's content.

    Attributes:
        path: for messages.
        images: their names.
        ranks: by what metrics' names begin with ("" or "1000_way/"), (I,) int64: how many
            classes were scored above the true one.
    """

    path: Path
    images: tuple[str, ...]
    ranks: dict[str, np.ndarray]


def paired_topk_differences(
    first: Sequence[Path],
    second: Sequence[Path],
    *,
    num_samples: int = 1000,
    confidence: float = 0.95,
) -> list[PairedDifference]:
    """Compares two classifiers by a hierarchical paired bootstrap over images and seeds.

    Args:
        first: `inference/classification_ranks.json` of the classifier that is subtracted, one for
            each seed.
        second: those of the classifier it is subtracted from, the same seeds in their order.
        num_samples: bootstrap samples.
        confidence: of the intervals, 0 … 1, both excluded.

    Returns:
        The differences in top1 and top5 accuracy, and in M_way/top1 and M_way/top5 where the files
        have M_way/ranks. Where no rank reaches 5, as with five classes, there is no top5; without
        images there is nothing.

    Raises:
        UserError: a file is missing, malformed, or of other images than the first; the seeds do
            not pair; or a number of samples or confidence there is not.
    """
    check_pairs(first, second)
    files = [_read_ranks(path) for path in (*first, *second)]
    for other in files[1:]:
        _check_same_images(files[0], other)
    metrics = tuple(_metrics(files))
    correct = np.stack(
        [file.ranks[prefix] < k for file in files for prefix, k in metrics], axis=1
    ).astype(np.float64)  # (I, files x M)
    draws = Draws(len(files[0].images), len(first), num_samples)
    if not draws.num_images:
        return []
    scores = _accuracies(correct, draws).reshape(num_samples + 1, len(files), len(metrics))
    sides = np.split(scores.transpose(1, 0, 2), 2)  # twice (N, S + 1, M)
    names = tuple(f"{prefix}top{k}" for prefix, k in metrics)
    return differences_of(names, sides[0], sides[1], draws, confidence)


def read_ranks(path: Path) -> np.ndarray:
    """Returns the rank of each image's own class, (N,) int64 from 0, of a run's file of ranks.

    Raises:
        UserError: the file is missing or no file of ranks.
    """
    return _read_ranks(path).ranks[""]


def _metrics(files: Sequence[_Ranks]) -> Iterator[tuple[str, int]]:
    for prefix in files[0].ranks:
        largest = max(file.ranks[prefix].max(initial=0) for file in files)
        yield from ((prefix, k) for k in _TOP if k == 1 or largest >= k)


def _accuracies(correct: np.ndarray, draws: Draws) -> np.ndarray:
    """Returns (S + 1, columns) float64, each column's weighted mean in percent."""
    size = max(1, _BUDGET // draws.num_images)
    parts = [
        draws.image_counts(start, min(start + size, draws.num_samples + 1)) @ correct
        for start in range(0, draws.num_samples + 1, size)
    ]
    return 100 * np.concatenate(parts) / draws.num_images


def _read_ranks(path: Path) -> _Ranks:
    if not path.exists():
        raise UserError(f"{path}: no such file of ranks")
    try:
        content = read_json(path)
    except UserError as error:
        what = str(error).removeprefix(f"{path}: ")
        raise UserError(f"{path}: cannot be read as JSON of ranks ({what})") from None
    try:
        return _as_ranks(path, content)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'{path}: not a file of ranks, {{"images": [names], "ranks": [numbers from 0]}} '
            f"({error!r})"
        ) from None


def _as_ranks(path: Path, content: dict[str, Any]) -> _Ranks:
    images = tuple(map(str, content["images"]))
    ranks = {}
    for key in ("ranks", *sorted(key for key in content if key.endswith("/ranks"))):
        numbers = np.array(content[key]) if content[key] else np.zeros(0, np.int64)
        whole = np.issubdtype(numbers.dtype, np.integer)
        if not whole or numbers.shape != (len(images),) or numbers.min(initial=0) < 0:
            raise ValueError(f"{key} are not {len(images)} numbers from 0")
        ranks[key.removesuffix("ranks")] = numbers
    return _Ranks(path, images, ranks)


def _check_same_images(first: _Ranks, other: _Ranks) -> None:
    if first.images != other.images or first.ranks.keys() != other.ranks.keys():
        raise UserError(
            f"{other.path}: its {len(other.images)} images are not the {len(first.images)} of "
            f"{first.path} in their order, so the two cannot be compared"
        )
