"""Where a training step's time goes, by the kind of operation. Engine-neutral."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from projects.TrainingSpeed.contestants import Contestant, Step, Work
from projects.TrainingSpeed.workers import Workers

GROUPED, DENSE = "grouped convolution", "dense convolution"
KINDS: tuple[str, ...] = (
    GROUPED,
    DENSE,
    "BatchNorm",
    "ReLU",
    "copies and casts",
    "update",
    "other",
)
# How an operation's name begins -> its kind. Pooling, linear layer, additions, loss and the calls
# of Python's autograd are "other".
_BEGINNINGS = {
    "aten::native_batch_norm": "BatchNorm",
    "aten::cudnn_batch_norm": "BatchNorm",
    "aten::batch_norm": "BatchNorm",
    "aten::_batch_norm_impl": "BatchNorm",
    "aten::relu": "ReLU",
    "aten::clamp_min": "ReLU",  # as relu_ is computed
    "aten::threshold_backward": "ReLU",
    "aten::copy_": "copies and casts",
    "aten::_to_copy": "copies and casts",
    "Optimizer.": "update",
}
# Operation -> where its input and its weight are among its arguments.
_CONVOLUTIONS = {
    "aten::conv2d": (0, 1),
    "aten::convolution": (0, 1),
    "aten::_convolution": (0, 1),
    "aten::mkldnn_convolution": (0, 1),
    "aten::cudnn_convolution": (0, 1),
    "aten::convolution_backward": (1, 2),
}


def where_time_goes(
    contestants: dict[str, Contestant], work: Work, warm_up: int
) -> dict[str, dict[str, float]]:
    """Profiles one step of each.

    Returns:
        name -> kind of KINDS -> seconds, of the GPU's kernels or of the processor (which the
        profiler itself slows down); those that cannot run are left out.
    """
    with Workers(contestants, work, warm_up) as workers:
        return {name: profile_step(s, work.device) for name, s in workers.steps.items()}


def profile_step(step: Step, device: str) -> dict[str, float]:
    """Profiles one step: kind -> seconds."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    with profile(activities=activities, record_shapes=True) as profiler:
        step()
        if device == "cuda":
            torch.cuda.synchronize()
    return seconds_by_kind(profiler.events() or (), device)


def seconds_by_kind(events: Iterable[Any], device: str) -> dict[str, float]:
    """Adds up each event's own time under the innermost operation around it that has a kind.

    Args:
        events: the profiler's FunctionEvents. Kernels hang on the operations that start them.
        device: "cuda" counts the kernels' time, "cpu" the processor's.
    """
    found = dict.fromkeys(KINDS, 0.0)
    for event in events:
        if event.device_type == torch.autograd.DeviceType.CPU:
            own = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
            found[kind_of(event)] += own / 1e6  # from microseconds
    return {kind: round(seconds, 6) for kind, seconds in found.items()}


def kind_of(event: Any) -> str:
    """Returns the kind of an event, of KINDS."""
    while event is not None:
        if event.name in _CONVOLUTIONS:
            return _kind_of_convolution(event)
        for beginning, kind in _BEGINNINGS.items():
            if event.name.startswith(beginning):
                return kind
        event = event.cpu_parent
    return "other"


def _kind_of_convolution(event: Any) -> str:
    """Compares the channels of the input with those of the weight, (C_out, C_in / G, k, k)."""
    inputs, weight = (event.input_shapes[place] for place in _CONVOLUTIONS[event.name])
    return GROUPED if inputs[1] != weight[1] else DENSE
