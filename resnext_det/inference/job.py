"""One prediction: images and videos in, a folder of results out. Engine-neutral.

OUT/pictures/…          each image with its boxes
OUT/videos/…            each video with its boxes
OUT/coco_instances_results.json, OUT/images.json
OUT/detections.csv
OUT/progress.jsonl      what was found so far, from which the same command goes on
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.content_digests import digest_of_content
from resnext_det.data.image_files import read_header
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.set_aside import BrokenImage, SetAsideImages
from resnext_det.errors import UserError, few, one_line
from resnext_det.inference.findings import FILE, Findings
from resnext_det.inference.image_ids import Ids, ids_by_place, ids_of_annotations
from resnext_det.inference.inputs import STDIN_FILE, Inputs, Source
from resnext_det.inference.looking import Looking
from resnext_det.inference.outputs import CSV, Row, write_coco, write_csv
from resnext_det.inference.workers import Way
from resnext_det.training.run_folder import LOCK, hold_run_folder
from resnext_det.whole_files import remove_partial, write_whole

SAVED = ("pictures", "videos", "json", "csv")


@dataclass(frozen=True)
class Job:
    """What a command asks for.

    Attributes:
        way: how images are looked at.
        words: that name the inputs, as they were given.
        inputs: what they stand for.
        output: the folder of results.
        save: of SAVED.
        batch_size: images of one size that the model takes at once.
        processes: that share the images.
        annotations: names the images and their ids; None numbers them by place.
        max_broken: images that are left out at most; None takes the config's number.
    """

    way: Way
    words: tuple[str, ...]
    inputs: Inputs
    output: Path
    save: frozenset[str] = frozenset(SAVED)
    batch_size: int = 1
    processes: int = 1
    annotations: Path | None = None
    max_broken: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be the same for results to be gone on with."""
        way, piped = self.way, self.inputs.piped
        tiling = way.tiling
        return {
            "checkpoint": way.file.weights.file_sha256,
            "config": digest_of_content({"config": way.file.cfg.dump()}),
            "inputs": list(self.words),
            "standard input": None if piped is None else hashlib.sha256(piped).hexdigest(),
            "--save": sorted(self.save),
            "--score-thresh": way.score_thresh,
            "--classes": None if way.classes is None else sorted(way.classes),
            "--tile": None if tiling is None else [tiling.size, tiling.overlap],
            "--batch-size": self.batch_size,
            "--engine": way.engine,
            "--acceleration": way.acceleration.words(),
            "--annotations": None if self.annotations is None else str(self.annotations),
        }


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        num_images: that were looked at, frames of videos apart.
        num_frames: of videos.
        num_boxes: in all of them.
        num_drawn: those of them that pictures and videos show; 0 where neither is written.
        broken: what could not be read, by path, with the reason.
        notes: a line each on what a person should know.
    """

    num_images: int
    num_frames: int
    num_boxes: int
    num_drawn: int
    broken: Mapping[str, str]
    notes: tuple[str, ...] = ()


def predict(job: Job, advance: Callable[[int], None] = lambda steps: None) -> Outcome:
    """Looks at the images that were not looked at before, and writes the results of all.

    Args:
        job: what is asked for.
        advance: is told of each image and frame that is finished.

    Raises:
        UserError: the folder is another command's or cannot be written to, an annotation file
            does not fit, too many images are broken, or all.
    """
    sources, names = job.inputs.sources, job.way.file.class_names
    ids = ids_by_place(names)
    if job.annotations is not None:
        ids = ids_of_annotations(job.annotations, sources, names)
    try:
        with hold_run_folder(job.output), closing(_open(job)) as findings:
            return _predict(job, findings, ids, advance)
    except UserError as error:  # its messages name the key that a config would have
        raise UserError(str(error).replace("OUTPUT_DIR", "-o")) from error


def _open(job: Job) -> Findings:
    """Opens the folder for this command: an empty one, or its own.

    Raises:
        UserError: it holds something else.
    """
    folder = job.output
    there = {path.name for path in folder.iterdir()} - {LOCK}
    if there and FILE not in there:
        raise UserError(
            f"-o {folder}: holds other files ({few(sorted(there))}): give a new or an empty folder"
        )
    findings = Findings(folder, job.identity)
    for parent, _, _ in os.walk(folder):
        remove_partial(Path(parent))
    piped = job.inputs.piped
    if piped is not None and not (folder / STDIN_FILE).exists():
        write_whole(folder / STDIN_FILE, lambda file: file.write(piped))
    return findings


def _predict(job: Job, findings: Findings, ids: Ids, advance: Callable[[int], None]) -> Outcome:
    limit = job.max_broken
    if limit is None:
        limit = job.way.file.cfg.DATASETS.MAX_BROKEN_IMAGES
    set_aside = SetAsideImages(limit, key="--max-broken")
    looking = Looking(job.way, findings, set_aside, advance)
    keys = {source.path: source.key() for source in job.inputs.sources}
    notes = looking.look(
        job.inputs.sources,
        keys,
        batch_size=job.batch_size,
        processes=job.processes,
        pictures=job.output / "pictures" if "pictures" in job.save else None,
        videos=job.output / "videos" if "videos" in job.save else None,
    )
    broken = {
        source.path: findings[keys[source.path]].broken
        for source in job.inputs.sources
        if keys[source.path] in findings and findings[keys[source.path]].broken
    }
    if broken and len(broken) == len(job.inputs.sources):
        (job.output / FILE).unlink()  # there is nothing to go on with
        raise UserError(_none_readable(job.inputs.sources, broken))
    rows = list(_rows(job.inputs.sources, keys, findings, ids))
    if "json" in job.save:
        way = job.way
        settings = {"device": way.device, "acceleration": way.acceleration.words()}
        write_coco(job.output, lambda: rows, ids, {"engine": way.engine} | settings)
    if "csv" in job.save:
        write_csv(job.output / CSV, rows, ids.class_names)
    notes += _deep_note([s.path for s in job.inputs.sources if not s.is_video], broken)
    num_frames = sum(row.frame is not None for row in rows)
    num_boxes = num_drawn = 0
    for row in rows:
        scores = np.array(row.finding().scores)
        num_boxes += len(scores)
        if ("pictures" if row.frame is None else "videos") in job.save:
            num_drawn += int((scores >= job.way.drawn_from).sum())
    return Outcome(len(rows) - num_frames, num_frames, num_boxes, num_drawn, broken, notes)


def _rows(
    sources: tuple[Source, ...], keys: Mapping[str, str], findings: Findings, ids: Ids
) -> list[Row]:
    """Returns what was looked at in the order of the ids; what is broken has an id as well."""
    rows = []
    looked_at = _looked_at(sources, keys, findings)
    for number, (source, name, frame, key) in enumerate(looked_at, 1):
        if not findings[key].broken:
            image_id = ids.of_images[source.path] if ids.of_images else number
            rows.append(Row(image_id, name, frame, lambda key=key: findings[key]))
    return sorted(rows, key=lambda row: (isinstance(row.image_id, str), row.image_id))


def _looked_at(
    sources: tuple[Source, ...], keys: Mapping[str, str], findings: Findings
) -> Iterator[tuple[Source, str, int | None, str]]:
    for source in sources:
        key = keys[source.path]
        frames = findings.num_frames(key)
        if frames is None:
            yield source, source.name, None, key
        for frame in range(frames or 0):
            yield source, source.name, frame, f"{key}#{frame}"


def _deep_note(images: Sequence[str], broken: Mapping[str, str]) -> tuple[str, ...]:
    """Returns a line on images of more than 8 bits, in which most is white to a detector."""
    deep = [one_line(path) for path in images if path not in broken and _is_deep(path)]
    if not deep:
        return ()
    what = "what is above 255 is white to a detector, as in training; convert them to 8 bits"
    return (f"{len(deep)} image(s) of more than 8 bits ({few(deep)}): {what}",)


def _is_deep(path: str) -> bool:
    try:
        return read_header(path).mode.startswith(("I", "F"))
    except (UserError, UnreadableImage):  # it has gone since
        return False


def _none_readable(sources: tuple[Source, ...], broken: Mapping[str, str]) -> str:
    first = sources[0]
    if first.is_video:
        line = f"{one_line(first.path)}: cannot be read as a video ({broken[first.path]})"
    else:
        line = str(BrokenImage(first.path, broken[first.path]))
    return line if len(sources) == 1 else f"{line}; nor can any other of the {len(sources)}"
