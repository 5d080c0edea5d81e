"""Some hundred mutations of each reader's files; tools/fuzz_weights.py runs more of them."""

import json
from pathlib import Path

import pytest

from tests.weights.fuzzing import READERS, mutated, seeds
from tools.fuzz_weights import outcome

REPORT = Path(__file__).with_name("fuzz.json")
COUNT = 300


@pytest.mark.parametrize("reader", READERS)
def test_seeds_are_read(reader, tmp_path):
    for data in seeds(reader):
        (tmp_path / "file").write_bytes(data)
        assert outcome(reader, tmp_path / "file") == "loaded"


@pytest.mark.parametrize("reader", READERS)
def test_mutations_end_in_a_clean_error_or_a_load(reader, tmp_path):
    files, ends = seeds(reader), set()
    for number in range(COUNT):
        data = mutated(reader, files, number)
        assert data == mutated(reader, files, number)
        (tmp_path / "file").write_bytes(data)
        end = outcome(reader, tmp_path / "file")
        assert end in ("refused", "loaded"), number
        ends.add(end)
    assert ends == {"refused", "loaded"}


def test_the_committed_report_covers_every_reader_and_found_nothing():
    rows = {row["reader"]: row for row in json.loads(REPORT.read_text())["readers"]}
    assert set(rows) == set(READERS)
    for row in rows.values():
        assert row["count"] >= 10_000
        assert row["failed"] == 0
        assert row["refused"] + row["loaded"] == row["count"]
        assert row["peak_growth_mib"] < 256
