"""Every image of a set decoded once, in several processes. Engine-neutral."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from resnext_det.data.checking.image_facts import ImageFacts, ImageReader, look_at
from resnext_det.data.preparing.progress import bar

_ALONE = 256  # images that are looked at here before processes are worth their start
_TOGETHER = 16  # images in one task
_KILLED = "the process that decoded it was ended: its decoder crashed, or memory ran out"
_reader: ImageReader | None = None


def look_at_all(
    reader: ImageReader, what: str, *, processes: int | None = None
) -> list[ImageFacts]:
    """Decodes every image of a set.

    Args:
        reader: the images.
        what: the word before the progress bar.
        processes: how many decode; by default as many as there are processors, and for few images
            none beside this one.

    Returns:
        One entry for each image, in order. An image whose decoder ends its process is found by
        decoding those around it one at a time, and has an error.
    """
    count = len(reader)
    if processes is None:
        processes = 1 if count < _ALONE else _processors()
    with bar(what, count) as advance:
        found: list[ImageFacts] = []
        looked = _alone(reader) if processes == 1 else _together(reader, processes)
        for facts in looked:
            found.append(facts)
            advance(1)
    return found


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _alone(reader: ImageReader) -> Iterator[ImageFacts]:
    return (look_at(reader, index) for index in range(len(reader)))


def _together(reader: ImageReader, processes: int) -> Iterator[ImageFacts]:
    done, count = 0, len(reader)
    while done < count:
        try:
            for facts in _in_pool(reader, processes, done, count):
                done += 1
                yield facts
        except BrokenProcessPool:
            # One of the tasks in flight did it; the results before them are whole.
            suspects = range(done, min(count, done + 2 * processes * _TOGETHER))
            for index in suspects:
                yield _look_in_a_process(reader, index)
            done = suspects.stop


def _in_pool(reader: ImageReader, processes: int, start: int, stop: int) -> Iterator[ImageFacts]:
    pool = _open_pool(reader, processes)
    try:
        yield from pool.map(_look, range(start, stop), chunksize=_TOGETHER)
    finally:  # an interrupt, too, waits for the images in flight alone
        pool.shutdown(cancel_futures=True)


def _look_in_a_process(reader: ImageReader, index: int) -> ImageFacts:
    with _open_pool(reader, 1) as pool:
        try:
            return pool.submit(_look, index).result()
        except BrokenProcessPool:
            return ImageFacts(error=_KILLED)


def _open_pool(reader: ImageReader, processes: int) -> ProcessPoolExecutor:
    # Forked from a server that has only this module, not from a process with threads in it.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(reader,))


def _begin(reader: ImageReader) -> None:
    """Keeps the images, and leaves Ctrl-C to the process that was started."""
    global _reader
    _reader = reader
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _look(index: int) -> ImageFacts:
    assert _reader is not None
    return look_at(_reader, index)
