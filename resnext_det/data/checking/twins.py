"""Pictures that are there twice, in one set or in two: by digests, and by a hash. Engine-neutral.

Two pictures are nearly the same where their hashes differ in at most `MAX_DISTANCE` of 64 bits and
their thumbnails correlate by at least `MIN_CORRELATION`. Neither alone tells enough: of 60.6
million pairs of unlike photographs the hashes of 38 differ in as few bits, and of these 38 the
thumbnails of a teapot and a bison correlate most, by 0.901. Copies in another format, size,
brightness, contrast or in gray are all taken for twins; those with 2 % cut off each side nearly
all; with 5 %, fewer than half; mirrored ones, none (tests/data/checking/near_duplicates.json).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resnext_det.data.checking.image_facts import ImageFacts
from resnext_det.data.preparing.progress import bar

MAX_DISTANCE = 10
"""Bits of 64 in which the hashes may differ."""
MIN_CORRELATION = 0.93
"""Least correlation of the gray levels of the thumbnails."""

_ROWS = 256  # pictures compared with all before them at a time
_CANDIDATES = 1 << 16  # pairs of thumbnails compared at a time: 128 MiB

Place = tuple[int, int]
"""The number of a set and of an image in it."""


@dataclass(frozen=True)
class Twin:
    """A picture and one before it that it repeats.

    Attributes:
        first: of an earlier set, or earlier in the same one.
        second: the repetition.
        how: "file", "pixels" or "near".
        distance: bits in which their hashes differ.
    """

    first: Place
    second: Place
    how: str
    distance: int = 0


def find_twins(sets: Sequence[Sequence[ImageFacts]]) -> list[Twin]:
    """Finds, for each picture, the likest one before it in its set and in each earlier set.

    Args:
        sets: what is known of every image of every set, those trained on first.

    Returns:
        At most one for a picture and a set, by the place of the second; the same every time.
    """
    places = [
        (number, index)
        for number, facts in enumerate(sets)
        for index, image in enumerate(facts)
        if not image.error
    ]
    equal = list(_equal(sets, places))
    repeated = {(twin.first[0], twin.second) for twin in equal}
    # Of equal pictures in a set the first one stands for all.
    within = {twin.second for twin in equal if twin.first[0] == twin.second[0]}
    near = _near(sets, [place for place in places if place not in within])
    found = [twin for twin in near if (twin.first[0], twin.second) not in repeated]
    return sorted([*equal, *found], key=lambda twin: (twin.second, twin.first))


def _equal(sets: Sequence[Sequence[ImageFacts]], places: Sequence[Place]) -> Iterator[Twin]:
    groups: dict[bytes, list[Place]] = defaultdict(list)
    for place in places:
        groups[sets[place[0]][place[1]].pixel_digest].append(place)
    for members in groups.values():
        for place, others in enumerate(members):
            yield from _equal_before(sets, members[:place], others)


def _equal_before(
    sets: Sequence[Sequence[ImageFacts]], before: Sequence[Place], second: Place
) -> Iterator[Twin]:
    digest = sets[second[0]][second[1]].file_digest
    chosen: dict[int, Twin] = {}
    for first in before:
        how = "file" if sets[first[0]][first[1]].file_digest == digest else "pixels"
        known = chosen.get(first[0])
        if known is None or (known.how, how) == ("pixels", "file"):
            chosen[first[0]] = Twin(first, second, how)
    yield from chosen.values()


def _near(sets: Sequence[Sequence[ImageFacts]], places: Sequence[Place]) -> Iterator[Twin]:
    """Compares every picture with all before it, N² / 2 pairs: a minute for 100,000."""
    hashed = [(n, i) for n, i in places if sets[n][i].thumbnail]
    hashes = np.array([sets[n][i].hash for n, i in hashed], np.uint64)
    thumbnails = _standardised([sets[n][i].thumbnail for n, i in hashed])
    owners = np.array([n for n, _ in hashed], np.int64)
    with bar("comparing", len(hashed)) as advance:
        for start in range(0, len(hashed), _ROWS):
            stop = min(start + _ROWS, len(hashed))
            for second, first, distance in _near_rows(hashes, thumbnails, owners, start, stop):
                yield Twin(hashed[first], hashed[second], "near", distance)
            advance(stop - start)


def _near_rows(
    hashes: NDArray[np.uint64],
    thumbnails: NDArray[np.float32],
    owners: NDArray[np.int64],
    start: int,
    stop: int,
) -> Iterator[tuple[int, int, int]]:
    """Yields (second, first, bits) of rows start … stop - 1: the nearest of each earlier set."""
    distances = np.bitwise_count(hashes[start:stop, None] ^ hashes[None, :stop])
    rows, columns = np.nonzero(distances <= MAX_DISTANCE)
    rows, columns = rows[columns < rows + start], columns[columns < rows + start]
    kept = np.zeros(len(rows), np.bool_)
    for part in range(0, len(rows), _CANDIDATES):
        some = slice(part, part + _CANDIDATES)
        products = thumbnails[rows[some] + start] * thumbnails[columns[some]]
        kept[some] = products.mean(axis=1) >= MIN_CORRELATION
    rows, columns = rows[kept], columns[kept]
    bits = distances[rows, columns]
    # The nearest first, then the one that comes first; of each row and set the first stays.
    order = np.lexsort((columns, bits, owners[columns], rows))
    rows, columns, bits = rows[order], columns[order], bits[order]
    keys = np.stack([rows, owners[columns]], axis=1)
    _, firsts = np.unique(keys, axis=0, return_index=True)
    for place in firsts.tolist():
        yield int(rows[place]) + start, int(columns[place]), int(bits[place])


def _standardised(thumbnails: Sequence[bytes]) -> NDArray[np.float32]:
    """Returns (N, 256) gray levels with mean 0 and standard deviation 1."""
    levels = np.frombuffer(b"".join(thumbnails), np.uint8).astype(np.float32)
    levels = levels.reshape(len(thumbnails), -1) if thumbnails else levels.reshape(0, 1)
    levels -= levels.mean(axis=1, keepdims=True)
    deviation = levels.std(axis=1, keepdims=True)
    return levels / np.maximum(deviation, 1e-6)
