"""Writes a detector as ONNX, as a torch.export package, or as OpenVINO's files. Portable."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resnext_det.export.exportable import ExportableDetector, Suppression
from resnext_det.export.formats import FixedShape, Format
from resnext_det.export.packages import load_package
from resnext_det.export.resize import ResizeAndPad
from resnext_det.export.source import ExportSource
from resnext_det.export.suppression import (
    OPSET,
    grouped_nms,
    onnx_translations,
    opaque_grouped_nms,
)

OUTPUTS = ("boxes", "scores", "classes", "batch")
METADATA_FILE = "resnext_det.json"
"""In a torch.export package, among its extra files."""
_EXAMPLE = (2, 96, 128, 3)
_TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir")


def check_packages(kind: Format, *, int8: bool = False) -> None:
    """Checks that what a format needs is installed.

    Raises:
        UserError: it is not; the line says how to install it.
    """
    needed = ["onnx", "onnxscript", "onnxruntime"] if kind != "torch" else []
    needed += ["openvino"] if kind == "openvino" else []
    needed += ["onnxruntime.quantization"] if int8 else []
    for name in needed:
        load_package(name)


def write_export(source: ExportSource, kind: Format, path: Path, fixed: FixedShape | None) -> None:
    """Writes a detector.

    Args:
        source: the detector.
        kind: the format.
        path: the file; OpenVINO's weights lie beside it in a `.bin`.
        fixed: the one shape it takes; None for every number and size of images.

    Raises:
        UserError: a package is missing.
    """
    if kind == "torch":
        _write_torch(source, path, fixed)
    elif kind == "onnx":
        _write_onnx(source, path, fixed)
    else:
        _write_openvino(source, path, fixed)


def exportable(
    source: ExportSource, fixed: FixedShape | None, suppress: Suppression = grouped_nms
) -> ExportableDetector:
    """Returns the detector as one module, sharing the weights; see `ExportableDetector`."""
    model, cfg = source.model, source.cfg
    resize = ResizeAndPad(
        short=cfg.INPUT.MIN_SIZE_TEST,
        max_size=cfg.INPUT.MAX_SIZE_TEST,
        divisor=max(model.backbone.size_divisibility, 1),
        bgr=cfg.INPUT.FORMAT == "BGR",
        pixel_mean=model.pixel_mean,
        pixel_std=model.pixel_std,
        size=None if fixed is None else (fixed.height, fixed.width),
    )
    return ExportableDetector(model, resize, suppress).eval()


def _write_torch(source: ExportSource, path: Path, fixed: FixedShape | None) -> None:
    with torch.no_grad(), _quiet():
        program = torch.export.export(
            exportable(source, fixed), (_example(fixed),), dynamic_shapes=_dynamic(fixed)
        )
        content = json.dumps(source.metadata(), indent=1)
        torch.export.save(program, path, extra_files={METADATA_FILE: content})


def _write_onnx(source: ExportSource, path: Path, fixed: FixedShape | None) -> None:
    detector = exportable(source, fixed, opaque_grouped_nms)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            detector,
            (_example(fixed),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=list(OUTPUTS),
            dynamic_shapes=_dynamic(fixed),
            custom_translation_table=onnx_translations(),
            verbose=False,
        )
        assert program is not None
        program.model.producer_name = "resnext_det"
        program.model.metadata_props.update(source.metadata())
        program.save(path, external_data=False)


def _write_openvino(source: ExportSource, path: Path, fixed: FixedShape | None) -> None:
    openvino = load_package("openvino")
    onnx = path.with_suffix(".onnx")
    _write_onnx(source, onnx, fixed)
    model = openvino.convert_model(onnx)
    for key, value in source.metadata().items():
        model.set_rt_info(value, ["resnext_det", key])
    openvino.save_model(model, path, compress_to_fp16=False)
    del model  # it reads from the file that goes
    onnx.unlink()


def _example(fixed: FixedShape | None) -> Tensor:
    shape = _EXAMPLE if fixed is None else (fixed.number, fixed.height, fixed.width, 3)
    return torch.zeros(shape, dtype=torch.uint8)


def _dynamic(fixed: FixedShape | None) -> Any:
    if fixed is not None:
        return None
    names = ("batch", "height", "width")
    return ({place: torch.export.Dim(name) for place, name in enumerate(names)},)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps to itself what exporters say of their own inner ways."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
