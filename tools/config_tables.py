"""configs/README.md's tables, made from the headers of the config files. Engine-neutral.

python -m tools.config_tables            prints them
python -m tools.config_tables --write    puts them into configs/README.md
"""

import sys

from resnext_det.reports.page_tables import run_tables_command
from resnext_det.reports.table import MISSING
from tools.config_headers import CONFIGS, Header, read_header, runnable
from tools.recipe_tables import RECIPE_FOLDERS, recipe_tables

PAGE = CONFIGS / "README.md"


def folder_table(folder: str) -> str:
    """Returns the table of a folder: a line for each detector and network."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for path in runnable(folder):
        header = read_header(path)
        row = rows.setdefault((header.detector, header.network), {})
        row[header.schedule] = _cell(header, f"{folder}/{path.name}")
    columns = sorted({schedule for row in rows.values() for schedule in row})
    lines = [f"| detector | network | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for (detector, network), row in sorted(rows.items(), key=lambda item: item[0][0]):  # stable
        cells = [row.get(schedule, "") for schedule in columns]
        lines.append(f"| {' | '.join([detector, network, *cells])} |")
    return "\n".join(lines)


def tables() -> dict[str, str]:
    """Returns folder -> Markdown, for each `<!-- FOLDER -->` of configs/README.md."""
    others = {"quick_schedules", *RECIPE_FOLDERS}
    folders = sorted({path.parent.name for path in CONFIGS.glob("*/*.yaml")} - others)
    return {folder: folder_table(folder) for folder in folders} | recipe_tables()


def _cell(header: Header, link: str) -> str:
    return f"[{header.figures or MISSING}]({link}) {header.owner if header.figures else ''}".strip()


def main() -> int:
    """Runs the command; returns 0."""
    return run_tables_command(PAGE, tables, "the headers of the configs")


if __name__ == "__main__":
    sys.exit(main())
