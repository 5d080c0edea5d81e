"""`resnext-det benchmark`: its mistakes, what it prints, writes and saves."""

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest
import torch

from resnext_det.acceleration import machine
from resnext_det.acceleration.setting import EXACT, acceleration_of_words
from resnext_det.cli import main
from resnext_det.data.opened_image import Pixels
from tests.benchmarking.conftest import TINY, drawn_images, in_process

__all__ = ["in_process"]
CPU = torch.device("cpu")
LAST = "float32 channels_last"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    def pictures() -> list[Pixels]:
        return drawn_images(2)

    monkeypatch.setattr("resnext_det.cli.benchmark.built_in_pictures", pictures)
    path = tmp_path / "tiny.yaml"
    lines = ["_BASE_: resnext_det://Base-RCNN-FPN.yaml", "MODEL:"]
    groups: dict[str, list[str]] = {}
    for key, value in TINY.items():
        _, group, name = key.split(".")
        groups.setdefault(group, []).append(f"{name}: {value}")
    lines += [f"  {group}: {{{', '.join(values)}}}" for group, values in groups.items()]
    path.write_text("\n".join(lines))
    return path


def small(config: Path, *words: str | Path) -> int:
    size = ["--image", "64x96", "--batch", "1", "--rounds", "1", "--settings", LAST]
    return main(["benchmark", "--config-file", str(config), *size, *map(str, words)])


def test_it_saves_the_fastest_and_writes_what_was_found(
    config, tmp_path, capsys, in_process, monkeypatch
):
    monkeypatch.setattr("sys.argv", ["resnext-det", "benchmark", "--rounds", "1"])
    assert small(config, "--save", "--device", "cpu", "--json", tmp_path / "found.json") == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["image"] == [64, 96]
    assert found["command"] == "resnext-det benchmark --rounds 1"
    assert {"hardware", "versions", "threads", "load_average_at_the_end"} <= found.keys()
    for mode in machine.MODES:
        words = found[mode]["chosen"]
        assert words in ("exact", LAST)
        assert machine.saved_acceleration(CPU, mode) == acceleration_of_words(words)
        assert f"{mode} from now on: {words} (saved in {machine.settings_file()})" in said
        assert found[mode]["tolerance"] in said
        assert [one["setting"] for one in found[mode]["screened"]] == ["exact", LAST]
        assert len(found[mode]["finals"]["rounds"]["cpu"]) == 1
        assert found[mode]["batches"][0]["images_per_second"][words] > 0
    assert "torchvision's Faster R-CNN: left out" in said


@pytest.mark.parametrize("words", [["--no-save"], []], ids=["said", "a choice of settings"])
def test_nothing_is_saved_where_that_is_not_wanted(words, config, tmp_path, capsys, in_process):
    machine.save_acceleration(EXACT, CPU, "inference")
    before = machine.settings_file().read_bytes()
    assert small(config, "--device", "cpu", *words, "--mode", "inference") == 0
    assert machine.settings_file().read_bytes() == before
    assert "saved" not in capsys.readouterr().out


def test_sigterm_leaves_no_folder(config, tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders = []

    def told_to_stop(screening, settings):
        folders.append(screening.bench.folder)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("resnext_det.benchmarking.screening.Screening.run", told_to_stop)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        small(config, "--device", "cpu", "--mode", "inference")
    assert caught.value.code == 128 + signal.SIGTERM
    assert folders[0].parent == tmp_path
    assert not folders[0].exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_detector_that_does_not_run_is_told_in_one_line(config, capsys, in_process, monkeypatch):
    monkeypatch.setattr("resnext_det.benchmarking.screening.Screening.run", refuse)
    assert small(config, "--mode", "training") == 2
    told = "training cannot be timed here: 9 GB are missing: give another --image, --batch"
    assert told in capsys.readouterr().err


def refuse(*_: object) -> None:
    from resnext_det.timing.processes import ContestantError

    raise ContestantError("9 GB are missing", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--image", "8"), "--image '8': give rows and columns of 32 pixels and more, as 800x1216"),
        (("--batch", "2", "0"), "--batch 0: give 1 or more"),
        (("--rounds", "0"), "--rounds 0: give 1 or more"),
        (("--settings", "warp"), "--settings 'warp': not known"),
        (("nothing.pth",), "nothing.pth"),
        (("--config-file", "nothing.yaml"), "nothing.yaml"),
        (("--json", "/nowhere/a.json"), "--json /nowhere/a.json: No such file or directory"),
        (("--device", "warp"), "device 'warp', on which torch cannot compute here"),
        (("--images", "nowhere"), "--images nowhere: no such folder"),
        (
            ("--config-file", "resnext_det://quick_schedules/classification_R_26.yaml"),
            "a classifier's config: give a detector's",
        ),
    ],
    ids=lambda value: value[0].strip("-") if isinstance(value, tuple) else "",
)
def test_mistakes_are_told_in_one_line(words, said, capsys):
    assert main(["benchmark", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", [(), ("--mode", "training")], ids=["both", "training"])
def test_a_broken_file_of_settings_is_told_before_anything_is_timed(words, config, capsys):
    path = machine.settings_file()
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert small(config, "--save", *words) == 2
    assert "remove machine.json" in capsys.readouterr().err


def test_without_write_access_it_is_told_before_anything_is_timed(
    config, capsys, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "file"))
    assert small(config, "--save") == 2
    assert "set RESNEXT_DET_CACHE to a folder that can" in capsys.readouterr().err


@pytest.mark.long
def test_all_settings_in_processes_of_their_own(config, capsys):
    size = ["--image", "64x96", "--batch", "1", "2", "--rounds", "2", "--device", "cpu"]
    assert main(["benchmark", "--config-file", str(config), *size]) == 0
    said = capsys.readouterr().out
    assert "inference from now on: " in said
    assert "training from now on: " in said
    assert "cannot" not in said
