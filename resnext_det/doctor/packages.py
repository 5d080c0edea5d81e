"""Python and the packages that this one needs. Engine-neutral."""

import platform
from collections.abc import Callable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.version import Version

from resnext_det.doctor.findings import Finding, fine, note, problem, said
from resnext_det.errors import few

OWN = "resnext-det"
_SHOWN = ("torch", "torchvision", "numpy", "pillow", "pycocotools")
_MEND = "Run `make setup`, or `pip install -e .` in the checkout"

VersionOf = Callable[[str], str]


def look() -> Iterator[Finding]:
    """Compares what is installed with what the package asks for; see `compare`."""
    yield fine("python", f"Python {platform.python_version()}", version=platform.python_version())
    try:
        own, required = metadata.version(OWN), metadata.requires(OWN) or []
    except metadata.PackageNotFoundError:
        yield note(
            OWN, "runs from a folder and is not installed, so what it needs is not known", _MEND
        )
    else:
        yield fine(OWN, f"{OWN} {own}", version=own)
        yield from compare(required, metadata.version)
    yield _operators()


def compare(required: list[str], version_of: VersionOf) -> Iterator[Finding]:
    """Yields a line for each of the better known packages, and one for all others.

    Args:
        required: as a package's metadata states them; those of extras are passed over.
        version_of: package -> what is installed.
    """
    sound = []
    for text in required:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        finding = _compared(wanted, version_of)
        if finding.advice or wanted.name.lower() in _SHOWN:
            yield finding
        else:
            sound.append(wanted.name)
    if sound:
        text = f"{len(sound)} other packages are new enough: {few(sound, 4)}"
        yield fine("others", text, packages=sound)


def _compared(wanted: Requirement, version_of: VersionOf) -> Finding:
    name = wanted.name
    try:
        found = version_of(name)
    except metadata.PackageNotFoundError:
        return problem(name, f"{name} is not installed", _MEND, version=None)
    if not wanted.specifier.contains(Version(found), prereleases=True):
        text = f"{name} {found} is installed, {wanted.specifier} is needed"
        return problem(name, text, _MEND, version=found)
    return fine(name, f"{name} {found}", version=found)


def _operators() -> Finding:
    """Tells whether torch takes torchvision's compiled part, which is built for one torch."""
    check = "torchvision's operators"
    try:
        import torch
        import torchvision

        torchvision.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)
    except Exception as error:
        advice = "One may be a CPU build and the other not: `make clean-venv`, then `make setup`"
        return problem(check, f"torch and torchvision do not fit: {said(error)}", advice)
    return fine(check, "torch and torchvision fit each other")
