"""Looking at what was not looked at before, in batches and in order. Engine-neutral."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from resnext_det.data.opened_image import Pixels, UnreadableImage
from resnext_det.data.set_aside import BrokenImage, SetAsideImages
from resnext_det.errors import one_line
from resnext_det.inference.findings import Finding, Findings
from resnext_det.inference.inputs import Source
from resnext_det.inference.video import CODECS, Video, VideoFile
from resnext_det.inference.workers import Way, Work, draw_finding, in_order, workers


class _Question(NamedTuple):
    """Images that are looked at together, frames of a video, or its end.

    Attributes:
        sources: of each image; the video's.
        keys: of each image or frame.
        work: None where the answers are known, and at the end of a video.
        frames: of a video, (H, W, 3) uint8 RGB; None for images.
        fps: of the video.
        is_end: whether the video has no more frames.
    """

    sources: tuple[Source, ...]
    keys: tuple[str, ...]
    work: Work | None
    frames: tuple[Pixels, ...] | None = None
    fps: float = 0.0
    is_end: bool = False


@dataclass
class Looking:
    """Asks the workers, and keeps what they answer.

    Attributes:
        way: how images are looked at.
        findings: of this start of the command and of earlier ones.
        set_aside: takes down what is broken.
        advance: is told of each image and frame that is finished.
    """

    way: Way
    findings: Findings
    set_aside: SetAsideImages
    advance: Callable[[int], None]

    def look(
        self,
        sources: Sequence[Source],
        keys: Mapping[str, str],
        *,
        batch_size: int,
        processes: int,
        pictures: Path | None,
        videos: Path | None,
    ) -> tuple[str, ...]:
        """Looks at all sources of which nothing is known.

        Args:
            sources: images and videos.
            keys: of each by its path, for the findings.
            batch_size: how many images, or frames, are looked at together.
            processes: that share them.
            pictures: folder of the images with their boxes; None draws none.
            videos: folder of the videos with their boxes; None writes none.

        Returns:
            A line on each video that was written, and on what was odd about one.

        Raises:
            UserError: too much is broken, or something cannot be written.
        """
        questions = self._questions(sources, keys, batch_size, pictures, videos)
        first = next(questions, None)
        self._take_known(sources, keys)
        if first is None:
            return ()
        notes: list[str] = []
        writing: VideoFile | None = None
        try:
            with workers(self.way, processes) as submit:

                def ask(question: _Question) -> Callable[[], list[Finding]]:
                    if question.work is not None:
                        return submit(question.work)
                    return lambda: [self.findings[key] for key in question.keys]

                ahead = 0 if processes == 1 else 2 * processes
                for question, answer in in_order(_chain(first, questions), ask, ahead):
                    self._keep(question, answer)
                    if question.frames is None and not question.is_end:
                        continue
                    if videos is not None and writing is None and question.frames:
                        writing = VideoFile(videos / question.sources[0].place, question.fps)
                    if writing is not None:
                        self._write(writing, question, answer)
                    if question.is_end:
                        notes += self._end(question, writing, keys)
                        writing = None
        finally:
            if writing is not None:
                writing.abandon()
        return tuple(notes)

    def _questions(
        self,
        sources: Sequence[Source],
        keys: Mapping[str, str],
        batch_size: int,
        pictures: Path | None,
        videos: Path | None,
    ) -> Iterator[_Question]:
        images: list[Source] = []
        for source in sources:
            if source.is_video:
                yield from self._images(images, keys, pictures)
                images = []
                yield from self._video(source, keys[source.path], batch_size, videos)
                continue
            images.append(source)
            if len(images) == batch_size:
                yield from self._images(images, keys, pictures)
                images = []
        yield from self._images(images, keys, pictures)

    def _images(
        self, images: Sequence[Source], keys: Mapping[str, str], pictures: Path | None
    ) -> Iterator[_Question]:
        """Yields images that are looked at together, unless all of them have been."""
        own = tuple(keys[source.path] for source in images)
        drawn = () if pictures is None else [pictures / f"{s.place}.jpg" for s in images]
        is_there = all(key in self.findings for key in own) and all(
            path.exists() or self.findings[key].broken
            for key, path in zip(own, drawn, strict=False)
        )
        if not images or is_there:
            self.advance(len(images))
            return
        work = Work(tuple(source.path for source in images), tuple(map(str, drawn)))
        yield _Question(tuple(images), own, work)

    def _video(
        self, source: Source, key: str, batch_size: int, videos: Path | None
    ) -> Iterator[_Question]:
        num_frames = self.findings.num_frames(key)
        if num_frames is not None and (videos is None or _is_written(videos / source.place)):
            self.advance(num_frames)
            return
        if key in self.findings:  # broken
            return
        try:
            video = Video(source.path)
        except UnreadableImage as error:
            self._break(source, key, str(error))
            return
        number, chunk = 0, []
        for frame in video.frames():
            chunk.append(frame)
            if len(chunk) == batch_size:
                yield self._frames(source, key, number, chunk, video.facts.fps)
                number, chunk = number + len(chunk), []
        if chunk:
            yield self._frames(source, key, number, chunk, video.facts.fps)
            number += len(chunk)
        if number == 0:
            self._break(source, key, "not one frame of it can be decoded")
            return
        yield _Question((source,), (), None, fps=video.facts.fps, is_end=True)

    def _frames(
        self, source: Source, key: str, first: int, frames: list[Pixels], fps: float
    ) -> _Question:
        keys = tuple(f"{key}#{first + place}" for place in range(len(frames)))
        known = all(key in self.findings for key in keys)
        images = tuple(frames)
        return _Question((source,), keys, None if known else Work(images), images, fps)

    def _keep(self, question: _Question, answer: list[Finding]) -> None:
        if question.work is not None:
            self.findings.add(dict(zip(question.keys, answer, strict=True)))
        if question.frames is None:
            for source, finding in zip(question.sources, answer, strict=False):
                if finding.broken:
                    self.set_aside.add([BrokenImage(source.path, finding.broken)])
        self.advance(len(question.keys))

    def _write(self, writing: VideoFile, question: _Question, answer: list[Finding]) -> None:
        names = self.way.file.class_names
        for frame, finding in zip(question.frames or (), answer, strict=True):
            drawn = draw_finding(frame, finding, names, self.way.drawn_from)
            writing.write(np.asarray(drawn))

    def _end(
        self, question: _Question, writing: VideoFile | None, keys: Mapping[str, str]
    ) -> Iterator[str]:
        source = question.sources[0]
        key = keys[source.path]
        number = 0
        while f"{key}#{number}" in self.findings:
            number += 1
        if writing is not None:
            writing.finish()
            yield f"{one_line(str(writing.path))}: {number} frames, written as {writing.codec}"
        self.findings.end_video(key, number)

    def _break(self, source: Source, key: str, reason: str) -> None:
        self.findings.add({key: Finding(broken=reason)})
        self.set_aside.add([BrokenImage(source.path, reason)])
        self.advance(1)

    def _take_known(self, sources: Sequence[Source], keys: Mapping[str, str]) -> None:
        """Counts what an earlier start found broken."""
        for source in sources:
            key = keys[source.path]
            if key in self.findings and (reason := self.findings[key].broken):
                self.set_aside.add([BrokenImage(source.path, reason)])


def _is_written(place: Path) -> bool:
    return any(place.with_name(place.name + ending).exists() for _, ending in CODECS)


def _chain(first: _Question, others: Iterator[_Question]) -> Iterator[_Question]:
    yield first
    yield from others
