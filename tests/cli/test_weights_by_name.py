"""`weights list`, `weights fetch` and --offline. Engine-neutral."""

import argparse
import json
import os

import pytest

from resnext_det.cli import main
from resnext_det.cli.offline import add_offline, apply_offline
from resnext_det.weights.cache import CachedFile, parse_address, place_of
from resnext_det.weights.catalog import catalog
from tests.data.sharded import serving


@pytest.fixture(autouse=True)
def _no_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "iopath"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("RESNEXT_DET_OFFLINE", "0")  # restored, whatever a verb sets
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def run(capsys, *words: str) -> str:
    assert main(["weights", *words]) == 0
    return capsys.readouterr().out


def refusal(capsys, *words: str) -> str:
    assert main(["weights", *words]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message.removeprefix("error: ").rstrip()


def test_the_weights_of_a_network_with_figure_and_licence(capsys, tmp_path):
    file = tmp_path / "list.json"
    out = run(capsys, "list", "resnext152_32x4d", "resnext50_2x40d", "--json", str(file))
    name, heading, first, second, other, none = out.splitlines()
    assert name == "resnext152_32x4d"
    assert heading.split() == ["figure", "licence", "from", "pixels", "cached", "MODEL.WEIGHTS"]
    assert first.split()[:7] == ["top-1", "79.6", "not", "stated", "pycls", "BGR", first.split()[6]]
    assert first.split()[6].endswith("X-152-32x4d_dds_8gpu.pyth")
    assert second.split()[:6] == ["top-1", "78.9", "not", "stated", "mmpretrain", "RGB"]
    assert (other, none) == ("resnext50_2x40d", "  none are known: train it, or give a file")
    rows = json.loads(file.read_text())["weights"]
    assert [row["accuracy"]["top1"] for row in rows] == [79.6, 78.88]
    assert [row["cached"] for row in rows] == [None, None]
    assert all(row["accuracy_source"] for row in rows)


def test_all_networks(capsys):
    out = run(capsys, "list")
    assert all(entry.spec in out for entry in catalog())
    assert "resnext50_2x40d" not in out  # nobody publishes any, and nobody asked


def test_detectors_alone(capsys):
    out = run(capsys, "list", "resnet50", "--task", "detection")
    assert "box AP 40.2" in out
    assert "COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml; stride in the 1x1" in out
    assert "torchvision://" not in out
    none = run(capsys, "list", "resnet18", "--task", "detection").splitlines()
    assert none == ["resnet18", "  the options leave none"]


@pytest.mark.parametrize(
    ("policy", "licences"),
    [
        ("any", {"Apache-2.0", "BSD-3-Clause", "CC-BY-NC-4.0", "not stated"}),
        ("commercial", {"Apache-2.0", "BSD-3-Clause", "not stated"}),
        ("known_commercial", {"Apache-2.0", "BSD-3-Clause"}),
    ],
)
def test_licences_that_a_policy_refuses_are_left_out(capsys, policy, licences):
    out = run(capsys, "list", "resnext50_32x4d", "--licence-policy", policy)
    known = {"Apache-2.0", "BSD-3-Clause", "CC-BY-NC-4.0", "CC-BY-SA-3.0", "not stated"}
    assert {licence for licence in known if licence in out} == licences


def test_what_is_cached(capsys, monkeypatch, tmp_path):
    assert run(capsys, "list", "--cached").startswith("none is on this machine")
    cached = {"torchvision://resnet18/IMAGENET1K_V1": CachedFile(tmp_path / "a.pth", "0" * 64)}
    monkeypatch.setattr("resnext_det.cli.weights_verbs.list.find_cached", cached.get)
    name, _, row = run(capsys, "list", "--cached").splitlines()
    assert name == "resnet18"
    assert row.split() == ["top-1", "69.8", "BSD-3-Clause", "torchvision", "RGB", "yes", *cached]


def test_an_unknown_network_gives_the_nearest(capsys):
    expected = "no variant is named 'resnext50'; the nearest is 'resnet50'"
    assert refusal(capsys, "list", "resnext50") == expected


def test_fetch_prints_the_path(capsys, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"weights")
    with serving(tmp_path) as server:
        address = f"{server.address}/w.pth"
        for words in ([address], [address, "--offline"]):
            out = run(capsys, "fetch", *words)
            assert out == f"{place_of(parse_address(address))}\n"
        assert server.times("w.pth") == 1


def test_fetch_offline_says_what_lacks(capsys):
    spec = "torchvision://resnet18/IMAGENET1K_V1"
    message = refusal(capsys, "fetch", spec, "--offline")
    assert message.startswith(f"{spec}: https://download.pytorch.org/models/resnet18-f37072fd.pth")
    assert "not in the cache, and --offline or RESNEXT_DET_OFFLINE says to fetch" in message
    assert os.environ["RESNEXT_DET_OFFLINE"] == "1"


def test_fetch_takes_names_alone(capsys):
    assert refusal(capsys, "fetch", "a.pth").startswith("a.pth: is a path; give torchvision://")


@pytest.mark.parametrize(("words", "said"), [([], "0"), (["--offline"], "1")])
def test_offline_goes_into_the_environment(words, said):
    parser = argparse.ArgumentParser()
    add_offline(parser)
    apply_offline(parser.parse_args(words))
    assert os.environ["RESNEXT_DET_OFFLINE"] == said
