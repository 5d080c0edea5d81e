"""Files fetched from a server, whole and checked, or not at all. Engine-neutral.

A cut connection goes on where it was cut; a server that fails for a moment is asked again after a
pause that doubles; one that only trickles is given up.
"""

import http
import http.client
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of

_CHUNK = 1 << 20
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which a server is asked again (RFC 9110; 425: RFC 8470; 429: RFC 6585)."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        tries: without a byte gained, before it is given up.
        pause: seconds before the second try; it doubles with each.
        timeout: seconds for connecting, and for each answer.
        grace: seconds that a try may take whatever it fetches …
        slowest: … and after them, bytes per second since the start of the try.
        clock: seconds that only grow.
        sleep: waits for seconds.
    """

    tries: int = 5
    pause: float = 1.0
    timeout: float = 30.0
    grace: float = 60.0
    slowest: float = 20_000.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep


@dataclass(frozen=True)
class Wanted:
    """A file on a server.

    Attributes:
        address: http or https.
        size: its bytes; None where nobody knows.
        sha256: its digest; "" where nobody knows.
        largest: the most bytes that are taken where the size is not known.
    """

    address: str
    size: int | None = None
    sha256: str = ""
    largest: int = 1 << 40

    @property
    def limit(self) -> int:
        """The most bytes that are taken."""
        return self.largest if self.size is None else self.size


class _PassingFault(Exception):
    """Something that may be gone at the next try."""


def fetch_file(wanted: Wanted, path: Path, patience: Patience | None = None) -> None:
    """Fetches a file; what an earlier try left in `PATH.part` is gone on with if it has a digest.

    Whoever calls holds a lock on the path.

    Raises:
        UserError: the server does not answer, has no such file, sends a web page or another
            length, or too slowly; the digest differs; the disk takes no more.
    """
    patience = patience or Patience()
    part = path.with_name(f"{path.name}.part")
    if wanted.sha256:
        _fetch(wanted, path, part, patience)
        return
    # Nothing would tell whether the halves fit: none is taken up, and none is left.
    part.unlink(missing_ok=True)
    try:
        _fetch(wanted, path, part, patience)
    finally:
        part.unlink(missing_ok=True)


def _fetch(wanted: Wanted, path: Path, part: Path, patience: Patience) -> None:
    failures, digest_failures = 0, 0
    while True:
        before = _size(part)
        try:
            _download(wanted, part, patience)
            if _is_right(wanted, part):
                part.replace(path)
                return
            part.unlink()
            digest_failures += 1
            if digest_failures == 2:
                raise UserError(
                    f"{wanted.address}: its SHA-256 sum is not {wanted.sha256}: the file is "
                    "damaged, or the shards were written again and the index in the cache is old"
                )
        except _PassingFault as fault:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= patience.tries:
                raise UserError(f"{wanted.address}: cannot be fetched ({fault})") from fault
            patience.sleep(patience.pause * 2 ** (failures - 1))


def _is_right(wanted: Wanted, part: Path) -> bool:
    return not wanted.sha256 or sha256_of(part) == wanted.sha256


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _download(wanted: Wanted, part: Path, patience: Patience) -> None:
    """Fetches what is missing of a file."""
    have = _size(part)
    if wanted.size is not None and have >= wanted.size:
        if have == wanted.size:
            return
        have = 0
    try:
        with _ask(wanted.address, have, patience) as answer:
            have, total = _check_answer(wanted, answer, have)
            _copy(_Flow(wanted, answer, patience, total), part, have)
    except HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        fault = f"the server answers {_status(error.code)}"
        if 300 <= error.code < 400:
            fault = "the server leads on too often, or to what is not http"
        if error.code in _PASSING or error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _PassingFault(fault) from error
        raise UserError(f"{wanted.address}: {fault}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        first_line = (str(reason).splitlines() or [""])[0][:100]
        raise _PassingFault(first_line or type(reason).__name__) from error


def _status(code: int) -> str:
    try:
        return f"{code} {http.HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _ask(address: str, start: int, patience: Patience) -> Any:
    request = urllib.request.Request(address, headers={"User-Agent": "resnext-det"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    return _opener().open(request, timeout=patience.timeout)


def _opener() -> urllib.request.OpenerDirector:
    """Returns what speaks http and https and nothing else; the default reads local files, too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _FewRedirects(),
    ):
        opener.add_handler(handler)
    return opener


class _FewRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to other addresses, a few times, and never from https to http."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str,
        headers: http.client.HTTPMessage, newurl: str,
    ) -> urllib.request.Request | None:  # fmt: skip
        """Returns the request that follows.

        Raises:
            UserError: it would not be http or https.
        """
        before, after = (urlsplit(url).scheme for url in (req.full_url, newurl))
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise UserError(f"{req.full_url}: the server leads to {after}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_answer(wanted: Wanted, answer: Any, have: int) -> tuple[int, int | None]:
    """Returns where the answer's bytes begin in the file, and the file's size if it is said."""
    kind = answer.headers.get_content_type()
    if kind == "text/html":
        raise UserError(f"{wanted.address}: the server sends a web page, not the file")
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        said = str(answer.headers.get("Content-Range", ""))
        if not said.startswith(f"bytes {have}-"):
            raise _PassingFault(f"the server sends another part than the one asked for: {said!r}")
    else:
        have = 0  # a server that knows no ranges sends all of it
    length = str(answer.headers.get("Content-Length", ""))
    total = have + int(length) if length.isascii() and length.isdigit() else None
    if total is not None and wanted.size is not None and total != wanted.size:
        raise UserError(
            f"{wanted.address}: the server has {total} bytes, but the index says {wanted.size}"
        )
    if total is not None and total > wanted.limit:
        raise UserError(f"{wanted.address}: {total} bytes, more than {wanted.limit}")
    return have, total


@dataclass
class _Flow:
    """The bytes of an answer as they come."""

    wanted: Wanted
    answer: Any
    patience: Patience
    total: int | None
    started: float = field(init=False)
    taken: int = 0

    def __post_init__(self) -> None:
        self.started = self.patience.clock()

    def next(self) -> bytes:
        """Returns what has come; nothing at the end.

        Raises:
            UserError: too slow.
        """
        chunk = self.answer.read1(_CHUNK)
        self.taken += len(chunk)
        spent = self.patience.clock() - self.started
        if spent > self.patience.grace and self.taken < spent * self.patience.slowest:
            raise UserError(
                f"{self.wanted.address}: too slow: {self.taken} bytes in {spent:.0f} s; "
                f"less than {self.patience.slowest / 1000:g} kB/s is given up"
            )
        return chunk


def _copy(flow: _Flow, part: Path, have: int) -> None:
    with _written(part, have) as file:
        while chunk := flow.next():
            have += len(chunk)
            if have > flow.wanted.limit:
                raise UserError(
                    f"{flow.wanted.address}: the server sends more than {flow.wanted.limit} bytes"
                )
            _write(part, file, chunk)
    expected = flow.total if flow.wanted.size is None else flow.wanted.size
    if expected is not None and have < expected:
        raise _PassingFault(f"cut off after {have} of {expected} bytes")


def _written(part: Path, have: int) -> IO[bytes]:
    try:
        file = part.open("r+b" if have else "wb", buffering=0)
        file.seek(have)
    except OSError as error:
        raise UserError(f"{part}: cannot be written ({error.strerror})") from error
    return file


def _write(part: Path, file: IO[bytes], chunk: bytes) -> None:
    try:
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise UserError(
            f"{part}: cannot be written ({error.strerror}): free space, or set RESNEXT_DET_CACHE "
            "to a folder with more, or RESNEXT_DET_CACHE_GB to keep less"
        ) from error
