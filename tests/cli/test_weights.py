"""The verb weights: what it prints, its exit status and its JSON. Engine-neutral."""

import json
from pathlib import Path

import pytest
import torch
import torchvision
from rich.console import Console

from resnext_det.cli import main
from resnext_det.cli.weights_verbs import inspect
from tests.weights.inspected_files import torchvision_state, write_ours


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def state():
    return torchvision_state()


def weights(*argv):
    return main(["weights", *argv])


def test_inspect(capsys, state):
    torch.save(state, "w.pth")
    assert weights("inspect", "w.pth", "--json", "w.json") == 0
    printed = capsys.readouterr().out
    for words in (
        "w.pth (torch, ",
        "torchvision's",
        "ResNet-18 = resnet18 (1x64d, basic blocks, 2-2-2-2 of them, imagenet stem, norm BN)",
        "classifier, 5 classes",
        "100.0% of the tensors",
        "RGB, mean 123.675, 116.28, 103.53",
        "so says its tensors' names",
        "suspicious  nothing",
        "MODEL.RESNETS.VARIANT resnet18",
    ):
        assert words in printed
    assert max(map(len, printed.splitlines())) <= 140
    with open("w.json", encoding="utf-8") as file:
        found = json.load(file)
    assert found["architecture"]["variant"] == "resnet18"
    assert "tensor_list" not in found


def test_inspect_lists_tensors(capsys, state):
    torch.save(state, "w.pth")
    assert weights("inspect", "w.pth", "--tensors", "--json", "w.json") == 0
    printed = capsys.readouterr().out
    assert "64x3x7x7" in printed
    assert "layer1.0.bn1.num_batches_tracked" in printed
    with open("w.json", encoding="utf-8") as file:
        rows = json.load(file)["tensor_list"]
    assert [row["name"] for row in rows] == list(state)
    assert rows[0]["largest"] == pytest.approx(float(state["conv1.weight"].max()))


def test_inspect_a_file_that_no_model_fits(capsys):
    torch.save(torchvision.models.vgg.make_layers([8, "M", 16]).state_dict(), "vgg.pth")
    assert weights("inspect", "vgg.pth") == 0
    printed = capsys.readouterr().out
    assert "of nobody that is known here (0.weight, 0.bias, 3.weight …)" in printed
    assert "network     not known" in printed
    assert "use with" not in printed


def test_odd_names_neither_style_nor_break_lines(capsys):
    torch.save({"[red]a\nb[/red]": torch.ones(1), "[/x]": torch.full((2,), torch.nan)}, "w.pth")
    assert weights("inspect", "w.pth", "--tensors", "--json", "w.json") == 0
    printed = capsys.readouterr().out
    assert r"[red]a\nb[/red]" in printed
    assert "NaN or infinity: a run that diverged wrote it ([/x])" in printed


def test_a_file_that_is_none(capsys):
    assert weights("inspect", "nowhere.pth") == 2
    assert capsys.readouterr().err == "error: nowhere.pth: no such file\n"


@pytest.mark.parametrize("action", [("inspect",), ("verify",), ("diff", "x.pth")], ids=str)
def test_json_is_checked_before_anything_is_read(capsys, action):
    for name in ("x.pth", "y.pth"):
        Path(name).write_text("no weights")
    assert weights(*action, "y.pth", "--json", "missing/w.json") == 2
    assert "--json missing/w.json: No such file or directory: missing" in capsys.readouterr().err


def test_verify(capsys, state):
    write_ours("w.safetensors", state)
    assert weights("verify", "w.safetensors", "--json", "w.json") == 0
    printed = capsys.readouterr().out
    assert "their sha256 is the side-car's" in printed
    assert "verified: everything that could be compared is equal" in printed
    with open("w.json", encoding="utf-8") as file:
        found = json.load(file)
    assert found["verdict"] == "passed"
    outputs = next(row for row in found["checks"] if row["name"] == "outputs")
    assert outputs["difference"] <= outputs["tolerance"] == 1e-4


def test_verify_fails_and_has_nothing_to_do(capsys, state):
    write_ours("w.safetensors", state, sha256="0" * 64)
    assert weights("verify", "w.safetensors") == 1
    assert "not verified: see what failed" in capsys.readouterr().out
    torch.save(torch.nn.Conv2d(1, 1, 1).state_dict(), "w.pth")
    assert weights("verify", "w.pth") == 2
    assert "w.pth: no plain ResNet or ResNeXt" in capsys.readouterr().err


def test_diff(capsys, state):
    torch.save(state, "a.pth")
    write_ours("b.safetensors", state)
    assert weights("diff", "a.pth", "b.safetensors", "--json", "d.json") == 0
    printed = capsys.readouterr().out
    assert "122 tensors, to the bit" in printed
    assert printed.rstrip().endswith("the same")
    with open("d.json", encoding="utf-8") as file:
        assert json.load(file)["same"] is True
    torch.save(state | {"conv1.weight": state["conv1.weight"] + 0.5}, "c.pth")
    assert weights("diff", "a.pth", "c.pth") == 1
    assert "stem.conv1.weight: by up to 0.5" in capsys.readouterr().out
    assert weights("diff", "a.pth", "c.pth", "--tolerance", "0.6") == 0
    assert "the same, within the tolerance" in capsys.readouterr().out
    assert weights("diff", "a.pth", "nowhere.pth") == 2


@pytest.mark.parametrize("number", ["-1", "nan", "inf", "x"])
def test_tolerances_that_are_none(number):
    with pytest.raises(SystemExit) as error:
        weights("diff", "a", "b", f"--tolerance={number}")
    assert error.value.code == 2


def test_one_screen_of_80_columns(capsys, state, monkeypatch):
    monkeypatch.setattr(inspect, "open_console", lambda _: Console(width=80))
    torch.save(state, "w.pth")
    assert weights("inspect", "w.pth") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 25


def test_an_interrupt_is_one_line_and_leaves_no_file(capsys, state, monkeypatch, tmp_path):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    torch.save(state, "w.pth")
    monkeypatch.setattr("resnext_det.weights.writing.weights_of_file", interrupt)
    monkeypatch.setattr("resnext_det.whole_files.os.replace", interrupt)
    assert weights("convert", "w.pth", "o.safetensors", "--to", "timm") == 130
    assert capsys.readouterr().err == "interrupted: no file was left half written\n"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["w.pth"]


def test_a_folder_is_no_output(capsys, state, tmp_path):
    torch.save(state, "w.pth")
    (tmp_path / "folder").mkdir()
    assert weights("convert", "w.pth", "folder", "--to", "timm") == 2
    assert "folder: is a folder: name a file" in capsys.readouterr().err
