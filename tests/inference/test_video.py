"""Videos are read and written whole, and open no other file."""

import sys
from pathlib import Path

import numpy as np
import pytest

from resnext_det.data.opened_image import UnreadableImage
from resnext_det.errors import UserError
from resnext_det.inference import video
from resnext_det.inference.video import Video, VideoFile

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (pip install opencv-python-headless)")


def grey(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write(place: Path, count: int = 5) -> Path:
    file = VideoFile(place, 10.0)
    for number in range(count):
        file.write(grey(40 * number))
    file.finish()
    return file.path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "sub" / "clip")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    read = Video(str(path))
    assert (read.facts.fps, read.facts.num_frames) == (10.0, 5)
    levels = [float(frame.mean()) for frame in read.frames()]
    assert levels == pytest.approx([0, 40, 80, 120, 160], abs=4)


@pytest.mark.parametrize("codec", ["mp4v", "MJPG"])
def test_each_codec_that_is_there_works(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "CODECS", tuple(pair for pair in video.CODECS if pair[0] == codec))
    path = write(tmp_path / "clip")
    assert path.suffix == (".mp4" if codec == "mp4v" else ".avi")
    assert sum(1 for _ in Video(str(path)).frames()) == 5


def test_odd_sizes_and_frames_of_another_size_are_written(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / "clip", 25.0)
    for frame in (grey(9, 47, 65), grey(9, 20, 30)):
        file.write(frame)
    file.finish()
    assert sum(1 for _ in Video(str(file.path)).frames()) == 2


def test_no_codec_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "CODECS", (("zzzz", ".mp4"),))
    with pytest.raises(UserError, match=r"OpenCV can write no video here \(tried zzzz\): leave"):
        VideoFile(tmp_path / "clip", 10.0).write(grey(0))
    assert not list(tmp_path.iterdir())


def test_what_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / "clip", 10.0)
    file.write(grey(0))
    file.abandon()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_took_not_all_is_noticed(tmp_path: Path) -> None:
    file = VideoFile(tmp_path / "clip", 10.0)
    file.write(grey(0))
    file._written = 100
    with pytest.raises(UserError, match=r"clip\.mp4: the disk took not all of it"):
        file.finish()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["torn", "text", "folder", "absent"])
def test_no_video_is_said_in_a_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "clip.mp4"
    if name == "torn":
        path.write_bytes(write(tmp_path / "whole").read_bytes()[:300])
    elif name == "text":
        path.write_text("no video")
    elif name == "folder":
        path.mkdir()
    with pytest.raises(UnreadableImage, match="no video that OpenCV can read|not a plain file"):
        Video(str(path))


@pytest.mark.parametrize("kind", ["concat", "playlist"])
def test_what_refers_to_other_files_is_not_opened(tmp_path: Path, kind: str) -> None:
    secret = write(tmp_path / "secret")
    texts = {
        "concat": f"ffconcat version 1.0\nfile '{secret.name}'\n",
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
    }
    lure = tmp_path / "lure.mp4"
    lure.write_text(texts[kind])
    with pytest.raises(UnreadableImage):
        Video(str(lure))


def test_opencv_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"videos need OpenCV, .*: pip install 'resnext-det"):
        video.import_cv2()
