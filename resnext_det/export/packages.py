"""The packages that exporting needs beside torch, and what to install. Engine-neutral."""

import importlib
from typing import Any

from resnext_det.errors import UserError

_EXTRAS = {
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "openvino": "openvino",
}


def load_package(name: str) -> Any:
    """Imports a package that may be absent; none of them is typed.

    Raises:
        UserError: it is not installed; the line says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        extra = _EXTRAS[package]
        raise UserError(
            f"this export needs {package}, which is not installed: "
            f"pip install 'resnext-det[{extra}]'"
        ) from error
