"""The table of README.md: accuracy, parameters and FLOPs, ours and the published. Engine-neutral.

python projects/PublishedModels/tables.py            prints it
python projects/PublishedModels/tables.py --write    puts it into README.md
"""

import sys
from pathlib import Path

from rich.table import Table

from projects.PublishedModels.models import MODELS, PUBLISHED, PublishedModel
from projects.studies.classification.paper_tables import Content, read_content
from resnext_det.reports.page_tables import pipe_table, run_tables_command
from resnext_det.reports.published import MISSING, published_tables

FOLDER = Path(__file__).parent
RESULT = FOLDER / "results" / "result.json"
NOT_EVALUATED = "not evaluated"
HEADING = [
    "Network",
    "top-1",
    "published",
    "top-5",
    "published",
    "Params (M)",
    "published",
    "FLOPs (G), conv and fc",
    "FLOPs (G), all layers",
    "published",
]


def model_lines(content: Content | None) -> list[list[str]]:
    """Returns heading and lines: accuracies in %, counts at 224 px in both conventions.

    Args:
        content: of the study's result.json; None where nothing was evaluated.
    """
    [published] = published_tables([PUBLISHED])
    lines = [HEADING]
    for model in MODELS:
        theirs, cost = published.find(model.row.model) or {}, model.complexity
        top1, top5 = (_accuracy(model, name, content) for name in ("top1", "top5"))
        shown = {key: _number(theirs.get(key)) for key in ("top1", "top5", "params", "flops")}
        lines.append(
            [
                model.row.model,
                *(top1, shown["top1"], top5, shown["top5"]),
                *(f"{cost.params / 1e6:.2f}", shown["params"]),
                *(f"{cost.flops / 1e9:.2f}", f"{cost.flops_table / 1e9:.2f}", shown["flops"]),
            ]
        )
    return lines


def rich_models(content: Content | None) -> Table:
    """Returns the table for a terminal."""
    heading, *lines = model_lines(content)
    table = Table(title="Accuracy in %, one image of 224 px, beside the published table")
    for title in heading:
        table.add_column(title, justify="left" if title == "Network" else "right")
    for line in lines:
        table.add_row(*line)
    return table


def tables(result: Path = RESULT) -> dict[str, str]:
    """Returns table name -> Markdown."""
    heading, *lines = model_lines(read_content(result))
    numbers = ["---", *["---:"] * (len(heading) - 1)]
    return {"models": pipe_table([heading, numbers, *lines])}


def _accuracy(model: PublishedModel, name: str, content: Content | None) -> str:
    rows = [] if content is None else content["rows"]
    found = [row for row in rows if row["model"] == model.row.model]
    return _number(found[0]["metrics"].get(name)) if found else NOT_EVALUATED


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/result.json"))
