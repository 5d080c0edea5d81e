"""Detectron2 absent, broken, or compiled for something else. Engine-neutral."""

import sys
from types import ModuleType

import pytest

from resnext_det.doctor import detection_engine
from resnext_det.doctor.findings import Verdict

MODULE = "resnext_det.engines.d2.compiled_part"


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(detection_engine, "detectron2_is_installed", lambda: True)


def replace_part(monkeypatch, compiled_part):
    """Puts a module in place of the one that imports Detectron2."""
    package, part = ModuleType("resnext_det.engines.d2"), ModuleType(MODULE)
    part.__dict__["compiled_part"] = compiled_part
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, MODULE, part)


def test_absent(monkeypatch):
    monkeypatch.setattr(detection_engine, "detectron2_is_installed", lambda: False)
    (finding,) = detection_engine.look()
    assert finding.verdict is Verdict.NOTE
    assert finding.text == "Detectron2 is not installed: detection runs on the portable engine"
    assert finding.facts == {"installed": False}


def test_it_cannot_be_imported(installed, monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE, None)
    monkeypatch.setitem(sys.modules, "resnext_det.engines.d2", ModuleType("resnext_det.engines.d2"))
    (finding,) = detection_engine.look()
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text.startswith("Detectron2 cannot be imported: ModuleNotFoundError: ")
    assert "make detectron2" in finding.advice


def test_the_compiled_part_does_not_load(installed, monkeypatch):
    def refuse():
        raise ImportError("_C.so: undefined symbol: _ZN3c10")

    replace_part(monkeypatch, refuse)
    found = list(detection_engine.look())
    assert [finding.verdict for finding in found] == [Verdict.OK, Verdict.PROBLEM]
    assert found[1].text == (
        "its compiled part does not load: ImportError: _C.so: undefined symbol: _ZN3c10"
    )


def test_it_loads(installed, monkeypatch):
    replace_part(monkeypatch, lambda: ("GCC 12.2", None))
    monkeypatch.setattr(
        detection_engine,
        "_metadata",
        lambda: ("0.6", {"vcs_info": {"commit_id": "02b5c4e295e9aa"}}),
    )
    found = list(detection_engine.look())
    assert found[0].text == "Detectron2 0.6, commit 02b5c4e295e9"
    assert found[0].facts["commit"] == "02b5c4e295e9aa"


@pytest.mark.parametrize(
    ("cuda", "torch_cuda", "has_gpu", "verdict"),
    [
        (None, "13.2", False, "ok"),
        (None, "13.2", True, "note"),
        (None, None, False, "ok"),
        ("13.0", "13.2", True, "ok"),
        ("12.6", "13.2", True, "problem"),
        ("12.6", "13.2", False, "problem"),
        ("12.6", None, False, "ok"),
    ],
)
def test_what_it_was_built_for(cuda, torch_cuda, has_gpu, verdict):
    finding = detection_engine.judge(("GCC 12.2", cuda), torch_cuda, has_gpu=has_gpu)
    assert finding.verdict == verdict
    assert finding.facts == {"compiler": "GCC 12.2", "cuda": cuda}
    assert bool(finding.advice) == (verdict != "ok")


@pytest.mark.d2
def test_the_one_that_is_installed():
    found = list(detection_engine.look())
    assert found[0].facts["installed"]
    assert found[1].check == "compiled part"
    assert found[1].facts["compiler"]
