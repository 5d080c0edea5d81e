"""AP under acceleration: what a run writes, its table, and the kept results."""

import json
from pathlib import Path

import pytest

from projects.SpeedComparison import accuracy
from projects.SpeedComparison.accuracy_tables import RESULTS, accuracy_table
from tests.inference.conftest import Trained, portable, trained

__all__ = ["portable", "trained"]
KEPT = sorted(RESULTS.glob("*.json"))


@pytest.fixture
def command(portable: Trained, tmp_path: Path) -> list[str]:
    data = f"tiny={portable.annotations}:{portable.bench.entry.image_root}"
    words = ["--settings", "float32 channels_last", "--test-data", data]
    folders = ["--folder", str(tmp_path / "found"), "--json", str(tmp_path / "cpu.json")]
    return [str(portable.checkpoint), *words, *folders]


def test_settings_are_compared_with_the_exact_detector(
    command: list[str], portable: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert accuracy.main(command) == 0
    assert "float32 channels_last minus exact is" in capsys.readouterr().out
    result = json.loads((tmp_path / "cpu.json").read_text())
    assert result["num_images"] == len(portable.images)
    (row,) = result["rows"]
    assert row["setting"] == "float32 channels_last"
    assert row["ap"]["setting"]["AP"] == pytest.approx(row["ap"]["exact"]["AP"], abs=1e-3)
    difference = row["differences"][0]
    assert difference["metric"] == "AP"
    expected = row["ap"]["setting"]["AP"] - row["ap"]["exact"]["AP"]
    assert difference["value"] == pytest.approx(expected, abs=1e-9)
    lines = accuracy_table(result).splitlines()
    assert len(lines) == 3
    assert len({line.count("|") for line in lines}) == 1


def test_scenes_are_made_where_no_set_is_named(tmp_path: Path):
    args = accuracy.parse(["a/b.pth", "--folder", str(tmp_path), "--json", "x", "--scenes", "3"])
    entry = accuracy.scenes(args)
    assert entry.json_file is not None
    assert len(json.loads(entry.json_file.read_text())["images"]) == 3
    assert len(list(entry.image_root.iterdir())) == 3


def test_mistakes_are_told_in_one_line(command: list[str], capsys: pytest.CaptureFixture[str]):
    command[command.index("float32 channels_last")] = "warp"
    assert accuracy.main(command) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].endswith("could not be run under 'warp'")
    assert "'warp': not known" in told[-2]


def test_two_runs_of_one_name_are_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        accuracy.parse(["a/run/x.pth", "b/run/x.pth", "--folder", "f", "--json", "j"])
    assert "folders of one name" in capsys.readouterr().err


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_differences_are_those_of_the_kept_scores(path: Path):
    for row in json.loads(path.read_text())["rows"]:
        for one in row["differences"]:
            ap = row["ap"]
            expected = ap["setting"][one["metric"]] - ap["exact"][one["metric"]]
            assert one["value"] == pytest.approx(expected, abs=1e-6)
            assert one["low"] <= one["value"] <= one["high"]
