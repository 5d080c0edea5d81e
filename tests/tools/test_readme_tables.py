"""The tables in the READMEs are those that the stored result JSON gives."""

from pathlib import Path

import pytest

from projects.BloodCells import tables as blood_cells
from resnext_det.reports.page_tables import insert
from tools import readme_tables

REPOSITORY = Path(__file__).resolve().parents[2]
TABLES = {
    "README.md": readme_tables.readme_tables,
    "projects/BloodCells/README.md": blood_cells.tables,
}


@pytest.mark.parametrize("name", TABLES)
def test_page_is_up_to_date(name):
    text = (REPOSITORY / name).read_text()
    found = TABLES[name]()
    for table in found:
        assert f"<!-- {table} -->" in text
    assert insert(text, found) == text


def test_parity_table_takes_the_worst_of_each_column():
    values = {"R_50": 1e-6, "X_50_32x4d": 3e-6, "tiny_resnet": 0.0, "tiny_options": 2e-5}
    row = {"what": "boxes", "unit": "px", "tolerance": 1e-3, "largest": values}
    table = readme_tables.parity_table({"rows": [row]})
    assert table.splitlines()[2] == "| boxes (px) | 0.001 | 3e-06 | 2e-05 |"
