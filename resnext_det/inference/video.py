"""Videos, read and written frame by frame by OpenCV. Engine-neutral.

A video may be a stranger's. What merely refers to other files (playlists, lists of parts) is not
opened, nor anything over a network.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnext_det.data.opened_image import MAX_PIXELS, Pixels, UnreadableImage
from resnext_det.errors import UserError
from resnext_det.whole_files import MEND

CODECS = (("avc1", ".mp4"), ("mp4v", ".mp4"), ("MJPG", ".avi"))
"""Tried in this order: H.264, which browsers play; MPEG-4, which players do; and JPEG pictures,
which OpenCV can write by itself."""
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,ogg,flv"
_OPTIONS = {
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": f"protocol_whitelist;file|format_whitelist;{_CONTAINERS}",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET: what is wrong is said in one line here
}
_USUAL_FPS = 25.0


@dataclass(frozen=True)
class VideoFacts:
    """What a video's header says.

    Attributes:
        fps: frames in a second.
        num_frames: as far as the header knows; 0 where it does not.
    """

    fps: float
    num_frames: int


class Video:
    """A video that is read.

    Args:
        path: of the file.

    Raises:
        UnreadableImage: it is no video that can be read, or its frames are too large.
    """

    def __init__(self, path: str) -> None:
        cv2 = import_cv2()
        if not os.path.isfile(path):
            raise UnreadableImage("not a plain file")
        with _environment(_OPTIONS):
            self._capture: Any = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise UnreadableImage("no video that OpenCV can read")
        width, height, fps, count = (
            self._capture.get(number)
            for number in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FPS,
                cv2.CAP_PROP_FRAME_COUNT,
            )
        )
        if not 0 < width * height <= MAX_PIXELS:
            raise UnreadableImage(f"its header claims frames of {width:.0f}x{height:.0f} pixels")
        self.facts = VideoFacts(
            fps if 0 < fps <= 1000 else _USUAL_FPS, int(count) if 0 < count < 1e9 else 0
        )

    def frames(self) -> Iterator[Pixels]:
        """Yields the frames, (H, W, 3) uint8 RGB, until there is none that can be decoded."""
        try:
            while True:
                is_read, frame = self._capture.read()
                if not is_read:
                    return
                if frame.ndim == 3 and frame.shape[2] == 3:
                    yield np.ascontiguousarray(frame[:, :, ::-1])
        finally:
            self._capture.release()


class VideoFile:
    """A video that is written under another name, and put in its place when it is whole.

    Args:
        place: the file without its ending, which the codec decides; its folder is made.
        fps: frames in a second.
    """

    def __init__(self, place: Path, fps: float) -> None:
        self._place, self._fps = place, fps
        self._writer: Any = None
        self._size = (0, 0)
        self._codec, self._ending = CODECS[0]
        self._written = 0

    @property
    def path(self) -> Path:
        """Where it will be, once a frame has been written."""
        return self._place.with_name(self._place.name + self._ending)

    @property
    def codec(self) -> str:
        """The four letters of what it is written with."""
        return self._codec

    def write(self, pixels: Pixels) -> None:
        """Writes a frame, (H, W, 3) uint8 RGB; one of another size is resized to the first's.

        Raises:
            UserError: no codec can write it here.
        """
        cv2 = import_cv2()
        if self._writer is None:
            self._size = (pixels.shape[1], pixels.shape[0])
            self._writer = self._opened()
        frame = np.ascontiguousarray(pixels[:, :, ::-1])
        if frame.shape[1::-1] != self._size:
            frame = cv2.resize(frame, self._size)
        self._writer.write(frame)
        self._written += 1

    def finish(self) -> None:
        """Puts the video in its place.

        Raises:
            UserError: it is not whole: the disk took no more.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        with suppress(UnreadableImage):
            if Video(str(self._partial)).facts.num_frames >= self._written:
                os.replace(self._partial, self.path)
                return
        self._partial.unlink(missing_ok=True)
        raise UserError(f"{self.path}: the disk took not all of it: {MEND}")

    def abandon(self) -> None:
        """Removes what is written; nothing where it is finished."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
            self._partial.unlink(missing_ok=True)

    @property
    def _partial(self) -> Path:
        # The ending tells OpenCV the container.
        return self._place.with_name(f".{self._place.name}.partial{self._ending}")

    def _opened(self) -> Any:
        cv2 = import_cv2()
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self._place.parent}: {error.strerror}: {MEND}") from error
        for self._codec, self._ending in CODECS:
            code = cv2.VideoWriter.fourcc(*self._codec)
            with _environment(_OPTIONS):
                writer = cv2.VideoWriter(str(self._partial), code, self._fps, self._size)
            if writer.isOpened():
                return writer
            self._partial.unlink(missing_ok=True)
        raise UserError(
            f"{self._place}: OpenCV can write no video here (tried "
            f"{', '.join(codec for codec, _ in CODECS)}): leave videos out of --save"
        )


def import_cv2() -> Any:
    """Returns OpenCV, silenced.

    Raises:
        UserError: it is not installed.
    """
    with _environment(_OPTIONS):
        try:
            import cv2
        except ModuleNotFoundError as error:
            raise UserError(
                "videos need OpenCV, which is not installed: pip install 'resnext-det[video]'"
            ) from error
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets variables of the environment that are not set, while the body runs."""
    own = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
