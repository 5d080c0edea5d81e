"""The complexity verb, and the checked-in JSON of every variant and config."""

import argparse
import json

import pytest

from resnext_det import list_variants
from resnext_det.cli import VERBS, complexity
from resnext_det.config import config_root
from resnext_det.errors import UserError

REGENERATE = "run: resnext-det complexity --json configs/complexity.json"


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    VERBS["complexity"].add_arguments(parser)
    args = parser.parse_args(argv)
    return args.run(args)


def test_checked_in_json_is_what_is_counted_now():
    kept = json.loads((config_root() / "complexity.json").read_text(encoding="utf-8"))
    counted = complexity.measure_networks()
    assert set(counted["variants"]) == set(list_variants())
    files = {p.relative_to(config_root()).as_posix() for p in config_root().rglob("*.yaml")}
    assert set(counted["configs"]) == files
    assert counted == kept, REGENERATE


def test_table_and_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    config = "resnext_det://ImageNet-Classification/X_50_32x4d.yaml"
    path = tmp_path / "complexity.json"
    assert run("resnext50_32x4d", config, "--json", str(path)) == 0
    printed = capsys.readouterr().out
    for figure in ("resnext50_32x4d", "25.03", "4.230", "4.273", "14.40"):
        assert figure in printed
    rows = json.loads(path.read_text(encoding="utf-8"))
    row = rows["variants"]["resnext50_32x4d"]
    assert row["params"] == 25_028_904
    assert rows["configs"] == {"ImageNet-Classification/X_50_32x4d.yaml": row}


def test_unknown_names():
    with pytest.raises(UserError, match="no variant is named 'resnext50'"):
        run("resnext50")
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        run("nowhere.yaml")


def test_json_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"--json .*No such file or directory"):
        run("resnet18", "--json", str(tmp_path / "missing" / "file.json"))


def test_json_is_checked_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(complexity, "measure_networks", lambda names: pytest.fail("measured"))
    with pytest.raises(UserError, match=r"--json .*No such file or directory"):
        run("resnet18", "--json", str(tmp_path / "missing" / "file.json"))
    with pytest.raises(UserError, match=r"--json .*: is a folder"):
        run("resnet18", "--json", str(tmp_path))
