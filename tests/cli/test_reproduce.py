"""The reproduce verb: what it refuses, in one line."""

import json
from pathlib import Path

import pytest

from resnext_det.cli import main
from resnext_det.config import dump_config, get_cfg


def bundle(folder: Path, engine: str = "portable", **keys: str) -> Path:
    """Writes a bundle without tensors."""
    cfg = get_cfg()
    cfg.MODEL.DEVICE = "cpu"
    cfg.merge_from_list([word for pair in keys.items() for word in pair])
    empty: dict[str, object] = {key: {} for key in ("terms", "scaler", "parts", "versions")}
    known = {"format": 1, "engine": engine, "iteration": 3, "processes": 1, "not_finite": []}
    shares = [{"torch_seed": 1, "images": []}]
    said = {**known, **empty, "shares": shares, "reason": "", "error": ""}
    folder.mkdir()
    (folder / "bundle.json").write_text(json.dumps(said))
    (folder / "config.yaml").write_text(dump_config(cfg))
    return folder


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["reproduce", *map(str, words)]) == 2
    return capsys.readouterr().err.strip()


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, tmp_path) == (
        f"error: {tmp_path}: is no bundle, it has no bundle.json: name a folder non_finite/iter_… "
        "of a run"
    )


def test_a_python_config_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bundle(tmp_path / "iter", "d2", LAZY_CONFIG="import os")
    assert refused(capsys, folder) == (
        f"error: {folder}: the run had a .py config, which is code: give it as --config-file "
        "FILE.py, followed by the key=value that the run had"
    )


def test_a_config_file_beside_a_yaml_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle(tmp_path / "iter")
    assert refused(capsys, folder, "--config-file", "a.py") == (
        "error: --config-file is for runs from a .py config: leave it out"
    )


def test_the_engine_of_the_run_has_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnext_det.cli.reproduce.detectron2_is_installed", lambda: False)
    folder = bundle(tmp_path / "iter", "d2")
    assert refused(capsys, folder) == (
        f"error: {folder}: this bundle is of the d2 engine: reproduce it where Detectron2 is "
        "installed"
    )


def test_a_config_that_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = bundle(tmp_path / "iter")
    (folder / "config.yaml").write_text("MODEL: !!python/object/apply:os.system ['true']")
    message = refused(capsys, folder)
    assert str(folder / "config.yaml") in message
