"""The cache of fetched weights, from a server on this machine. Engine-neutral."""

import hashlib
import multiprocessing
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.http_files import Patience
from resnext_det.weights.cache import find_kept, obtain, parse_address, place_of
from tests.data.sharded import send, serving

DATA = bytes(range(256)) * 500
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()
OTHER_DIGEST = (
    "its SHA-256 sum does not begin with 00000000: the file is damaged, or its name does not mean "
    "that: then end the address with #sha256= and its sum"
)
NAMED = f"net-{SHA256[:8]}.pth"


@pytest.fixture
def server(caches, tmp_path, monkeypatch):
    monkeypatch.setattr("resnext_det.weights.cache._PATIENCE", Patience(tries=2, pause=0.0))
    (tmp_path / "server").mkdir()
    for name in ("w.pth", NAMED, f"model_final_{MD5[:6]}.pkl", "net-00000000.pth"):
        (tmp_path / "server" / name).write_bytes(DATA)
    with serving(tmp_path / "server") as server:
        yield server


def fetch(server, name: str) -> Path:
    return obtain(parse_address(f"{server.address}/{name}")).path


def refused(server, name: str) -> str:
    with pytest.raises(UserError) as error:
        fetch(server, name)
    assert "\n" not in str(error.value)
    return str(error.value)


def advice(server, name: str) -> str:
    place = place_of(parse_address(f"{server.address}/{name}"))
    return f"put the file at {place}, or set MODEL.WEIGHTS to where it is"


@pytest.mark.parametrize(
    ("address", "sha256", "md5"),
    [
        ("https://h/a/resnet50-0676ba61.pth", "0676ba61", ""),
        ("https://h/r_20210429-56066e27.pth?x=1", "56066e27", ""),
        ("https://h/model_final_f6e8b1.pkl", "", "f6e8b1"),
        ("https://h/model_0039999_e76410.pkl", "", "e76410"),
        ("https://h/epoch-20240131.pth", "", ""),
        ("https://h/R-50.pkl", "", ""),
        ("https://h/resnet50-0676ba6.pth", "", ""),
        (f"https://h/resnet50-0676ba61.pth#sha256={SHA256}", SHA256, ""),
    ],
)
def test_addresses_say_their_digest(address, sha256, md5):
    wanted = parse_address(address)
    assert (wanted.sha256, wanted.md5) == (sha256, md5)
    assert wanted.address == address.partition("#")[0]


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("https://me:pw@h/a.pth#sha256=12", "https://h/a.pth#sha256=12: give #sha256= and 64 dig"),
        ("https://h/", "https://h/: names no file"),
        ("https://h/a/..", "https://h/a/..: names no file"),
    ],
)
def test_addresses_that_name_nothing(address, fault):
    with pytest.raises(UserError) as error:
        parse_address(address)
    assert str(error.value).startswith(fault)


def test_files_of_one_name_do_not_meet(caches):
    addresses = ("https://a/w.pth", "https://b/w.pth", "https://a/w.pth?version=2")
    places = {place_of(parse_address(address)) for address in addresses}
    assert len(places) == 3
    assert {place.name for place in places} == {"w.pth"}
    assert all(place.parent.parent == caches for place in places)
    signed = place_of(parse_address("https://me:secret@a/w.pth"))
    assert signed == place_of(parse_address("https://a/w.pth"))


def test_a_name_from_a_server_stays_in_its_folder(caches):
    place = place_of(parse_address("https://a/x/..%2F..%2Fetc%2Fpasswd"))
    assert place.parent.parent == caches


@pytest.mark.parametrize("name", ["w.pth", NAMED, f"model_final_{MD5[:6]}.pkl", "w.pth?x=1"])
def test_a_file_is_fetched_once(server, name):
    server.faults["w.pth?x=1"] = lambda handler, asked: send(handler, 200, DATA)
    for _ in range(2):
        assert fetch(server, name).read_bytes() == DATA
    assert server.times(name) == 1
    assert fetch(server, name).with_name(f"{fetch(server, name).name}.sha256").read_text() == (
        f"{SHA256}  {fetch(server, name).name}\n"
    )


def test_a_redirect_is_followed(server):
    server.faults["old.pth"] = lambda handler, asked: send(handler, 302, Location="/w.pth")
    assert fetch(server, "old.pth").read_bytes() == DATA


def cut(handler, asked) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    handler.wfile.write(DATA[:100])


@pytest.mark.parametrize(
    ("name", "fault", "reason"),
    [
        ("none.pth", None, "the server answers 404 Not Found"),
        ("w.pth", cut, f"cut off after 100 of {len(DATA)} bytes"),
        (
            "w.pth",
            lambda handler, asked: send(handler, 200, b"<html>", Content_Type="text/html"),
            "the server sends a web page, not the file",
        ),
        (
            "net-00000000.pth",
            None,
            OTHER_DIGEST,
        ),
    ],
    ids=["404", "cut off", "web page", "digest"],
)
def test_what_a_server_does_wrong_leaves_nothing_and_says_where_to_put_the_file(
    server, name, fault, reason
):
    if fault:
        server.faults[name] = fault
    message = refused(server, name)
    address = f"{server.address}/{name}"
    assert message == f"{address}: cannot be fetched ({reason}); {advice(server, name)}"
    place = place_of(parse_address(address))
    assert [path.name for path in place.parent.iterdir() if path.suffix != ".lock"] == []


def test_a_digest_in_the_address_goes_before_that_in_the_name(server):
    assert fetch(server, f"net-00000000.pth#sha256={SHA256}").read_bytes() == DATA
    message = refused(server, f"w.pth#sha256={'0' * 64}")
    assert f"its SHA-256 sum is not {'0' * 64}" in message


@pytest.mark.parametrize("name", ["w.pth", NAMED])
def test_a_damaged_file_is_fetched_again(server, caplog, name):
    path = fetch(server, name)
    path.write_bytes(DATA[:-1] + b"?")
    assert fetch(server, name).read_bytes() == DATA
    assert f"{path} is damaged: it is removed, and fetched again" in caplog.text
    assert server.times(name) == 2


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("RESNEXT_DET_OFFLINE", "--offline or RESNEXT_DET_OFFLINE"),
        ("HF_HUB_OFFLINE", "HF_HUB_OFFLINE"),
    ],
    ids=["ours", "hub"],
)
def test_offline_the_cache_is_used_and_what_lacks_is_named(server, monkeypatch, variable, named):
    path = fetch(server, NAMED)
    monkeypatch.setenv(variable, "1")
    assert fetch(server, NAMED) == path
    says = f"{named} says to fetch nothing"
    assert refused(server, "w.pth") == (
        f"{server.address}/w.pth: is not in the cache, and {says}; {advice(server, 'w.pth')}"
    )
    path.write_bytes(b"torn")
    assert refused(server, NAMED) == (
        f"{server.address}/{NAMED}: is damaged, and {says}; {advice(server, NAMED)}"
    )
    assert path.read_bytes() == b"torn"
    assert [asked.path for asked in server.asked] == [NAMED]


def test_a_file_put_there_by_hand_is_taken(server, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_OFFLINE", "1")
    for name in ("w.pth", NAMED):
        place = place_of(parse_address(f"{server.address}/{name}"))
        place.parent.mkdir(parents=True)
        place.write_bytes(DATA)
        assert obtain(parse_address(f"{server.address}/{name}")).sha256 == SHA256


def test_a_file_in_another_programs_cache_is_taken_if_its_digest_is_right(server, tmp_path):
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    hub.mkdir(parents=True)
    assert hub.is_relative_to(tmp_path)
    for name in ("w.pth", NAMED, "net-00000000.pth"):
        (hub / name).write_bytes(DATA)
    assert fetch(server, NAMED) == hub / NAMED
    assert fetch(server, "w.pth") != hub / "w.pth"  # nobody says what it should be
    assert "does not begin with" in refused(server, "net-00000000.pth")
    iopath = tmp_path / "iopath" / "detectron2" / f"model_final_{MD5[:6]}.pkl"
    iopath.parent.mkdir(parents=True)
    iopath.write_bytes(DATA)
    wanted = parse_address(f"https://nowhere/detectron2/{iopath.name}")
    assert find_kept(wanted).path == iopath


def test_a_password_is_in_no_message(server):
    message = refused(server, "none.pth").replace(server.address, "")
    address = server.address.replace("http://", "http://me:secret@")
    with pytest.raises(UserError) as error:
        obtain(parse_address(f"{address}/none.pth"))
    assert str(error.value).replace(server.address, "") == message


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "file"))
    assert "the cache cannot be written" in refused(server, "w.pth")


def _fetch_in_a_process(address: str, barrier, results) -> None:
    barrier.wait(60)
    results.put(obtain(parse_address(address)).path.read_bytes() == DATA)


def test_two_processes_fetch_a_file_once(server):
    context = multiprocessing.get_context("fork")  # the environment and the patience with it
    barrier, results = context.Barrier(2), context.Queue()
    address = f"{server.address}/{NAMED}"
    processes = [
        context.Process(target=_fetch_in_a_process, args=(address, barrier, results))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [True, True]
    for process in processes:
        process.join(60)
    assert server.times(NAMED) == 1
