"""`resnext-det weights convert`: what it prints, writes and refuses. Engine-neutral."""

import json
import os

import pytest
import torch
import torchvision

from resnext_det.cli import main
from resnext_det.weights.sources import read_weights


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "theirs.pth"
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), path)
    return path


def test_it_says_what_was_done(source, tmp_path, capsys):
    before, output = source.read_bytes(), tmp_path / "ours.safetensors"
    record = tmp_path / "record.json"
    arguments = ["weights", "convert", str(source), str(output), "--to", "safetensors"]
    assert main([*arguments, "--json", str(record)]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["source"] == str(source)
    assert lines["names"] == "torchvision -> safetensors"
    assert lines["architecture"] == "resnet18"
    assert lines["head"] == "classifier, 3 classes"
    assert lines["convention"].startswith("RGB 0-255, mean 123.675 116.28 103.53, std 58.395")
    assert lines["tensors"].startswith("122, ")
    assert lines["licence"] == "not known"
    assert lines["notes"] == "none"
    assert lines["written"].endswith("read back and compared: all tensors equal")
    assert source.read_bytes() == before
    content = json.loads(record.read_text())
    assert (content["to"], content["tensors"]) == ("safetensors", 122)
    assert content["side_car"]["sha256"] == read_weights(str(output)).side_car.sha256
    assert lines["sha256"] == f"{content['side_car']['sha256']} (of the tensors)"


def test_another_convention_is_told_as_from_and_to(source, tmp_path, capsys):
    assert main(["weights", "convert", str(source), str(tmp_path / "a.pyth"), "--to", "pycls"]) == 0
    assert "stride in the 3x3 -> BGR 0-255, mean 103.53" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("licence", "kept", "warns"),
    [("cc-by-nc-4.0", "CC-BY-NC-4.0", True), ("bsd-3-clause", "BSD-3-Clause", False)],
)
def test_a_licence_that_is_given_is_kept(licence, kept, warns, source, tmp_path, capsys):
    output = tmp_path / "a.pth"
    given = ["--licence", licence, "--to", "timm"]
    assert main(["weights", "convert", str(source), str(output), *given]) == 0
    printed = capsys.readouterr().out
    assert f"licence       {kept}" in printed
    assert (f"warning: {kept} forbids commercial use" in printed) is warns
    assert read_weights(str(output)).side_car.licence == kept
    other = ["weights", "convert", str(output), str(tmp_path / "b.pth"), "--to", "timm"]
    assert main([*other, "--licence", "MIT"]) == 2
    assert f"--licence MIT: {output} is under {kept}; leave it out" in capsys.readouterr().err


def test_class_names_from_a_file(source, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("ant\nbee\ncat\n")
    output = tmp_path / "a.pth"
    arguments = ["weights", "convert", str(source), str(output), "--to", "detectron2"]
    assert main([*arguments, "--class-names", str(names)]) == 0
    assert read_weights(str(output)).class_names == ("ant", "bee", "cat")
    names.write_text("ant\nbee\n")
    assert main([*arguments, "--force", "--class-names", str(names)]) == 2
    assert f"{names} has 2 names, the head of {source} 3 classes" in capsys.readouterr().err


def test_part_backbone_leaves_the_head_out(source, tmp_path, capsys):
    output = tmp_path / "a.pth"
    assert main(["weights", "convert", str(source), str(output), "--to", "timm", "--part",
                 "backbone"]) == 0  # fmt: skip
    assert "2 tensors left out, beside the backbone: linear" in capsys.readouterr().out
    assert not [key for key in torch.load(output, weights_only=True) if key.startswith("fc.")]


def test_what_is_there_stays_without_force(source, tmp_path, capsys):
    output = tmp_path / "a.pth"
    output.write_text("old")
    arguments = ["weights", "convert", str(source), str(output), "--to", "timm"]
    assert main(arguments) == 2
    assert "is there already: give another name, or --force" in capsys.readouterr().err
    assert output.read_text() == "old"
    assert main([*arguments, "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("no.pth", "a.pth", "--to", "timm"), "error: no.pth: no such file"),
        (("theirs.pth", "a.pkl", "--to", "timm"), "--to timm writes .pth or .safetensors"),
        (("theirs.pth", "theirs.pth", "--to", "timm", "--force"), "is the file that is read"),
        (("theirs.pth", "a.pth", "--to", "timm", "--json", "no/x.json"), "--json no/x.json"),
    ],
    ids=["source", "suffix", "itself", "json"],
)
def test_mistakes_are_told_in_one_line(arguments, told, source, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(source.parent)
    before = sorted(os.listdir())
    assert main(["weights", "convert", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.safetensors", ["--to", "safetensors"]),
        ("a.pyth", ["--to", "pycls"]),
        ("a.pth", ["--to", "detectron2", "--part", "backbone"]),
    ],
    ids=["safetensors", "pycls", "backbone"],
)
def test_what_is_written_is_verified_by_the_sources_outputs(name, arguments, source, tmp_path):
    output, record = str(tmp_path / name), tmp_path / "verified.json"
    assert main(["weights", "convert", str(source), output, *arguments]) == 0
    assert main(["weights", "verify", output, "--json", str(record)]) == 0
    checks = {row["name"]: row["status"] for row in json.loads(record.read_text())["checks"]}
    assert (checks["tensors"], checks["outputs"]) == ("passed", "passed")
