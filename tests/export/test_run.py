"""What an export that is not its detector comes to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resnext_det.cli import main
from resnext_det.data.opened_image import Pixels
from resnext_det.export import run
from resnext_det.export.proving import Tolerances
from resnext_det.export.source import read_source
from resnext_det.structures import Detections
from tests.export.conftest import Trained


def test_each_step_is_said(
    portable: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_source(portable.checkpoint)
    pictures = [np.zeros((64, 64, 3), dtype=np.uint8)] * 2

    def opened(*_: object) -> tuple[Callable, str]:
        return source.detector.detect, "a runtime"

    monkeypatch.setattr(run, "write_export", lambda source, kind, path, fixed: path.touch())
    monkeypatch.setattr(run, "open_export", opened)
    wanted = run.Wanted(tmp_path / "model.pt2", "torch", Tolerances(0.1, 0.1, 0.1), pictures)
    said: list[str] = []
    run.export(source, wanted, said.append)
    assert said == ["writing a torch.export package", "comparing 2 images in a runtime"]


def test_an_export_that_differs_is_not_written(
    portable: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    detector = read_source(portable.checkpoint).detector

    def shifted(batch: list[Pixels]) -> list[Detections]:
        results = detector.detect(batch)
        return [Detections(one.boxes + 0.5, one.scores, one.classes) for one in results]

    def opened(*_: object) -> tuple[Callable, str]:
        return shifted, "no runtime"

    monkeypatch.setattr(run, "write_export", lambda source, kind, path, fixed: path.touch())
    monkeypatch.setattr(run, "open_export", opened)
    output = tmp_path / "model.pt2"
    images = str(portable.bench.entry.image_root)
    command = ["export", str(portable.checkpoint), "-o", str(output), "--images", images]
    assert main(command) == 1
    assert capsys.readouterr().err == (
        f"error: {output}: not written: a box differs by 0.5 px (--tolerance 0.1)\n"
    )
    assert list(tmp_path.iterdir()) == []
