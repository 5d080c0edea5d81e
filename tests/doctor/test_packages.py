"""Packages that are missing or too old. Engine-neutral."""

from importlib import metadata

import torchvision

from resnext_det.doctor import packages
from resnext_det.doctor.findings import Verdict

REQUIRED = [
    "torch>=2.10",
    "pillow>=10.0",
    "rich>=13.0",
    "scipy>=1.11",
    'timm>=1.0; extra == "timm"',
]


def version_of(**versions):
    def find(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    return find


def test_all_are_new_enough():
    found = list(
        packages.compare(
            REQUIRED, version_of(torch="2.15.0+cu132", pillow="13.0.0", rich="15", scipy="1.11")
        )
    )
    assert [finding.verdict for finding in found] == [Verdict.OK] * 3
    assert [finding.text for finding in found] == [
        "torch 2.15.0+cu132",
        "pillow 13.0.0",
        "2 other packages are new enough: rich, scipy",
    ]


def test_too_old_and_missing():
    found = list(packages.compare(REQUIRED, version_of(torch="2.9.1", pillow="13.0.0", rich="15")))
    problems = [finding for finding in found if finding.verdict is Verdict.PROBLEM]
    assert [finding.text for finding in problems] == [
        "torch 2.9.1 is installed, >=2.10 is needed",
        "scipy is not installed",
    ]
    assert all("make setup" in finding.advice for finding in problems)


def test_a_build_of_tomorrow_is_new_enough():
    (finding,) = packages.compare(["torch>=2.10"], version_of(torch="2.17.0.dev20261101"))
    assert finding.verdict is Verdict.OK


def test_a_folder_that_is_not_installed(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "version", absent)
    found = list(packages.look())
    assert [finding.check for finding in found] == [
        "python",
        "resnext-det",
        "torchvision's operators",
    ]
    assert found[1].verdict is Verdict.NOTE


def test_torchvision_of_another_torch(monkeypatch):
    def refuse(*_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", refuse)
    finding = list(packages.look())[-1]
    assert finding.verdict is Verdict.PROBLEM
    assert finding.text == (
        "torch and torchvision do not fit: RuntimeError: operator torchvision::nms does not exist"
    )
