"""The table in its three forms."""

import io
from pathlib import Path

from rich.console import Console

from resnext_det.reports.study import Row, read_study
from resnext_det.reports.table import markdown_table, rich_table


def test_markdown(study_file: Path) -> None:
    assert markdown_table(read_study(study_file).rows).splitlines() == [
        "| Model | Pretrained | AP@0.5 | AP | APs | APm | APl | GFLOPs | Params (M) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| ResNet-26 | digits, 78.1 % top-1 | 52.3 | 27.3 | 1.0 | – | 2.0 | 0.71 | 13.96 |",
        "| ResNeXt-26 32x4d | digits, 78.1 % top-1 | 55.0 | 29.0 | 1.0 | – | 2.0 | 0.71 | 13.40 |",
        "| ResNeXt-26 32x4d | no | 8.0 | 3.0 | 1.0 | – | 2.0 | 0.71 | 13.40 |",
    ]


def test_the_papers_figures_stand_beside_its_models() -> None:
    rows = [
        Row("ResNeXt-50 32x4d", True, 0, {"AP": 41.23, "AP50": 62.0}),
        Row("My net", None, 1, {}),
    ]
    heading, _, ours, other = markdown_table(rows).splitlines()
    assert heading.endswith("| paper AP@0.5 | paper AP | Seed |")
    assert ours == "| ResNeXt-50 32x4d | yes | 62.0 | 41.2 | – | – | – | 49.7 | 27.5 | 0 |"
    assert other == "| My net | – | – | – | – | – | – | – | – | 1 |"


def test_a_pipe_in_a_name_does_not_break_the_markdown() -> None:
    line = markdown_table([Row("a|b", False, 0, {})]).splitlines()[2]
    assert line.startswith("| a\\|b | no |")


def test_without_rows_there_is_a_heading() -> None:
    assert len(markdown_table([]).splitlines()) == 2
    assert rich_table([]).row_count == 0


def test_the_terminal_shows_the_same_cells(study_file: Path) -> None:
    rows = read_study(study_file).rows
    file = io.StringIO()
    Console(file=file, width=140).print(rich_table(rows, title="ours"))
    for line in markdown_table(rows).splitlines()[2:]:
        for cell in line.strip("| ").split(" | "):
            assert cell in file.getvalue()
