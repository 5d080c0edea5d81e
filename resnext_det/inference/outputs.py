"""The files that results are handed on in: COCO JSON, its images, and CSV. Engine-neutral.

They are written image by image, so that no more than one image's boxes are in memory.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from resnext_det.errors import one_line
from resnext_det.evaluation.results_json import RESULTS_FILE, detections_to_coco
from resnext_det.inference.findings import Finding
from resnext_det.inference.image_ids import Ids, ImageId
from resnext_det.whole_files import write_whole

RESULTS = RESULTS_FILE.name
IMAGES = "images.json"
CSV = "detections.csv"
CSV_COLUMNS = ("image", "frame", "class", "score", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Row:
    """One image, or a frame of a video, that was looked at.

    Attributes:
        image_id: in the COCO files.
        name: of the image or the video.
        frame: counted from 0; None for an image.
        finding: reads what was found.
    """

    image_id: ImageId
    name: str
    frame: int | None
    finding: Callable[[], Finding]


def write_coco(
    folder: Path, rows: Callable[[], Iterable[Row]], ids: Ids, info: Mapping[str, str]
) -> None:
    """Writes the results, as the evaluation does, and the file that names their images.

    Args:
        folder: gets RESULTS, a list of records with image_id, category_id, bbox (x, y, w, h) and
            score; and IMAGES, an annotation file without annotations.
        rows: in the order of the files; is called for each of them.
        ids: of the classes.
        info: how the boxes were found, COCO's entry of that name in IMAGES.

    Raises:
        UserError: the disk takes no more, or refuses a file.
    """

    def records() -> Iterator[Any]:
        for row in rows():
            yield from detections_to_coco(row.finding().detections(), row.image_id, ids.of_classes)

    names = zip(ids.of_classes, ids.class_names, strict=True)
    categories = [{"id": number, "name": name} for number, name in names]
    write_whole(folder / RESULTS, lambda file: _write_list(file, records()))

    def write_images(file: IO[bytes]) -> None:
        file.write(b'{"info": ' + json.dumps(dict(info)).encode() + b', "images": ')
        _write_list(file, map(_image, rows()))
        rest = {"annotations": [], "categories": categories}
        file.write(b", " + json.dumps(rest)[1:].encode())

    write_whole(folder / IMAGES, write_images)


def write_csv(path: Path, rows: Iterable[Row], class_names: tuple[str, ...]) -> None:
    """Writes a line for each box: `CSV_COLUMNS`, pixels, UTF-8.

    Raises:
        UserError: the disk takes no more, or refuses the file.
    """

    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for row in rows:
            finding = row.finding()
            frame = "" if row.frame is None else row.frame
            boxes = zip(finding.boxes, finding.scores, finding.classes, strict=True)
            for box, score, label in boxes:
                numbers = (f"{score:.6f}", *(f"{side:.2f}" for side in box))
                writer.writerow((one_line(row.name), frame, class_names[label], *numbers))
        text.detach()  # else it closes the file

    write_whole(path, write)


def _image(row: Row) -> dict[str, Any]:
    finding = row.finding()
    frame = {} if row.frame is None else {"frame": row.frame}
    size = {"height": finding.height, "width": finding.width}
    return {"id": row.image_id, "file_name": row.name, **frame, **size}


def _write_list(file: IO[bytes], items: Iterable[Any]) -> None:
    """Writes a JSON list as `json.dumps` does, item by item."""
    file.write(b"[")
    for place, item in enumerate(items):
        file.write((", " if place else "").encode() + json.dumps(item).encode())
    file.write(b"]")
