"""Detectron2: whether it is there, and its compiled part loads. Engine-neutral."""

import json
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import torch

from resnext_det.doctor.findings import Finding, fine, note, problem, said
from resnext_det.engines.base import detectron2_is_installed

_AGAIN = "Compile it again for this torch: `make detectron2`; or use --engine portable"
_COMPILED = "compiled part"


def look() -> Iterator[Finding]:
    """Tells of Detectron2; it is imported by the engine that is for it."""
    if not detectron2_is_installed():
        yield note(
            "detectron2",
            "Detectron2 is not installed: detection runs on the portable engine",
            "`make detectron2` tries to install it, where masks, keypoints or .py configs are "
            "wanted",
            installed=False,
        )
        return
    try:
        from resnext_det.engines.d2.compiled_part import compiled_part
    except Exception as error:
        yield problem("detectron2", f"Detectron2 cannot be imported: {said(error)}", _AGAIN)
        return
    version, source = _metadata()
    commit = source.get("vcs_info", {}).get("commit_id")
    place = f", commit {commit[:12]}" if commit else ", its commit is not known"
    facts = {"installed": True, "version": version, "commit": commit}
    yield fine("detectron2", f"Detectron2 {version}{place}", **facts)
    try:
        built_for = compiled_part()
    except Exception as error:
        yield problem(_COMPILED, f"its compiled part does not load: {said(error)}", _AGAIN)
        return
    yield judge(built_for, torch.version.cuda, has_gpu=torch.cuda.is_available())


def judge(built_for: tuple[str, str | None], torch_cuda: str | None, *, has_gpu: bool) -> Finding:
    """Compares what the compiled part was built for with torch.

    It does not say for which torch: another one shows by its not loading.

    Args:
        built_for: the compiler, and the version of CUDA; None without.
        torch_cuda: the CUDA that torch was built for.
        has_gpu: whether torch finds a GPU.
    """
    compiler, cuda = built_for
    facts = {"compiler": compiler, "cuda": cuda}
    text = f"its compiled part loads with this torch; built by {compiler}, {_cuda(cuda)}"
    if cuda is not None and torch_cuda is not None and _major(cuda) != _major(torch_cuda):
        text = f"its compiled part is for CUDA {cuda}, torch is for {torch_cuda}"
        return problem(_COMPILED, text, _AGAIN, **facts)
    if cuda is None and has_gpu:
        advice = (
            "Deformable convolutions and rotated boxes then run on the CPU only: `make "
            "detectron2` where nvcc is"
        )
        return note(_COMPILED, text, advice, **facts)
    return fine(_COMPILED, text, **facts)


def _cuda(version: str | None) -> str:
    return "without CUDA" if version is None else f"for CUDA {version}"


def _major(version: str) -> str:
    return version.partition(".")[0]


def _metadata() -> tuple[str, dict[str, Any]]:
    """Returns its version and where pip had it from (PEP 610); as far as either is known."""
    try:
        distribution = metadata.distribution("detectron2")
    except metadata.PackageNotFoundError:  # a checkout on the path
        return "of unknown version", {}
    return distribution.version, json.loads(distribution.read_text("direct_url.json") or "{}")
