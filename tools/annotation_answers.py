"""The table of resnext_det/data/README.md, made from the tests' cases. Engine-neutral.

python -m tools.annotation_answers            prints it
python -m tools.annotation_answers --write    puts it into the document
"""

import sys
from pathlib import Path

from resnext_det.reports.page_tables import run_tables_command
from tests.data.answer_cases import CASES, fix_of

DOCUMENT = Path(__file__).resolve().parents[1] / "resnext_det" / "data" / "README.md"
_ANSWERS = {
    "taken": "taken as it is",
    "mended": "mended in memory, counted: …",
    "told": "goes on, says: …",
    "refused": "refused: …",
}


def answers_table() -> str:
    """Returns a line for each case, those of a group together."""
    lines = ["| | what | answer | `--fix` |", "|---|---|---|---|"]
    before = ""
    for case in CASES:
        group = f"**{case.group}**" if case.group != before else ""
        before = case.group
        answer = _ANSWERS[case.answer].replace("…", f"“{case.says}”")
        lines.append(f"| {group} | {case.what} | {answer} | {fix_of(case)} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the command; returns 0."""
    return run_tables_command(DOCUMENT, lambda: {"answers": answers_table()}, "the tests' cases")


if __name__ == "__main__":
    sys.exit(main())
