"""The tables of README.md, from the result JSON of studies in results/. Engine-neutral.

python projects/Cardinality/tables.py            prints them
python projects/Cardinality/tables.py --write    puts them into README.md
"""

import sys
from pathlib import Path

from projects.Cardinality.rows import WIDTHS, imagenet_tables, mini_tables
from projects.studies.classification.paper_tables import markdown_errors, read_content
from resnext_det.modeling.design import design_widths
from resnext_det.modeling.designed_network import reference_network
from resnext_det.reports.page_tables import pipe_table, run_tables_command

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"


def tables(results: Path = RESULTS) -> dict[str, str]:
    """Returns table name -> Markdown; a study that is not there leaves its figures out."""
    found = {"table 2": width_table()}
    for scale, made in (("imagenet", imagenet_tables()), ("mini", mini_tables())):
        content = read_content(results / f"{scale}.json")
        found |= {name: markdown_errors(table, content) for name, table in made.items()}
    return found


def width_table() -> str:
    """Returns Table 2, found by the design that `resnext-det design` makes."""
    designed = design_widths(reference_network(like="resnet50"), [c for c, _ in WIDTHS])
    lines = [["", *(str(cardinality) for cardinality, _ in WIDTHS)], ["---", *["---:"] * 5]]
    lines[0][0] = "Cardinality C"
    lines.append(["Width d, designed", *(str(d.network.width_per_group) for d in designed.designs)])
    lines.append(["Width d, the paper's Table 2", *(str(width) for _, width in WIDTHS)])
    costs = [design.costs for design in designed.designs]
    lines.append(["Parameters of the block", *(f"{cost.block_params:,.0f}" for cost in costs)])
    lines.append(["Parameters of ResNe(X)t-50, M", *(f"{cost.params / 1e6:.2f}" for cost in costs)])
    lines.append(["Multiply-adds, G", *(f"{cost.flops / 1e9:.3f}" for cost in costs)])
    return pipe_table(lines)


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
