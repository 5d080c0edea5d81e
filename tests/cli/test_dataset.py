"""The dataset verb: kinds, exit statuses, what is printed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.cli import main
from resnext_det.data.manifest import read_manifest


def make_folder(root: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((4, 5, 3), number, np.uint8)).save(folder / f"{number}.png")
    return root


def prepare(*words: str | Path) -> int:
    return main(["dataset", "prepare", *map(str, words)])


def test_a_folder_is_counted(tmp_path, capsys):
    make_folder(tmp_path, {"train/ant": 3, "train/cat": 2, "val/ant": 1, "val/cat": 1})
    assert prepare("folder", tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{tmp_path}/train: 5 images of 2 classes, 2 to 3 a class",
        f"{tmp_path}/val: 2 images of 2 classes, 1 to 1 a class",
        f"0 broken image(s); manifest in {tmp_path}",
    ]
    assert printed.err == ""  # no bar in a pipe
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "train", "val"]
    assert read_manifest(tmp_path).splits["train"].classes == {"ant": 3, "cat": 2}


def test_broken_images_are_named(tmp_path, capsys):
    make_folder(tmp_path, {"train/ant": 3})
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "train/ant/0.png")
    good = (tmp_path / "train/ant/0.png").read_bytes()
    (tmp_path / "train/ant/1.png").write_bytes(b"")
    (tmp_path / "train/ant/2.png").write_bytes(good[: len(good) // 2])
    assert prepare("folder", tmp_path) == 1
    assert capsys.readouterr().out.count("broken: ") == 1  # the header of 2.png is sound
    assert prepare("folder", tmp_path, "--decode") == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("broken: ")]
    assert [line.split(":")[1].strip() for line in lines] == [
        f"{tmp_path}/train/ant/1.png",
        f"{tmp_path}/train/ant/2.png",
    ]


def test_an_interrupt_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("resnext_det.cli.prepare.folder.check_folder", interrupt)
    assert prepare("folder", tmp_path) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_no_split(tmp_path, capsys):
    assert prepare("folder", tmp_path) == 2
    expected = f"error: {tmp_path}: no train/, val/ or test/ folder of class folders in it\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("kind", ["imagenet-1k", "imagenet-5k", "cifar10", "cifar100", "folder"])
def test_every_kind_has_help(kind, capsys):
    with pytest.raises(SystemExit) as ended:
        prepare(kind, "--help")
    assert ended.value.code == 0
    assert f"dataset prepare {kind}" in capsys.readouterr().out
