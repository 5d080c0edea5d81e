"""The files find what the checkpoint finds, each in its own runtime.

Exporting takes seconds, so that each file is made once for all that is asked of it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from resnext_det.data.opened_image import Pixels
from resnext_det.export.comparison import Differences, compare
from resnext_det.export.packages import load_package
from resnext_det.export.runtimes import open_export
from resnext_det.export.source import read_source
from resnext_det.inference.images import read_pixels
from tests.export.conftest import Export, Trained, exported

EXAMPLE = Path(__file__).parents[2] / "projects" / "OnnxInference" / "detect.py"
# All that comes with the two packages that the example may need; the venv has many more.
ALLOWED = ("cv2", "numpy", "onnxruntime", "coloredlogs", "flatbuffers", "packaging", "google")


@pytest.fixture(scope="module")
def onnx(portable: Trained, tmp_path_factory: pytest.TempPathFactory) -> Export:
    pytest.importorskip("onnxscript", reason="needs onnxscript: the extra `export`")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: the extra `export`")
    data = f"shapes={portable.annotations}:{portable.bench.entry.image_root}"
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return exported(portable, file, "--test-data", data)


def differences(trained: Trained, file: Path, batch: list[Pixels]) -> Differences:
    run, _ = open_export(file, "onnx" if file.suffix == ".onnx" else "torch")
    detector = read_source(trained.checkpoint).detector
    return compare(detector.detect(batch), run(batch), score_thresh=0.05, most=100, margin=1e-3)


@pytest.mark.slow
def test_the_command_proves_what_it_writes(portable: Trained, onnx: Export) -> None:
    proof = onnx.found["proof"]
    assert proof["differences"]["images"] == len(portable.images) + 1  # one of them mirrored
    assert proof["runtime"].startswith("ONNX Runtime ")
    assert proof["differences"]["matched"] > 10
    assert proof["differences"]["unmatched"] == 0
    assert proof["differences"]["box"] < 0.01
    assert proof["precisions"]["checkpoint"] == proof["precisions"]["export"]
    assert onnx.found["problems"] == []
    assert onnx.found["megabytes"] == pytest.approx(onnx.file.stat().st_size / 1e6)
    assert sorted(path.name for path in onnx.file.parent.iterdir()) == ["model.json", "model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "height", "width"), [(1, 64, 96), (3, 33, 70), (1, 130, 17)], ids=str
)
def test_takes_any_number_of_any_size(
    portable: Trained, onnx: Export, number: int, height: int, width: int
) -> None:
    batch = list(
        np.random.default_rng(0).integers(0, 256, (number, height, width, 3), dtype=np.uint8)
    )
    apart = differences(portable, onnx.file, batch)
    assert apart.matched > 0
    assert (apart.unmatched, apart.box < 0.05, apart.score < 1e-3) == (0, True, True)


@pytest.mark.slow
def test_the_file_says_what_it_is(portable: Trained, onnx: Export) -> None:
    model = load_package("onnx").load(onnx.file)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["class_names"]) == ["red", "green"]
    assert json.loads(said["score_thresh"]) == 0.05
    assert len(said["config_digest"]) == 64
    assert said["resnext_det"]
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [20]
    assert [value.name for value in model.graph.output] == ["boxes", "scores", "classes", "batch"]
    load_package("onnx").checker.check_model(model)


def run_example(*words: object, block: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the example where nothing can be imported that its two packages do not bring."""
    code = f"""
import importlib.metadata, runpy, sys
allowed = {ALLOWED!r}
names = set(importlib.metadata.packages_distributions()) | {{"torch", "resnext_det"}}
for name in names - set(allowed):
    if {block} and name not in sys.stdlib_module_names and name not in sys.modules:
        sys.modules[name] = None
sys.argv = ["detect.py", *{[str(word) for word in words]!r}]
runpy.run_path({str(EXAMPLE)!r}, run_name="__main__")
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment
    )


@pytest.fixture(scope="module")
def _opencv() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV: the extra `video`")


@pytest.mark.slow
@pytest.mark.usefixtures("_opencv")
def test_the_example_needs_two_packages_only(
    portable: Trained, onnx: Export, tmp_path: Path
) -> None:
    picture = tmp_path / "found.png"
    image = portable.images[0]
    ended = run_example(onnx.file, image, "--score-thresh", "0.05", "--output", picture)
    assert ended.stderr == ""
    assert ended.returncode == 0
    rows = [line.split() for line in ended.stdout.splitlines()]
    found = read_source(portable.checkpoint).detector(image)
    assert len(rows) == len(found) > 0
    assert [row[0] for row in rows] == [found.class_names[k] for k in found.classes.tolist()]
    corners = torch.tensor([[float(value) for value in row[2:]] for row in rows])
    torch.testing.assert_close(corners, found.boxes, rtol=0, atol=0.06)  # rounded to 0.1
    assert read_pixels(str(picture)).shape == read_pixels(str(image)).shape


@pytest.mark.slow
@pytest.mark.usefixtures("_opencv")
def test_the_example_says_in_a_line_what_is_wrong(onnx: Export, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(onnx.file.read_bytes()[:5000])
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    for words, expected in [
        ((tmp_path / "none.onnx", text), "none.onnx: no such file"),
        ((broken, text), "broken.onnx: ONNX Runtime cannot load it: "),
        ((onnx.file, text), "text.jpg: OpenCV reads no image there"),
    ]:
        ended = run_example(*words, block=False)
        assert ended.returncode == 2
        assert expected in ended.stderr.splitlines()[-1]


@pytest.mark.long
def test_one_shape_only(portable: Trained, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript: the extra `export`")
    file = exported(portable, tmp_path / "fixed.onnx", "--fixed", "64x80x2").file
    session = load_package("onnxruntime").InferenceSession(file)
    assert session.get_inputs()[0].shape == [2, 64, 80, 3]
    if pytest.importorskip("cv2", reason="needs OpenCV: the extra `video`"):
        ended = run_example(file, portable.images[0], block=False)
        assert ended.returncode == 2
        assert ended.stderr == (
            "error: the detector takes images of 2x64x80x3, these are 1x64x96x3 (number, height, "
            "width, channels): resize, or export without --fixed\n"
        )


@pytest.mark.long
def test_a_torch_export_package(portable: Trained, tmp_path: Path) -> None:
    export = exported(portable, tmp_path / "model.pt2")
    assert export.found["proof"]["differences"]["box"] < 0.01
    extra = {"resnext_det.json": ""}
    torch.export.load(export.file, extra_files=extra)
    assert json.loads(json.loads(extra["resnext_det.json"])["class_names"]) == ["red", "green"]


@pytest.mark.long
def test_openvino(portable: Trained, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: the extra `openvino`")
    export = exported(portable, tmp_path / "model.xml")
    assert export.found["proof"]["runtime"].startswith("OpenVINO ")
    assert export.found["proof"]["differences"]["box"] < 0.01
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["model.bin", "model.json", "model.xml"]


@pytest.mark.long
def test_int8(portable: Trained, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs onnxscript: the extra `export`")
    images = portable.bench.entry.image_root
    data = f"shapes={portable.annotations}:{images}"
    words = ("--int8", "--calibration", images, "--test-data", data, "--ap-tolerance", 100)
    export = exported(portable, tmp_path / "int8.onnx", *words)
    int8 = export.found["int8"]
    assert int8["grouped"] in ("float", "int8")
    assert sorted(int8["seconds"]) == ["float", "grouped in float", "grouped in int8"]
    assert set(int8["proof"]["precisions"]) == {"name", "images", "checkpoint", "export"}
    model = load_package("onnx").load(export.file)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") > 10
    assert {entry.key for entry in model.metadata_props} > {"class_names", "config_digest"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8.json", "int8.onnx"]
