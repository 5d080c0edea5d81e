"""Small folders of images, tars with anything in them, and a server of files. Engine-neutral."""

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from resnext_det.data.preparing.shards import ShardSizes, write_shards


def make_folder(root: Path, counts: dict[str, int]) -> Path:
    """Class folders of JPEGs, no two alike."""
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.JPEG")
    return root


def make_shards(root: Path, counts: dict[str, int] | None = None, per_shard: int = 4) -> Path:
    """A folder of class folders, `train`, and its shards, whose folder is returned."""
    source = make_folder(root / "train", counts or {"ant": 5, "bee": 3, "cat": 3})
    write_shards(source, root / "shards", ShardSizes(images=per_shard))
    return root / "shards"


def make_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    """A tar of files, in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@dataclass
class Asked:
    """One request: the path, the Range header, and how many came before for the same path."""

    path: str
    range: str | None
    before: int


@dataclass
class Server:
    """Serves a folder, and what a test wants to go wrong.

    `faults` maps a path to what is done in place of serving it; a fault that returns False
    leaves the request to the server.
    """

    root: Path
    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: dict[str, Callable[[BaseHTTPRequestHandler, Asked], bool | None]] = field(
        default_factory=dict
    )

    def times(self, path: str) -> int:
        return sum(asked.path == path for asked in self.asked)


def send(handler, status: int, data: bytes = b"", **headers: str) -> None:
    """Sends an answer; a length that is given wins over the true one."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def serve_file(handler, path: Path, asked: Asked) -> None:
    """Sends a file, or the part of it that a Range header asks for."""
    if not path.is_file():
        send(handler, 404)
        return
    data = path.read_bytes()
    if asked.range is None:
        send(handler, 200, data)
        return
    start = int(asked.range.removeprefix("bytes=").removesuffix("-"))
    part = f"bytes {start}-{len(data) - 1}/{len(data)}"
    send(handler, 206, data[start:], Content_Range=part)


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Runs a server on a free port of this machine."""
    server = Server(root)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            asked = Asked(name, self.headers.get("Range"), server.times(name))
            server.asked.append(asked)
            fault = server.faults.get(name)
            if fault is None or fault(self, asked) is False:
                serve_file(self, server.root / name, asked)

        def log_message(self, *_) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
