"""The tables of README.md, from the result JSON of the runs in results/. Engine-neutral.

python projects/BloodCells/tables.py            prints them
python projects/BloodCells/tables.py --write    puts them into README.md
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from resnext_det.reports.page_tables import pipe_table, run_tables_command
from resnext_det.reports.study import Row
from resnext_det.reports.table import MISSING, Column, markdown_table

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
PRETRAINED, SAME = "Tiny ImageNet, 20 classes", "the same detector"
WHOLE = 300  # iterations of a whole run


class Run(NamedTuple):
    """What the table says of a run beside its results.

    Attributes:
        start: what it started from, in words.
        pretrained: whether that was pretrained.
        iterations: how many of its iterations were trained when it was evaluated.
    """

    start: str
    pretrained: bool
    iterations: int = WHOLE


# table -> file in results/ -> run
TABLES: dict[str, dict[str, Run]] = {
    "fine-tuned": {
        "portable": Run(PRETRAINED, True),
        "d2": Run(PRETRAINED, True),
        "portable_scratch": Run("no", False),
        "d2_scratch": Run("no", False),
    },
    "on the way": {
        "portable_at_100": Run(PRETRAINED, True, 100),
        "portable_scratch_at_100": Run("no", False, 100),
        "portable_at_200": Run(PRETRAINED, True, 200),
        "portable_scratch_at_200": Run("no", False, 200),
    },
    "same start": {
        "portable_same_start": Run(SAME, True),
        "d2_same_start": Run(SAME, True),
    },
}
SECONDS = Column("Seconds", lambda row: MISSING if row.seconds is None else f"{row.seconds:.0f}")
PER_CLASS = ("Platelets", "RBC", "WBC")


def read_row(path: Path, run: Run) -> Row:
    """Reads one run's result.json as a line of the table."""
    result: dict[str, Any] = json.loads(path.read_text())
    return Row(
        model=f"ResNeXt-26 32x2d, `{result['engine']}`, {run.iterations} iterations",
        pretrained=run.pretrained,
        seed=result["seed"],
        metrics=result["metrics"],
        pretraining=run.start,
        # That of a checkpoint is the evaluation's alone.
        seconds=result["seconds"] if run.iterations == WHOLE else None,
    )


def tables(results: Path = RESULTS) -> dict[str, str]:
    """Returns table name -> Markdown; runs whose file is not there are left out."""
    found = {name: _table(results, runs) for name, runs in TABLES.items()}
    path = results / "differences.json"
    return {**found, "differences": differences_table(path)} if path.is_file() else found


def differences_table(path: Path) -> str:
    """Returns what pretraining adds on each engine, with intervals, as Markdown."""
    rows = json.loads(path.read_text())["rows"]
    names = list(rows[0]["differences"])
    lines = [["Engine", *names], ["---"] * (1 + len(names))]
    lines.extend(
        [f"`{row['engine']}`", *(_interval(row["differences"][name]) for name in names)]
        for row in rows
    )
    return pipe_table(lines)


def _interval(difference: Mapping[str, float]) -> str:
    return "{value:+.1f} ({low:+.1f} to {high:+.1f})".format_map(difference)


def _table(results: Path, runs: Mapping[str, Run]) -> str:
    paths = {results / f"{file}.json": run for file, run in runs.items()}
    rows = [read_row(path, run) for path, run in paths.items() if path.is_file()]
    timed = [SECONDS] if any(row.seconds is not None for row in rows) else []
    return markdown_table(rows, [*(_per_class(name) for name in PER_CLASS), *timed])


def _per_class(name: str) -> Column:
    def text(row: Row) -> str:
        value = row.metrics.get(f"AP-{name}")
        return MISSING if value is None else f"{value:.1f}"

    return Column(f"AP {name}", text)


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
