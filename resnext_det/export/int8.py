"""Static quantisation of an exported ONNX file to 8 bits. Engine-neutral."""

import logging
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resnext_det.data.opened_image import Pixels
from resnext_det.export.packages import load_package
from resnext_det.export.runtimes import Runner, open_export

Grouped = Literal["auto", "float", "int8"]
ROUNDS = 5
_QUANTIZED = ("Conv", "Gemm")
# What says where a box is and what is in it: a thousandth of the work, and 8 bits are too few.
_LAST_LAYERS = ("box_predictor", "rpn_head.objectness_logits", "rpn_head.anchor_deltas")


@dataclass(frozen=True)
class Quantized:
    """What came of quantising.

    Attributes:
        grouped: "int8" or "float", what grouped convolutions compute in.
        seconds: by what was tried, for one batch: the median of several alternating runs.
    """

    grouped: Literal["float", "int8"]
    seconds: Mapping[str, float]


class _Reader:
    """Gives calibration images one batch at a time, as onnxruntime wants to be given them."""

    def __init__(self, batches: Sequence[Sequence[Pixels]]) -> None:
        self._batches: Iterator[Sequence[Pixels]] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """Returns the inputs of the next batch, or None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": np.stack(batch)}


def quantize(
    float_file: Path,
    int8_file: Path,
    batches: Sequence[Sequence[Pixels]],
    metadata: Mapping[str, str],
    grouped: Grouped = "auto",
) -> Quantized:
    """Quantises convolutions and linear layers, but for the last ones.

    Weights have 7 of their 8 bits, a scale for each channel; processors without VNNI overflow
    with more. Activations have 8, their range being the smallest and largest value seen.

    Args:
        float_file: as exported.
        int8_file: is written. Its folder is this function's to write to.
        batches: calibration images, those of one size together; at least one.
        metadata: of the file.
        grouped: what grouped convolutions compute in: "auto" tries both and takes the faster.

    Raises:
        UserError: a package is missing.
    """
    variants: tuple[Literal["float", "int8"], ...] = (
        ("float", "int8") if grouped == "auto" else (grouped,)
    )
    files = {variant: int8_file.with_suffix(f".{variant}.onnx") for variant in variants}
    ranges = int8_file.with_suffix(".ranges.json")  # calibrated once for all variants
    for variant, file in files.items():
        _quantize(float_file, file, _Reader(batches), ranges, grouped_in_float=variant == "float")
    runs = {name: open_export(file, "onnx")[0] for name, file in files.items()}
    whole_float = open_export(float_file, "onnx")[0]
    named = {f"grouped in {name}": run for name, run in runs.items()}
    seconds = time_alternately({"float": whole_float, **named}, batches[0])
    fastest = min(variants, key=lambda name: seconds[f"grouped in {name}"])
    _name(files[fastest], int8_file, metadata)
    for file in (*files.values(), ranges):
        file.unlink()
    return Quantized(fastest, seconds)


def time_alternately(runs: Mapping[str, Runner], batch: Sequence[Pixels]) -> dict[str, float]:
    """Returns the median seconds that each takes for a batch, run in turn after one to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run(batch)
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(several[1:]) for name, several in taken.items()}


def _quantize(
    float_file: Path, int8_file: Path, reader: _Reader, ranges: Path, *, grouped_in_float: bool
) -> None:
    quantization = load_package("onnxruntime.quantization")
    with _quiet():
        quantization.quantize_static(
            float_file,
            int8_file,
            reader,
            op_types_to_quantize=list(_QUANTIZED),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=_in_float(float_file, grouped_in_float),
            calibration_cache_path=ranges,
        )


def _in_float(file: Path, grouped_in_float: bool) -> list[str]:
    """Returns the names of the layers that stay as they are."""
    graph = load_package("onnx").load(file).graph
    return [
        node.name
        for node in graph.node
        if node.op_type in _QUANTIZED
        and (
            any(layer in node.input[1] for layer in _LAST_LAYERS)
            or (grouped_in_float and _groups(node) > 1)
        )
    ]


def _groups(node: Any) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def _name(file: Path, named: Path, metadata: Mapping[str, str]) -> None:
    onnx = load_package("onnx")
    model = onnx.load(file)
    model.producer_name = "resnext_det"
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, named)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps advice to itself that is for other kinds of models; it goes to the root logger."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
