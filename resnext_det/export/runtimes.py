"""Runs exported detectors, each in the runtime it is made for. Engine-neutral."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resnext_det.data.opened_image import Pixels
from resnext_det.export.formats import Format
from resnext_det.export.packages import load_package
from resnext_det.structures import Detections

Runner = Callable[[Sequence[Pixels]], list[Detections]]
"""From images of one size, (H, W, 3) uint8 RGB, to what the exported detector finds in each."""
_Arrays = Callable[[NDArray[np.uint8]], Sequence[NDArray[Any]]]


def open_export(path: Path, kind: Format) -> tuple[Runner, str]:
    """Loads an exported detector.

    Args:
        path: the file.
        kind: its format.

    Returns:
        What runs it, and the runtime's name with its version.

    Raises:
        UserError: the runtime is not installed.
    """
    opened = {"onnx": _open_onnx, "torch": _open_torch, "openvino": _open_openvino}[kind]
    run, runtime = opened(path)

    def find(images: Sequence[Pixels]) -> list[Detections]:
        batch = np.stack([np.ascontiguousarray(pixels) for pixels in images])
        boxes, scores, classes, places = (torch.from_numpy(np.array(part)) for part in run(batch))
        return [
            Detections(boxes[places == k], scores[places == k], classes[places == k])
            for k in range(len(images))
        ]

    return find, runtime


def _open_onnx(path: Path) -> tuple[_Arrays, str]:
    onnxruntime = load_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; a warning is about its own choice of memory
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(
        None, {"images": batch}
    ), f"ONNX Runtime {_version('onnxruntime')}"


def _open_torch(path: Path) -> tuple[_Arrays, str]:
    module = torch.export.load(path).module()

    def run(batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
        with torch.no_grad():
            return [part.numpy() for part in module(torch.from_numpy(batch))]

    return run, f"torch {torch.__version__}"


def _open_openvino(path: Path) -> tuple[_Arrays, str]:
    openvino = load_package("openvino")
    # Processors with bfloat16 would be given it otherwise, which holds no pixel exactly.
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(path, "CPU", hints)
    return lambda batch: list(compiled(batch).values()), f"OpenVINO {_version('openvino')}"


def _version(package: str) -> str:
    return str(load_package(package).__version__).split("-")[0]
