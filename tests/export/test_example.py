"""The example says in a line what images a detector takes, whatever the runtime would say."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "projects" / "OnnxInference" / "detect.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("cv2", reason="needs OpenCV: the extra `video`")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: the extra `export`")
    spec = importlib.util.spec_from_file_location("detect", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(shape: list[int | str], kind: str = "tensor(uint8)") -> Any:
    return SimpleNamespace(get_inputs=lambda: [SimpleNamespace(shape=shape, type=kind)])


def test_images_of_another_size_or_type(example: ModuleType) -> None:
    images = np.zeros((1, 64, 96, 3), np.uint8)
    example.check_input(session(["batch", "height", "width", 3]), images)
    example.check_input(session([1, 64, 96, 3]), images)
    with pytest.raises(ValueError, match="takes images of 2x64x80x3, these are 1x64x96x3 "):
        example.check_input(session([2, 64, 80, 3]), images)
    with pytest.raises(ValueError, match="takes tensor\\(uint8\\), the image is float32"):
        example.check_input(session([1, 64, 96, 3]), images.astype(np.float32))
    with pytest.raises(ValueError, match="takes tensor\\(float\\), the image is uint8"):
        example.check_input(session([1, 64, 96, 3], "tensor(float)"), images)


def test_a_picture_that_cannot_be_written(example: ModuleType, tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert not example.is_written(str(tmp_path / "none" / "a.png"), pixels)
    assert not example.is_written(str(tmp_path / "a.no_format"), pixels)
    assert example.is_written(str(tmp_path / "a.png"), pixels)
