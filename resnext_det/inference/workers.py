"""Who looks at the images, this process or several, and in which order. Engine-neutral.

Answers come in the order of the questions, however many processes give them.
"""

import ctypes
import io
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image

from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.data.image_files import read_image
from resnext_det.data.opened_image import Pixels, UnreadableImage
from resnext_det.engines.base import EngineName
from resnext_det.errors import UserError
from resnext_det.evaluation.drawing import NamedBox, draw_classes
from resnext_det.inference.detector import Detector
from resnext_det.inference.detector_file import DetectorFile
from resnext_det.inference.findings import Finding
from resnext_det.inference.tiles import Tiling
from resnext_det.whole_files import write_whole

T = TypeVar("T")
JPEG_QUALITY = 90
_PR_SET_PDEATHSIG = 1
"""Of prctl(2): the signal that a process gets when its parent dies."""


@dataclass(frozen=True)
class Way:
    """How images are looked at, in every process.

    Attributes:
        file: of the detector.
        engine: its name.
        device: its name.
        score_thresh: see `Detector.from_checkpoint`.
        drawn_from: boxes scored below it are not drawn.
        classes: the classes that are kept; None for all.
        tiling: cuts large images; None does not.
        acceleration: what the detector is run with.
    """

    file: DetectorFile
    engine: EngineName = "auto"
    device: str = "auto"
    score_thresh: float | None = None
    drawn_from: float = 0.5
    classes: frozenset[int] | None = None
    tiling: Tiling | None = None
    acceleration: Acceleration = EXACT


@dataclass(frozen=True)
class Work:
    """Images that are looked at together.

    Attributes:
        images: paths, or (H, W, 3) uint8 RGB.
        pictures: where each is drawn with its boxes; empty where none is.
    """

    images: tuple[str | Pixels, ...]
    pictures: tuple[str, ...] = ()


class Worker:
    """Finds and draws; one in each process."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._detector = Detector.from_file(
            way.file,
            device=way.device,
            engine=way.engine,
            score_thresh=way.score_thresh,
            acceleration=way.acceleration,
        )

    def __call__(self, work: Work) -> list[Finding]:
        """Returns what is found in each image, or why it is broken; writes the pictures.

        Raises:
            UserError: a picture cannot be written, or a disk fails.
        """
        answers: dict[int, Finding] = {}
        read: dict[int, Pixels] = {}
        for place, image in enumerate(work.images):
            try:
                read[place] = _pixels(image)
            except UnreadableImage as error:
                answers[place] = Finding(broken=str(error))
        try:
            found = self._detector.detect(list(read.values()), self._way.tiling)
        except UserError as error:  # of too many tiles
            found, answers = [], dict.fromkeys(range(len(work.images)), Finding(broken=str(error)))
            read = {}
        for (place, pixels), detections in zip(read.items(), found, strict=True):
            height, width = pixels.shape[:2]
            answers[place] = _only(Finding.of((height, width), detections), self._way.classes)
            if work.pictures:
                self._draw(pixels, answers[place], Path(work.pictures[place]))
        return [answers[place] for place in range(len(work.images))]

    def _draw(self, pixels: Pixels, finding: Finding, path: Path) -> None:
        names = self._way.file.class_names
        picture = draw_finding(pixels, finding, names, self._way.drawn_from)
        encoded = io.BytesIO()
        picture.save(encoded, "JPEG", quality=JPEG_QUALITY)
        write_whole(path, lambda file: file.write(encoded.getbuffer()))


def draw_finding(
    pixels: Pixels, finding: Finding, class_names: Sequence[str], score_thresh: float
) -> Image.Image:
    """Draws the boxes that are scored at least so much, the best above the others."""
    rows = [
        (NamedBox((x0, y0, x1 - x0, y1 - y0), f"{class_names[label]} {100 * score:.0f}%"), label)
        for (x0, y0, x1, y1), score, label in zip(
            finding.boxes, finding.scores, finding.classes, strict=True
        )
        if score >= score_thresh
    ][::-1]
    image = Image.fromarray(pixels)
    return draw_classes(image, [named for named, _ in rows], [label for _, label in rows])


@contextmanager
def workers(way: Way, processes: int) -> Iterator[Callable[[Work], Callable[[], list[Finding]]]]:
    """Starts the processes, or with one nothing, and yields who takes work in.

    Yields:
        A function that takes work in and returns who gives its answer.

    Raises:
        UserError: the detector cannot be built.
    """
    if processes == 1:
        worker = Worker(way)
        yield lambda work: lambda: worker(work)
        return
    threads = max(1, torch.get_num_threads() // processes)
    pool = ProcessPoolExecutor(
        processes,
        multiprocessing.get_context("spawn"),  # a fork would inherit locks of torch's threads
        initializer=_start,
        initargs=(way, threads, os.getpid()),
    )
    try:
        yield lambda work: _answer_of(pool.submit(_answer, work))
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    questions: Iterable[T], submit: Callable[[T], Callable[[], list[Finding]]], ahead: int
) -> Iterator[tuple[T, list[Finding]]]:
    """Yields questions with their answers, with so many asked ahead of the one that is awaited."""
    waiting: deque[tuple[T, Callable[[], list[Finding]]]] = deque()
    for question in questions:
        waiting.append((question, submit(question)))
        if len(waiting) > ahead:
            first, answer = waiting.popleft()
            yield first, answer()
    for question, answer in waiting:
        yield question, answer()


def _pixels(image: str | Pixels) -> Pixels:
    if not isinstance(image, str):
        return image
    if not os.path.exists(image):
        raise UnreadableImage("is gone, or a link to nothing")
    return read_image(image, "RGB")


def _only(finding: Finding, classes: frozenset[int] | None) -> Finding:
    if classes is None:
        return finding
    kept = [place for place, label in enumerate(finding.classes) if label in classes]
    boxes, scores, labels = (
        tuple(values[place] for place in kept)
        for values in (finding.boxes, finding.scores, finding.classes)
    )
    return Finding(finding.height, finding.width, boxes, scores, labels)  # pyright: ignore[reportArgumentType]


_worker: Worker | None = None


def _start(way: Way, threads: int, parent: int) -> None:
    """Makes the worker of a process that was started for it."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    with suppress(OSError, AttributeError):  # elsewhere than on Linux it ends a little later
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    torch.set_num_threads(threads)
    _worker = Worker(way)


def _answer(work: Work) -> list[Finding]:
    assert _worker is not None
    return _worker(work)


def _answer_of(future: "Future[list[Finding]]") -> Callable[[], list[Finding]]:
    def answer() -> list[Finding]:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a process of --processes has ended (out of memory?): give fewer; the same "
                "command goes on where this ended"
            ) from error

    return answer
