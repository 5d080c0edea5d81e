"""A small classifier and a small detector, run once on the device there is. Portable."""

import sys
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from resnext_det.config import load_config
from resnext_det.doctor.findings import Finding, fine, note, problem, said
from resnext_det.doctor.in_child import answer, look_in_child
from resnext_det.engines.portable.from_config import detector_from_config
from resnext_det.modeling import Classifier
from resnext_det.structures import DetectionSample

_DETECTOR = "resnext_det://quick_schedules/faster_rcnn_X_26_30x2d_half_FPN.yaml"
_SIDE = 64  # pixels
_SLOW = 5.0  # seconds; both take less than one on one core
_ADVICE = "No run on this device will work before this does; see what is said above of cuda"
_ABSENT_ADVICE = "Give --device cpu, or another GPU; see what is said above of cuda"

Apply = Callable[[nn.Module, Tensor], list[Tensor]]


def look(device: str | None) -> Iterator[Finding]:
    """Runs both networks in a process of their own; see `run_both`."""
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if absent := _absence(chosen):
        yield problem("networks", absent, _ABSENT_ADVICE, device=chosen)
        return
    yield from look_in_child("networks", __name__, [chosen], _ADVICE)


def run_both(device: str) -> Iterator[Finding]:
    """Runs both networks, newly initialised, on one image of random pixels.

    Args:
        device: torch's name of where.
    """
    yield run("classifier", _classifier, _logits, device)
    yield run("detector", _detector, _found, device)


def run(name: str, build: Callable[[], nn.Module], apply: Apply, device: str) -> Finding:
    """Runs a network and looks at what comes out.

    Off the CPU it runs twice, since the first pass also sets the device up.

    Args:
        name: of the network.
        build: makes it, on the CPU.
        apply: (network, (3, H, W) uint8 image) -> all that comes out of it.
        device: torch's name of where.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            network = build().to(device).eval()
            image = torch.randint(0, 256, (3, _SIDE, _SIDE), dtype=torch.uint8).to(device)
            if device != "cpu":
                apply(network, image)
            began = time.perf_counter()
            outputs = apply(network, image)
            finite = all(bool(torch.isfinite(output).all()) for output in outputs)
            seconds = time.perf_counter() - began  # a look at a value waits for the device
    except Exception as error:
        return problem(name, f"a {name} failed on {device}: {said(error)}", _ADVICE, device=device)
    facts = {"device": device, "seconds": round(seconds, 4), "finite": finite}
    text = f"a {name} took {seconds:.3f} s on {device}; all numbers are finite"
    if not finite:
        advice = f"{device} computes wrongly: try another torch, or MODEL.DEVICE cpu"
        return problem(name, f"not all numbers of a {name} on {device} are finite", advice, **facts)
    if seconds > _SLOW:
        return note(
            name, text, "That is slow: look what else runs here, or set OMP_NUM_THREADS=1", **facts
        )
    return fine(name, text, **facts)


def _absence(device: str) -> str:
    """Says why a GPU is not there; empty where it is, or is none of CUDA's."""
    wanted = torch.device(device)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted.type != "cuda" or (wanted.index or 0) < count:
        return ""
    return f"there is no {device}: torch finds {count or 'no'} GPU{'s' if count > 1 else ''}"


def _classifier() -> nn.Module:
    return Classifier(num_classes=10, norm="BN", depth=26, num_groups=8, width_per_group=4)


def _detector() -> nn.Module:
    return detector_from_config(load_config(_DETECTOR, []).cfg)


def _logits(network: nn.Module, image: Tensor) -> list[Tensor]:
    return [network(image.float()[None] / 255)]


def _found(network: nn.Module, image: Tensor) -> list[Tensor]:
    sample = DetectionSample(image, _SIDE, _SIDE, image_id=0, file_name="")
    return [part for found in network([sample]) for part in (found.boxes, found.scores)]


if __name__ == "__main__":
    answer(run_both(sys.argv[1]))
