"""How far unlike and slightly changed pictures are apart, to choose the thresholds of twins.

python -m tests.data.checking.measure_near_duplicates --json FILE NAME=FOLDER …

Every pair of a folder's images is compared; pairs within `PRINTED` bits are listed with their
correlation, to be looked at. Of a sample each image is changed in known ways and compared with
itself.
"""

import argparse
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from resnext_det.data.checking.image_facts import perceptual_hash
from resnext_det.data.checking.twins import MAX_DISTANCE, MIN_CORRELATION

SUFFIXES = (".jpg", ".jpeg", ".png")
PRINTED = 16
SAMPLE = 150


def changes(picture: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """Yields a name and the changed picture."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=40)
    yield "JPEG quality 40", Image.open(stream).convert("RGB")
    width, height = picture.size
    small = (max(1, width // 2), max(1, height // 2))
    yield "half the size", picture.resize(small, Image.Resampling.BILINEAR)
    yield "15 % brighter", ImageEnhance.Brightness(picture).enhance(1.15)
    yield "80 % of the contrast", ImageEnhance.Contrast(picture).enhance(0.8)
    yield "gray", picture.convert("L").convert("RGB")
    for percent in (2, 5):
        x, y = width * percent // 100, height * percent // 100
        yield f"{percent} % cut off each side", picture.crop((x, y, width - x, height - y))
    yield "mirrored", ImageOps.mirror(picture)


def known(picture: Image.Image) -> tuple[int, Any]:
    bits, thumbnail = perceptual_hash(picture)
    levels = np.frombuffer(thumbnail or bytes(256), np.uint8).astype(np.float64)
    return bits, (levels - levels.mean()) / max(levels.std(), 1e-6)


def pairs_of(all_known: list[tuple[int, Any]], names: list[str]) -> dict[str, Any]:
    hashes = np.array([bits for bits, _ in all_known], np.uint64)
    levels = np.stack([values for _, values in all_known])
    counts = np.zeros(65, np.int64)
    near = []
    for place in range(1, len(hashes)):
        bits = np.bitwise_count(hashes[place] ^ hashes[:place])
        counts += np.bincount(bits, minlength=65)
        for other in np.flatnonzero(bits <= PRINTED).tolist():
            near.append(
                (int(bits[other]), float((levels[place] * levels[other]).mean()), other, place)
            )
    found = [n for n in near if n[0] <= MAX_DISTANCE and n[1] >= MIN_CORRELATION]
    within = [n for n in near if n[0] <= MAX_DISTANCE]
    return {
        "pairs": int(counts.sum()),
        "pairs_by_bits": {str(n): int(c) for n, c in enumerate(counts) if c and n <= PRINTED},
        "taken_for_twins": [
            {"first": names[a], "second": names[b], "bits": n, "correlation": round(c, 4)}
            for n, c, a, b in sorted(found)
        ],
        "highest_correlation_of_the_others_within_the_bits": round(
            max((n[1] for n in within if n not in found), default=-1.0), 4
        ),
    }


def measure(folder: Path) -> dict[str, Any]:
    """Returns what was measured on the images below a folder."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    all_known, names = [], [path.relative_to(folder).as_posix() for path in paths]
    step, changed = max(1, len(paths) // SAMPLE), {}
    for place, path in enumerate(paths):
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        all_known.append(known(picture))
        if place % step:
            continue
        for name, other in changes(picture):
            bits, levels = known(other)
            distance = (bits ^ all_known[-1][0]).bit_count()
            correlation = float((levels * all_known[-1][1]).mean())
            changed.setdefault(name, []).append((distance, correlation))
    return {
        "images": len(paths),
        **pairs_of(all_known, names),
        "changed": {name: summary(values) for name, values in changed.items()},
    }


def summary(values: list[tuple[int, float]]) -> dict[str, Any]:
    taken = [d <= MAX_DISTANCE and c >= MIN_CORRELATION for d, c in values]
    return {
        "images": len(values),
        "most_bits": max(d for d, _ in values),
        "lowest_correlation": round(min(c for _, c in values), 4),
        "taken_for_twins_percent": round(100 * sum(taken) / len(taken), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--json", required=True, type=Path)
    args = parser.parse_args()
    named = [word.partition("=") for word in args.folders]
    found = {
        "thresholds": {"bits": MAX_DISTANCE, "correlation": MIN_CORRELATION},
        "folders": {name: measure(Path(folder)) for name, _, folder in named},
    }
    args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
