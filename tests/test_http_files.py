"""Fetching files: from a server on this machine that does everything wrong. Engine-neutral."""

import base64
import hashlib
import shutil
import socket

import pytest

from resnext_det.errors import UserError
from resnext_det.http_files import Patience, Wanted, fetch_file
from tests.data.sharded import send, serving

DATA = bytes(range(256)) * 1000
SIZE = len(DATA)
DIGEST = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


class Clock:
    """Time that passes only when somebody sleeps, or at each look by `step`."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step, self.sleeps = 0.0, step, []

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "a.tar").write_bytes(DATA)
    with serving(tmp_path / "server") as server:
        yield server


def wanted(server, name="a.tar", size=SIZE, sha256=DIGEST, **more) -> Wanted:
    return Wanted(f"{server.address}/{name}", size, sha256, **more)


def patient(clock: Clock | None = None, **more) -> Patience:
    clock = clock or Clock()
    return Patience(timeout=20.0, clock=clock, sleep=clock.sleep, **more)


def error_of(what: Wanted, path, patience: Patience) -> str:
    with pytest.raises(UserError) as error:
        fetch_file(what, path, patience)
    message = str(error.value)
    assert message.startswith(f"{what.address}: ")
    assert "\n" not in message
    assert not path.exists()
    return message.removeprefix(f"{what.address}: ")


def test_a_file_is_fetched_once(server, tmp_path):
    path = tmp_path / "a.tar"
    fetch_file(wanted(server), path, patient())
    assert path.read_bytes() == DATA
    assert not path.with_name("a.tar.part").exists()
    assert server.times("a.tar") == 1


def test_a_file_of_unknown_size_is_fetched(server, tmp_path):
    fetch_file(Wanted(f"{server.address}/a.tar"), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA


def cut_after(count: int):
    """Promises the rest of the file, and hangs up after `count` bytes of it."""

    def fault(handler, asked) -> bool | None:
        start = int((asked.range or "bytes=0-")[6:-1])
        status = 206 if asked.range else 200
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(DATA) - start))
        if asked.range:
            handler.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        handler.end_headers()
        handler.wfile.write(DATA[start : start + count])

    return fault


def test_a_cut_connection_goes_on_where_it_was_cut(server, tmp_path):
    server.faults["a.tar"] = cut_after(100_000)
    fetch_file(wanted(server), tmp_path / "a.tar", patient(tries=2))
    assert (tmp_path / "a.tar").read_bytes() == DATA
    ranges = [asked.range for asked in server.asked]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_a_later_call_goes_on_where_an_earlier_one_was_killed(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(DATA[:1000])
    fetch_file(wanted(server), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert [asked.range for asked in server.asked] == ["bytes=1000-"]


def test_a_whole_part_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(DATA)
    fetch_file(wanted(server), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert server.asked == []


@pytest.mark.parametrize("left", [b"another file" * 99, b"?" * len(DATA), b"?" * 999_999])
def test_a_part_of_something_else_is_noticed(server, tmp_path, left):
    (tmp_path / "a.tar.part").write_bytes(left)
    fetch_file(wanted(server), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_a_part_without_a_digest_is_not_trusted(server, tmp_path):
    (tmp_path / "a.tar.part").write_bytes(b"another file")
    fetch_file(wanted(server, sha256=""), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.faults["a.tar"] = lambda handler, asked: send(handler, 200, DATA)
    (tmp_path / "a.tar.part").write_bytes(DATA[:1000])
    fetch_file(wanted(server), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA


def test_an_unsatisfiable_range_starts_over(server, tmp_path):
    def fault(handler, asked):
        send(handler, 416) if asked.range else send(handler, 200, DATA)

    server.faults["a.tar"] = fault
    (tmp_path / "a.tar.part").write_bytes(DATA[:1000])
    fetch_file(wanted(server), tmp_path / "a.tar", patient())
    assert [asked.range for asked in server.asked] == ["bytes=1000-", None]


def test_a_passing_failure_is_tried_again_with_longer_pauses(server, tmp_path):
    statuses = [500, 503, 429]

    def fault(handler, asked):
        if asked.before >= len(statuses):
            return False
        return send(handler, statuses[asked.before])

    server.faults["a.tar"] = fault
    clock = Clock()
    fetch_file(wanted(server), tmp_path / "a.tar", patient(clock, pause=2.0))
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert clock.sleeps == [2.0, 4.0, 8.0]


def test_a_lasting_failure_ends_after_some_tries(server, tmp_path):
    server.faults["a.tar"] = lambda handler, asked: send(handler, 500)
    message = error_of(wanted(server), tmp_path / "a.tar", patient(tries=3))
    assert message == "cannot be fetched (the server answers 500 Internal Server Error)"
    assert server.times("a.tar") == 3


def test_a_missing_file_is_not_asked_for_again(server, tmp_path):
    message = error_of(wanted(server, "b.tar"), tmp_path / "b.tar", patient())
    assert message == "the server answers 404 Not Found"
    assert server.times("b.tar") == 1


def test_a_server_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.tar"
        message = error_of(Wanted(address), tmp_path / "a.tar", patient(tries=2))
    assert message.startswith("cannot be fetched (")
    assert "refused" in message


def test_rubbish_in_place_of_an_answer_is_named(server, tmp_path):
    server.faults["a.tar"] = lambda handler, asked: handler.wfile.write(b"?\n\n")
    message = error_of(wanted(server), tmp_path / "a.tar", patient(tries=2))
    assert message.startswith("cannot be fetched (")


def test_what_a_terminal_obeys_is_not_passed_on(server, tmp_path):
    server.faults["a.tar"] = lambda handler, asked: handler.wfile.write(
        b"\x1b[2J\x1b]0;x\x07 HTTP\n\n"
    )
    message = error_of(wanted(server), tmp_path / "a.tar", patient(tries=2))
    assert r"cannot be fetched (\x1b[2J" in message
    assert message.isprintable()


def test_another_digest_is_refused_after_a_second_look(server, tmp_path):
    other = "0" * 64
    message = error_of(wanted(server, sha256=other), tmp_path / "a.tar", patient())
    assert message.startswith(f"its SHA-256 sum is not {other}")
    assert server.times("a.tar") == 2
    assert not (tmp_path / "a.tar.part").exists()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"data": b"<html>", "Content_Type": "text/html"}, "sends a web page"),
        ({"data": b"short"}, f"has 5 bytes, but the index says {len(DATA)}"),
        ({"data": DATA + b"!"}, f"has {len(DATA) + 1} bytes, but the index says {len(DATA)}"),
    ],
    ids=["web page", "short", "long"],
)
def test_another_file_is_named(server, tmp_path, answer, fault):
    server.faults["a.tar"] = lambda handler, asked: send(handler, 200, **answer)
    assert fault in error_of(wanted(server), tmp_path / "a.tar", patient())
    assert server.times("a.tar") == 1


def endless(handler, asked) -> None:
    handler.send_response(200)
    handler.end_headers()  # no length: the end is where the connection ends
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return


@pytest.mark.parametrize("size", [None, 100_000])
def test_an_endless_file_is_cut_off(server, tmp_path, size):
    server.faults["a.tar"] = endless
    what = wanted(server, size=size, largest=100_000)
    assert "sends more than 100000 bytes" in error_of(what, tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar.part").stat().st_size <= 100_000


def test_nothing_is_left_of_a_file_without_a_digest(server, tmp_path):
    server.faults["a.tar"] = endless
    error_of(wanted(server, size=None, sha256="", largest=SIZE), tmp_path / "a.tar", patient())
    assert list(tmp_path.glob("a.tar*")) == []


def test_a_trickle_is_given_up(server, tmp_path):
    def trickle(handler, asked) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:-1])
        handler.wfile.flush()
        handler.rfile.read(1)  # until the other side hangs up

    server.faults["a.tar"] = trickle
    clock = Clock(step=50.0)
    message = error_of(wanted(server), tmp_path / "a.tar", patient(clock, slowest=1e9))
    assert message.startswith("too slow: ")


def leads_to(address: str):
    return lambda handler, asked: send(handler, 302, Location=address)


def test_a_redirect_is_followed_with_its_range(server, tmp_path):
    server.faults["old.tar"] = leads_to("/a.tar")
    (tmp_path / "a.tar.part").write_bytes(DATA[:10])
    fetch_file(wanted(server, "old.tar"), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA
    assert server.asked[-1].range == "bytes=10-"


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/a.tar"])
def test_a_redirect_out_of_http_is_refused(server, tmp_path, place):
    server.faults["a.tar"] = leads_to(place)
    message = error_of(wanted(server), tmp_path / "a.tar", patient())
    assert message.startswith(("the server leads on", "the server leads to ftp"))


def test_redirects_in_a_circle_end(server, tmp_path):
    server.faults["a.tar"] = leads_to("/a.tar")
    message = error_of(wanted(server), tmp_path / "a.tar", patient())
    assert message == "the server leads on too often, or to what is not http"
    assert server.times("a.tar") <= 6


def test_a_folder_that_takes_nothing_is_named(server, tmp_path):
    (tmp_path / "a.tar.part").mkdir()
    with pytest.raises(UserError, match=r"a\.tar\.part: cannot be written"):
        fetch_file(wanted(server), tmp_path / "a.tar", patient())


def test_a_partial_answer_to_another_question_is_not_taken(server, tmp_path):
    def fault(handler, asked):
        if asked.range is None:
            return False
        return send(handler, 206, DATA[:10], Content_Range=f"bytes 0-9/{len(DATA)}")

    server.faults["a.tar"] = fault
    (tmp_path / "a.tar.part").write_bytes(DATA[:1000])
    message = error_of(wanted(server), tmp_path / "a.tar", patient(tries=2))
    assert "another part than the one asked for" in message


@pytest.mark.parametrize(
    "digest", [{"sha256": DIGEST[:8]}, {"md5": MD5[:6]}], ids=["sha256", "md5"]
)
def test_the_first_digits_of_a_digest_are_enough(server, tmp_path, digest):
    fetch_file(Wanted(f"{server.address}/a.tar", **digest), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA


@pytest.mark.parametrize(
    ("digest", "fault"),
    [
        ({"sha256": "00000000"}, "its SHA-256 sum does not begin with 00000000"),
        ({"md5": "000000"}, "its MD5 sum does not begin with 000000"),
    ],
    ids=["sha256", "md5"],
)
def test_other_first_digits_are_refused(server, tmp_path, digest, fault):
    message = error_of(Wanted(f"{server.address}/a.tar", **digest), tmp_path / "a", patient())
    assert message == f"{fault}: the file is damaged, or the server has another one now"


def test_a_file_for_which_the_disk_has_no_room_is_not_begun(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=SIZE - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    message = error_of(wanted(server), tmp_path / "a.tar", patient())
    assert message.startswith(f"{SIZE} bytes more are needed, but {tmp_path} has {SIZE - 1} free")
    assert not (tmp_path / "a.tar.part").exists()


def test_nothing_is_fetched_offline(server, tmp_path, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_OFFLINE", "1")
    message = error_of(wanted(server), tmp_path / "a.tar", patient())
    says = "--offline or RESNEXT_DET_OFFLINE says to fetch nothing"
    assert message == f"is not in the cache, and {says}"
    assert server.asked == []


def test_a_password_goes_to_its_host_alone_and_into_no_message(server, tmp_path):
    heard = {}

    def ask(handler, asked):
        heard[asked.path] = handler.headers.get("Authorization")
        send(handler, 302, Location="/a.tar?signature=secret")

    def refuse(handler, asked):
        heard[asked.path] = handler.headers.get("Authorization")
        send(handler, 403)

    server.faults = {"old.tar?key=secret": ask, "a.tar?signature=secret": refuse}
    address = server.address.replace("http://", "http://me:se%40cret@") + "/old.tar?key=secret"
    with pytest.raises(UserError) as error:
        fetch_file(Wanted(address), tmp_path / "a.tar", patient())
    told = base64.b64encode(b"me:se@cret").decode()
    assert heard == {"old.tar?key=secret": f"Basic {told}", "a.tar?signature=secret": None}
    assert str(error.value) == f"{server.address}/old.tar?…: the server answers 403 Forbidden"


def test_an_address_with_spaces_is_asked_for_as_it_must(server, tmp_path):
    (server.root / "a%20b.tar").write_bytes(DATA)
    fetch_file(Wanted(f"{server.address}/a b.tar"), tmp_path / "a.tar", patient())
    assert (tmp_path / "a.tar").read_bytes() == DATA
