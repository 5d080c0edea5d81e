"""The graphics card, its driver, and the CUDA that torch was built for. Engine-neutral."""

import ctypes
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from resnext_det.doctor.findings import Finding, fine, note, problem

_DRIVER = Path("/proc/driver/nvidia/version")
_OTHER_TORCH = "take a torch built for it: `make setup TORCH=… TORCHVISION=…`"


@dataclass(frozen=True)
class Card:
    """One GPU.

    Attributes:
        name: the maker's.
        capability: (major, minor) of its compute capability.
    """

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True)
class CudaFacts:
    """What driver and torch say.

    Attributes:
        driver_is_visible: whether NVIDIA's driver is there for this process.
        driver_cuda: (major, minor) of the newest CUDA that the driver takes; None if not known.
        torch_version: as "2.15.0+cu132".
        torch_cuda: what torch was built for, as "13.2"; None without CUDA.
        is_available: whether torch can use it.
        complaint: what torch said about that; empty if nothing.
        architectures: what torch has code for, as "sm_90" and "compute_90".
        cards: those that torch finds.
        visible_devices: CUDA_VISIBLE_DEVICES; None where it is not set.
    """

    driver_is_visible: bool
    driver_cuda: tuple[int, int] | None
    torch_version: str
    torch_cuda: str | None
    is_available: bool
    complaint: str = ""
    architectures: Sequence[str] = ()
    cards: Sequence[Card] = ()
    visible_devices: str | None = None


def look() -> Iterator[Finding]:
    """Tells whether torch computes on a GPU, and if not, why; see `judge`."""
    if torch.version.hip:
        text = f"torch {torch.__version__} is built for ROCm {torch.version.hip}"
        yield note("torch's cuda", text, "AMD's cards are not tested with this package")
        return
    yield from judge(collect())


def collect() -> CudaFacts:
    """Asks driver and torch."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        is_available = torch.cuda.is_available()
        cards = [
            Card(torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index))
            for index in range(torch.cuda.device_count() if is_available else 0)
        ]
    driver_cuda = _cuda_of_driver()
    return CudaFacts(
        driver_is_visible=_DRIVER.exists() or driver_cuda is not None,
        driver_cuda=driver_cuda,
        torch_version=torch.__version__,
        torch_cuda=torch.version.cuda,
        is_available=is_available,
        complaint=" ".join(str(warned[0].message).split()) if warned else "",
        architectures=torch.cuda.get_arch_list() if torch.version.cuda else (),
        cards=cards,
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def judge(facts: CudaFacts) -> Iterator[Finding]:
    """Says what the facts mean, one line for each mismatch."""
    built = f"torch {facts.torch_version} is built {_built_for(facts.torch_cuda)}"
    numbers = {
        "torch_cuda": facts.torch_cuda,
        "driver_cuda": _dotted(facts.driver_cuda),
        "available": facts.is_available,
        "cards": [card.name for card in facts.cards],
    }
    check = "torch's cuda"
    if facts.is_available:
        yield fine(check, f"{built}, and finds {len(facts.cards)} GPU(s)", **numbers)
        yield from (_covered(card, facts.architectures) for card in facts.cards)
    elif not facts.driver_is_visible:
        advice = "Fine without a GPU. With one: install its driver; a container needs `--gpus all`"
        yield note(
            check, f"{built}; no NVIDIA driver is visible: runs use the CPU", advice, **numbers
        )
    elif facts.torch_cuda is None:
        advice = f"A card here is left idle: {_OTHER_TORCH}"
        yield problem(check, f"{built}, but an NVIDIA driver is there", advice, **numbers)
    elif facts.visible_devices is not None and not _names_a_device(facts.visible_devices):
        advice = "Unset it, or set it to the numbers of the cards to use"
        text = f"CUDA_VISIBLE_DEVICES={facts.visible_devices!r} hides every GPU: runs use the CPU"
        yield note(check, text, advice, **numbers)
    elif _is_older(facts.driver_cuda, facts.torch_cuda):
        text = f"{built}, but the driver takes CUDA {_dotted(facts.driver_cuda)} at most"
        yield problem(check, text, f"Update the driver, or {_OTHER_TORCH}", **numbers)
    else:
        text = f"{built} and a driver is there, but torch cannot use it: {facts.complaint}"
        advice = "Look at `nvidia-smi`; after an update of the driver the machine wants a restart"
        yield problem(check, text.removesuffix(": "), advice, **numbers)


def _covered(card: Card, architectures: Sequence[str]) -> Finding:
    """Tells whether torch has code for a card.

    Code of `sm_XY` runs on cards of the same X and at least that Y; `compute_XY` is compiled on
    the way for all cards from it on (CUDA programming guide, "Compute capabilities").
    """
    major, minor = card.capability
    check, name = "card", f"{card.name} (sm_{major}{minor})"
    for architecture in architectures:
        kind, _, number = architecture.partition("_")
        digits = "".join(letter for letter in number if letter.isdigit())
        ours = int(digits[:-1] or 0), int(digits[-1:] or 0)
        if kind == "sm" and ours[0] == major and ours[1] <= minor:
            return fine(check, f"{name} is covered by this torch")
        if kind == "compute" and ours <= card.capability:
            text = f"{name} has no code of its own in this torch, which compiles it at first use"
            return note(check, text, "The first iteration takes minutes")
    text = f"{name} is not among what this torch has code for: {' '.join(architectures)}"
    return problem(check, text, f"Run with MODEL.DEVICE cpu, or {_OTHER_TORCH}")


def _built_for(cuda: str | None) -> str:
    return "without CUDA" if cuda is None else f"for CUDA {cuda}"


def _dotted(version: tuple[int, int] | None) -> str | None:
    return None if version is None else f"{version[0]}.{version[1]}"


def _names_a_device(visible: str) -> bool:
    """Tells whether CUDA_VISIBLE_DEVICES leaves one; what follows a -1 does not count."""
    return visible.split(",")[0].strip() not in ("", "-1", "NoDevFiles")


def _is_older(driver: tuple[int, int] | None, torch_cuda: str) -> bool:
    """A driver runs programs of its own major version of CUDA and older ones."""
    return driver is not None and driver[0] < int(torch_cuda.partition(".")[0])


def _cuda_of_driver() -> tuple[int, int] | None:
    """Asks the driver's library, which needs no card for this."""
    try:
        driver, number = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0)
        failed = driver.cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return None if failed or not number.value else (number.value // 1000, number.value % 1000 // 10)
