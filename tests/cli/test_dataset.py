"""The dataset verb: kinds, exit statuses, what is printed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.cli import main
from resnext_det.cli.prepare import cifar as cifar_kind
from resnext_det.cli.prepare import imagenet_1k as imagenet_1k_kind
from resnext_det.data.manifest import read_manifest
from tests.data.preparing import tiny_cifar, tiny_imagenet


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
        f"{tmp_path}/val: 2 images of 2 classes, 1 a class",
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


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the built-in sets, for archives smaller than those published."""
    monkeypatch.setattr(imagenet_1k_kind, "PUBLISHED", tiny_imagenet.TINY)
    monkeypatch.setattr(cifar_kind, "PUBLISHED", {"cifar10": tiny_cifar.TINY})
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def test_one_shard_is_one(tmp_path, capsys):
    make_folder(tmp_path, {"train/ant": 2})
    assert prepare("shards", tmp_path / "train", tmp_path / "out") == 0
    expected = f"{tmp_path}/out: 2 images of 1 classes in 1 shard, "
    assert capsys.readouterr().out.startswith(expected)


def test_the_command_says_what_it_is_for(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "classifiers, detectors and the data they are trained on" in capsys.readouterr().out


def test_imagenet_out_of_a_folder_of_archives(datasets, tmp_path, capsys):
    archives = tiny_imagenet.make_archives(tmp_path / "downloads")
    imagenet = datasets / "imagenet"
    assert prepare("imagenet-1k", tmp_path / "downloads") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{imagenet}/val: 7 images of 3 classes: prepared",
        f"{imagenet}/train: 9 images of 3 classes: prepared",
    ]
    assert printed.err == ""  # no bar in a pipe
    assert prepare("imagenet-1k", "--train", archives.train) == 0
    printed = capsys.readouterr().out
    assert printed == (
        f"{imagenet}/train: 9 images of 3 classes: was prepared before; nothing to do\n"
    )
    assert prepare("imagenet-1k", "--val", archives.val, "--output", tmp_path / "a") == 2
    assert capsys.readouterr().err == (
        f"error: {archives.val}: its labels are in ILSVRC2012_devkit_t12.tar.gz: give it as "
        "--devkit\n"
    )


def test_imagenet_out_of_nothing(datasets, tmp_path, capsys):
    names = "neither ILSVRC2012_img_train.tar nor ILSVRC2012_img_val.tar"
    assert prepare("imagenet-1k") == 2
    assert capsys.readouterr().err == f"error: nothing to unpack: there is {names}\n"
    assert prepare("imagenet-1k", tmp_path) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}: holds {names}\n"
    assert prepare("imagenet-1k", tmp_path / "no") == 2
    assert "no such folder; give an archive as --train or --val" in capsys.readouterr().err


@pytest.mark.usefixtures("no_handlers_left")
def test_a_run_on_a_prepared_set(datasets, tmp_path, capsys):
    archive = tiny_cifar.make_cifar(tmp_path, "cifar10", images=20)
    assert prepare("cifar10", archive) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{datasets}/cifar10/train: 100 images of 4 classes: prepared",
        f"{datasets}/cifar10/test: 20 images of 4 classes: prepared",
    ]
    words = ["DATASETS.TRAIN", "['cifar10_train']", "DATASETS.TEST", "['cifar10_test']"]
    words += ["OUTPUT_DIR", str(tmp_path / "run"), "SOLVER.MAX_ITER", "1", "MODEL.DEVICE", "cpu"]
    words += ["SOLVER.IMS_PER_BATCH", "4", "MODEL.CLASSIFIER.NUM_CLASSES", "4"]
    words += ["DATALOADER.NUM_WORKERS", "0"]
    config = "resnext_det://quick_schedules/classification_R_26.yaml"
    assert main(["train", "--config-file", config, *words]) == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["metrics"]
    assert "model_final.pth" in {path.name for path in (tmp_path / "run").iterdir()}
