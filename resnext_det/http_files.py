"""Files fetched from a server, whole and checked, or not at all. Engine-neutral.

A cut connection goes on where it was cut; a server that fails for a moment is asked again after a
pause that doubles; one that only trickles is given up.
"""

import http
import http.client
import shutil
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from resnext_det.cache_folder import OFFLINE, is_set
from resnext_det.errors import UserError, one_line
from resnext_det.file_digests import md5_of, sha256_of
from resnext_det.web_addresses import shown_address, split_credentials

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
        address: http or https; USER:PASSWORD@ before the host is sent to that host alone.
        size: its bytes; None where nobody knows.
        sha256: its digest, or the first digits of it; "" where nobody knows.
        largest: the most bytes that are taken where the size is not known.
        md5: likewise to `sha256`, where no more than that is known.
        if_other: goes on with "the file is damaged" where the digest is another.
    """

    address: str
    size: int | None = None
    sha256: str = ""
    largest: int = 1 << 40
    md5: str = ""
    if_other: str = "or the server has another one now"

    def __str__(self) -> str:
        return shown_address(self.address)

    @property
    def limit(self) -> int:
        """The most bytes that are taken."""
        return self.largest if self.size is None else self.size

    def fault_of(self, path: Path) -> str:
        """Returns what is wrong with the digest of a file, "" for nothing."""
        if self.sha256 and not sha256_of(path).startswith(self.sha256):
            return _fault("SHA-256", self.sha256, 64)
        if self.md5 and not md5_of(path).startswith(self.md5):
            return _fault("MD5", self.md5, 32)
        return ""


def _fault(algorithm: str, digest: str, length: int) -> str:
    verb = "is not" if len(digest) == length else "does not begin with"
    return f"its {algorithm} sum {verb} {digest}"


class _PassingFault(Exception):
    """Something that may be gone at the next try."""


def fetch_file(wanted: Wanted, path: Path, patience: Patience | None = None) -> None:
    """Fetches a file; what an earlier try left in `PATH.part` is gone on with if it has a digest.

    Whoever calls holds a lock on the path.

    Raises:
        UserError: the environment says that nothing is fetched; the server does not answer, has
            no such file, sends a web page or another length, or too slowly; the digest differs;
            the disk takes no more.
    """
    if is_set(OFFLINE):
        variable = f"--offline or {OFFLINE}"
        raise UserError(f"{wanted}: is not in the cache, and {variable} says to fetch nothing")
    patience = patience or Patience()
    part = path.with_name(f"{path.name}.part")
    if wanted.sha256 or wanted.md5:
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
            fault = wanted.fault_of(part)
            if not fault:
                part.replace(path)
                return
            part.unlink()
            digest_failures += 1
            if digest_failures == 2:
                raise UserError(f"{wanted}: {fault}: the file is damaged, {wanted.if_other}")
        except _PassingFault as fault:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= patience.tries:
                raise UserError(f"{wanted}: cannot be fetched ({fault})") from fault
            patience.sleep(patience.pause * 2 ** (failures - 1))


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
            _check_space(wanted, part, (total or 0) - have)
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
        raise UserError(f"{wanted}: {fault}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        # A server's bad status line comes as it is: it may hold what a terminal obeys.
        first_line = one_line((str(reason).splitlines() or [""])[0][:100])
        raise _PassingFault(first_line or type(reason).__name__) from error


def _status(code: int) -> str:
    try:
        return f"{code} {http.HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _ask(address: str, start: int, patience: Patience) -> Any:
    address, authorization = split_credentials(address)
    request = urllib.request.Request(address, headers={"User-Agent": "resnext-det"})
    if authorization:  # a server that is led to gets none
        request.add_unredirected_header("Authorization", authorization)
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
            raise UserError(
                f"{shown_address(req.full_url)}: the server leads to {after}, which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_answer(wanted: Wanted, answer: Any, have: int) -> tuple[int, int | None]:
    """Returns where the answer's bytes begin in the file, and the file's size if it is said."""
    kind = answer.headers.get_content_type()
    if kind == "text/html":
        raise UserError(f"{wanted}: the server sends a web page, not the file")
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        said = str(answer.headers.get("Content-Range", ""))
        if not said.startswith(f"bytes {have}-"):
            raise _PassingFault(f"the server sends another part than the one asked for: {said!r}")
    else:
        have = 0  # a server that knows no ranges sends all of it
    length = str(answer.headers.get("Content-Length", ""))
    total = have + int(length) if length.isascii() and length.isdigit() else None
    if total is not None and wanted.size is not None and total != wanted.size:
        raise UserError(f"{wanted}: the server has {total} bytes, but the index says {wanted.size}")
    if total is not None and total > wanted.limit:
        raise UserError(f"{wanted}: {total} bytes, more than {wanted.limit}")
    return have, total


def _check_space(wanted: Wanted, part: Path, more: int) -> None:
    """Refuses what the disk has no room for, before minutes are spent on it."""
    free = shutil.disk_usage(part.parent).free
    if more > free:
        raise UserError(
            f"{wanted}: {more} bytes more are needed, but {part.parent} has {free} free: free "
            "space, or set RESNEXT_DET_CACHE to a folder with more"
        )


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
                f"{self.wanted}: too slow: {self.taken} bytes in {spent:.0f} s; "
                f"less than {self.patience.slowest / 1000:g} kB/s is given up"
            )
        return chunk


def _copy(flow: _Flow, part: Path, have: int) -> None:
    with _written(part, have) as file:
        while chunk := flow.next():
            have += len(chunk)
            if have > flow.wanted.limit:
                raise UserError(
                    f"{flow.wanted}: the server sends more than {flow.wanted.limit} bytes"
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
