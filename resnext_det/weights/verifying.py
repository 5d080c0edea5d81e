"""Whether weights still are what they say: digest, outputs, source library. Engine-neutral."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.opening import Opened, open_weights
from resnext_det.weights.reference import (
    FORMULA,
    CannotRun,
    compute_outputs,
    image_size_of,
    reference_image,
    summary_of,
)
from resnext_det.weights.source_libraries import LIBRARIES, CannotBuild, library_outputs
from resnext_det.weights.sources import Weights

LIBRARY_TOLERANCE = 1e-4  # of the largest output, or absolute where that is below 1
_LARGEST_TOLERANCE = 1e-3  # that a side-car may ask for: a tampered one would allow anything
_LARGEST_IMAGE = 1024  # pixels, likewise

Status = Literal["passed", "failed", "not done"]


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: "file", "tensors", "outputs", "torchvision" or "timm".
        status: how it went.
        text: what was compared, or why it could not be.
        numbers: what was measured, for JSON.
    """

    name: str
    status: Status
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verification:
    """All comparisons of one file.

    Attributes:
        source: the path or address that the user gave.
        checks: done or not.
    """

    source: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Status:
        """Is "failed" if one check is, else "passed" if one is."""
        statuses = {check.status for check in self.checks}
        if "failed" in statuses:
            return "failed"
        return "passed" if "passed" in statuses else "not done"

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain values."""
        checks = [
            {"name": c.name, "status": c.status, "text": c.text, **c.numbers} for c in self.checks
        ]
        return {"source": self.source, "verdict": self.verdict, "checks": checks}


def verify_weights(spec: str) -> Verification:
    """Compares weights with their side-car, and with the library that they come from.

    Args:
        spec: whatever MODEL.WEIGHTS takes, but "".

    Raises:
        UserError: it is not there, cannot be fetched, is no weights file, or no ResNet or
            ResNeXt that is known here.
    """
    opened = open_weights(spec)
    weights = opened.weights
    if weights is None:
        names = ", ".join(list(opened.content.tensors)[:3]) or "none"
        strange = f"its names ({names} …) are of nobody that is known here"
        why = f"it also has {opened.refusal}" if opened.refusal else strange
        raise UserError(f"{spec}: no plain ResNet or ResNeXt: {why}")
    found = _run(weights)
    checks = [_check_file(opened), _check_tensors(opened), _check_outputs(opened, weights, found)]
    checks.extend(_check_library(name, opened, weights, found) for name in LIBRARIES)
    return Verification(spec, tuple(checks))


_Found = tuple[str, Tensor] | CannotRun


def _run(weights: Weights, image_size: int | None = None) -> _Found:
    try:
        return compute_outputs(weights, image_size)
    except CannotRun as error:
        return error


def _check_file(opened: Opened) -> Check:
    """The digest of the file against those that are published."""
    published = opened.said.catalogue.origin
    if not published:
        return Check("file", "not done", "no published file that is known here has its sha256")
    return Check("file", "passed", f"its sha256 is that published of {published}")


def _check_tensors(opened: Opened) -> Check:
    """The digest of the tensors against the side-car's."""
    state = opened.side_car
    if state == "valid":
        return Check("tensors", "passed", f"their sha256 is the side-car's, {opened.digest[:12]}…")
    if state in ("none", "without a digest"):
        text = "there is no side-car" if state == "none" else "the side-car has no digest"
        return Check("tensors", "not done", text)
    return Check("tensors", "failed", f"the side-car is {state}, theirs is {opened.digest[:12]}…")


def _check_outputs(opened: Opened, weights: Weights, found: _Found) -> Check:
    """The outputs for the reference image against those that the side-car keeps."""
    kept = opened.said.side_car.outputs
    if not kept:
        return Check("outputs", "not done", "no side-car keeps outputs for the reference image")
    if problem := _problem_of(kept):
        return Check("outputs", "failed", f"the outputs in the side-car are no such: {problem}")
    if kept["formula"] != FORMULA:
        text = f"those kept are of an image {kept['formula']!r}, which is not known here"
        return Check("outputs", "not done", text)
    architecture = infer_architecture(weights.state)
    if architecture and architecture.stem and kept["image_size"] != image_size_of(architecture):
        found = _run(weights, kept["image_size"])
    if isinstance(found, CannotRun):
        return Check("outputs", "not done", f"our network cannot run it: {found}")
    return _compare_kept(kept, *found)


def _compare_kept(kept: Mapping[str, Any], what: str, outputs: Tensor) -> Check:
    ours = summary_of(outputs)
    if (what, ours["count"]) != (kept["what"], kept["count"]):
        text = f"{ours['count']} {what}, but the side-car keeps {kept['count']} {kept['what']}"
        return Check("outputs", "failed", text)
    tolerance = min(kept["tolerance"], _LARGEST_TOLERANCE)
    pairs = zip(ours["values"], kept["values"], strict=False)
    off = max([abs(a - b) for a, b in pairs], default=math.inf) / max(kept["largest"], 1e-30)
    off = max(off, abs(ours["norm"] - kept["norm"]) / max(kept["norm"], 1e-30))
    numbers = {"difference": off if math.isfinite(off) else None, "tolerance": tolerance}
    status = "passed" if off <= tolerance else "failed"
    text = f"{what} for the reference image differ by {off:.1e} of the kept (at most {tolerance:g})"
    return Check("outputs", status, text, numbers)


def _problem_of(kept: Mapping[str, Any]) -> str:
    """Says what is wrong with outputs that a side-car keeps; "" where nothing is."""
    for entry in ("formula", "what"):
        if not isinstance(kept.get(entry), str):
            return f"{entry} is no text"
    for entry, most in (("image_size", _LARGEST_IMAGE), ("count", 1 << 24)):
        value = kept.get(entry)
        if type(value) is not int or not 1 <= value <= most:
            return f"{entry} is no number from 1 to {most}"
    values = kept.get("values")
    if not isinstance(values, list | tuple) or not values or not all(map(_is_number, values)):
        return "values are no numbers"
    for entry in ("norm", "largest", "tolerance"):
        if not _is_number(kept.get(entry)) or kept[entry] < 0:
            return f"{entry} is no number from 0 on"
    return ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _check_library(library: str, opened: Opened, weights: Weights, found: _Found) -> Check:
    """Our outputs against those of a library's own network."""
    if opened.naming is None or opened.naming.name != "torchvision":
        return Check(library, "not done", f"the file has not {library}'s names")
    if isinstance(found, CannotRun):
        return Check(library, "not done", f"our network cannot run it: {found}")
    architecture = infer_architecture(weights.state)
    assert architecture is not None
    image = reference_image(image_size_of(architecture))
    try:
        theirs = library_outputs(
            library, opened.content.tensors, architecture, image, opened.known.origin
        )
    except ImportError:
        return Check(library, "not done", f"{library} is not installed: pip install {library}")
    except CannotBuild as error:
        return Check(library, "not done", str(error))
    return _compare_library(library, found[0], found[1], theirs)


def _compare_library(library: str, what: str, ours: Tensor, theirs: Tensor) -> Check:
    limit = LIBRARY_TOLERANCE * max(1.0, float(theirs.abs().max()))
    off = float((ours - theirs).abs().max()) if ours.shape == theirs.shape else math.inf
    status = "passed" if off <= limit else "failed"
    text = f"{what} differ by {off:.1e} from its own network's (at most {limit:.1e})"
    same_class = bool(torch.equal(ours.argmax(), theirs.argmax()))
    numbers = {"difference": off if math.isfinite(off) else None, "limit": limit}
    return Check(library, status, text, {**numbers, "same_largest": same_class})
