"""The getting-started page: its commands are run as they stand, in its order."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import resnext_det.cli
from projects.GettingStarted.make_photos import CLASSES, FORMATS, draw, make_photos
from resnext_det.cli import main
from resnext_det.config import load_config
from resnext_det.data.converting.convert import ConvertOptions, convert
from resnext_det.errors import UserError
from tests.data.converting.folders import boxes_of

REPOSITORY = Path(__file__).parents[2]
PROJECT = REPOSITORY / "projects" / "GettingStarted"
PAGE = (PROJECT / "README.md").read_text()
FETCHED = "torchvision://resnext50_32x4d/IMAGENET1K_V1"


def commands_of(page: str) -> list[list[str]]:
    """The words of each command in the page's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(part) for line in lines for part in line.split(" && ")]


MADE = (
    "check/check.html",
    "run/model_final.pth",
    "wrong/evaluation.html",
    "found/pictures/shapes_000.jpg",
    "found/detections.csv",
    "yolo.json",
    "labelme.json",
    "coco_val.json",
)


COMMANDS = commands_of(PAGE)
INLINE = [
    shlex.split(code)
    for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S))
    if code.startswith("resnext-det ")
]


def test_the_page_has_every_step():
    verbs = [" ".join(words[1:3] if words[1] == "dataset" else words[1:2]) for words in COMMANDS]
    steps = ["dataset convert", "dataset check", "train", "evaluate", "predict", "export"]
    assert [verb for verb in dict.fromkeys(verbs) if verb in steps] == steps


@pytest.mark.parametrize("words", [*COMMANDS, *INLINE], ids=lambda words: " ".join(words)[:60])
def test_every_command_has_options_that_exist(words, monkeypatch):
    monkeypatch.chdir(PROJECT)  # from where ../projects/ is what it is from output/
    if words[0] == "resnext-det":
        args = resnext_det.cli._parser_for(words[1:]).parse_args(words[1:])
        if words[1] == "train":
            file = args.config_file.replace("../projects", "..")
            load_config(file, [*args.opts, "OUTPUT_DIR", "run"])
    elif words[0] == "python":
        source = (REPOSITORY / words[1].removeprefix("../")).read_text()
        assert all(f'"{word}"' in source for word in words if word.startswith("--"))
    else:
        assert words in (["mkdir", "-p", "output"], ["cd", "output"])


def drawn_boxes(number: int) -> list[tuple[str, str, list[float]]]:
    return sorted(
        (f"shapes_{n:03}.jpg", CLASSES[shape.label], [x0, y0, x1 - x0, y1 - y0])
        for n in range(number)
        for shape in draw(n)[1]
        for x0, y0, x1, y1 in [shape.box]
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_drawn_is_what_is_converted(tmp_path, kind):
    make_photos(tmp_path / "photos", kind, 5)
    done = convert(tmp_path / "photos", tmp_path / "set.json", ConvertOptions())
    assert done.format == kind
    content = json.loads((tmp_path / "set.json").read_text())
    found = [(name.rpartition("/")[2], label, box) for name, label, box in boxes_of(content)]
    assert [item[:2] for item in found] == [item[:2] for item in drawn_boxes(5)]
    for (_, _, box), (_, _, drawn) in zip(found, drawn_boxes(5), strict=True):
        assert box == pytest.approx(drawn, abs=1e-3)


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.jpg").touch()
    with pytest.raises(UserError, match="is not empty; name a new folder"):
        make_photos(tmp_path, "voc", 1)
    with pytest.raises(UserError, match=r"mine\.jpg: Not a directory"):
        make_photos(tmp_path / "mine.jpg", "voc", 1)


def copy_of_projects(tmp_path: Path) -> Path:
    """A folder to give the commands in; its projects are these, but for what a test changes."""
    (tmp_path / "projects" / "GettingStarted").mkdir(parents=True)
    (tmp_path / "projects" / "OnnxInference").symlink_to(REPOSITORY / "projects/OnnxInference")
    for path in PROJECT.iterdir():
        if path.is_file():
            (tmp_path / "projects" / "GettingStarted" / path.name).write_text(path.read_text())
    return tmp_path


def run_here(words: Sequence[str], expected: int = 0) -> None:
    """Runs a command in this process where that saves the seconds that torch's import takes."""
    if words[0] == "resnext-det":
        assert main(words[1:]) == expected, words
        return
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, *words[1:]], check=True, env=environment, timeout=300)


@pytest.fixture
def needs_export() -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    pytest.importorskip("onnxscript", reason="needs the extra export")
    pytest.importorskip("cv2", reason="needs OpenCV")


@pytest.mark.slow
@pytest.mark.usefixtures("no_handlers_left")
def test_the_page_with_a_short_training(tmp_path, monkeypatch):
    """Eight updates; the export, half a minute of one core, is left to the test below."""
    config = copy_of_projects(tmp_path) / "projects/GettingStarted/shapes.yaml"
    shorter = config.read_text().replace("MAX_ITER: 200", "MAX_ITER: 8")
    config.write_text(shorter.replace("STEPS: [160]", "STEPS: [6]"))
    (tmp_path / "output").mkdir()
    monkeypatch.chdir(tmp_path / "output")
    for words in COMMANDS:
        is_run = words[0] in ("resnext-det", "python") and "model.onnx" not in words
        if is_run and FETCHED not in words:
            run_here(words)
    check_outputs(tmp_path / "output", *MADE)


@pytest.mark.long
@pytest.mark.timeout(3600)  # two minutes of one core, on a machine that does much else
@pytest.mark.usefixtures("needs_export")
def test_the_page_to_the_letter(tmp_path):
    """A shell is given the page's blocks, but for the last, whose weights are fetched."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert [FETCHED in block for block in blocks] == [False] * (len(blocks) - 1) + [True]
    python = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, start in (
        ("resnext-det", f"{sys.executable} -m resnext_det"),
        ("python", sys.executable),
    ):
        (commands / name).write_text(f'#!/bin/sh\nexec {start} "$@"\n')
        (commands / name).chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment["PATH"] = f"{commands}{os.pathsep}{os.environ['PATH']}"
    (copy_of_projects(tmp_path) / "program.py").write_text("".join(python))
    script = "set -e\n" + "".join(blocks[:-1]) + "python ../program.py\n"
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=3500)
    output = tmp_path / "output"
    check_outputs(output, *MADE, "model.onnx", "seen.png")
    metrics = json.loads((output / "run/result.json").read_text())["metrics"]
    assert metrics["AP50"] > 40, metrics


@pytest.mark.long
@pytest.mark.usefixtures("no_handlers_left")
def test_the_last_command_with_weights_of_a_file(tmp_path, monkeypatch):
    """Two updates, from random weights of the form of those that would be fetched."""
    import torch
    from torchvision.models import resnext50_32x4d

    monkeypatch.chdir(tmp_path)
    torch.save(resnext50_32x4d(weights=None).state_dict(), "x50.pth")
    make_photos(Path("photos"), "voc", 6)
    assert main(["dataset", "convert", "photos", "-o", "set.json", "--split", "0.8"]) == 0
    words = ["x50.pth" if word == FETCHED else word for word in COMMANDS[-1]]
    words += ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[1]", "INPUT.MIN_SIZE_TRAIN", "[128]"]
    run_here([*words, "INPUT.MIN_SIZE_TEST", "128", "DATALOADER.NUM_WORKERS", "0"])
    assert Path("run_x50/model_final.pth").is_file()


def check_outputs(output: Path, *made: str) -> None:
    assert [name for name in made if not (output / name).is_file()] == []
