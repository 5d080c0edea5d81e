"""The tables of README.md, from the result JSON of studies in results/. Engine-neutral.

python projects/CIFAR/tables.py            prints them
python projects/CIFAR/tables.py --write    puts them into README.md
"""

import sys
from pathlib import Path

from projects.CIFAR.rows import mini_table, paper_tables
from projects.studies.classification.paper_tables import markdown_of_results
from resnext_det.reports.page_tables import run_tables_command

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"


def tables(results: Path = RESULTS) -> dict[str, str]:
    """Returns table name -> Markdown; a study that is not there leaves its figures out."""
    return markdown_of_results({**paper_tables(), "mini": mini_table()}, results)


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
