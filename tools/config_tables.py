"""configs/README.md's tables, made from the headers of the config files. Engine-neutral.

python -m tools.config_tables            prints them
python -m tools.config_tables --write    puts them into configs/README.md
"""

import re
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from resnext_det.reports.page_tables import run_tables_command
from resnext_det.reports.table import MISSING

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = REPOSITORY / "configs"
PAGE = CONFIGS / "README.md"
NETWORK = re.compile(r"ResNe(?:X)?t-\d+(?: \d+x\d+d)?")
FIGURE = re.compile(r"(?:(?:box|mask|keypoint) )?(?:AP50|AP|AR@1000|PQ|top-\d) \d+\.\d+")
SCHEDULE = re.compile(r"_(1x|3x)$")
# How a header's Source begins -> whose figure its Expected is.
OWNERS = {
    "Detectron2's zoo": "Detectron2",
    "mmdetection": "mmdetection",
    "Detectron (v1)": "Detectron",
    "PointRend's README": "PointRend",
    "the paper": "paper",
    "the published ResNeXt table": "published table",
}


@dataclass(frozen=True)
class Header:
    """What a config file's header says.

    Attributes:
        detector: such as "Mask R-CNN C4"; empty for a classifier.
        network: such as "ResNeXt-50 32x4d".
        schedule: "1x", "3x" or "run".
        figures: the public figures, such as "box AP 38.6, mask AP 35.2"; empty without one.
        owner: whose figures these are.
    """

    detector: str
    network: str
    schedule: str
    figures: str
    owner: str


def read_header(path: Path) -> Header:
    """Reads the header of a config file that can be run."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = "\n".join(takewhile(lambda line: line.startswith("#"), lines))
    title = head.splitlines()[0].removeprefix("# ")
    network = NETWORK.search(title)
    assert network, f"{path}: the first line names no network"
    schedule = SCHEDULE.search(path.stem)
    source = _entry(head, "Source")
    return Header(
        detector=title[: network.start()].removesuffix(" on "),
        network=network[0],
        schedule=schedule[1] if schedule else "run",
        figures=", ".join(FIGURE.findall(_entry(head, "Expected"))),
        owner=next((name for start, name in OWNERS.items() if source.startswith(start)), ""),
    )


def runnable(folder: str) -> list[Path]:
    """Returns the files of a folder that can be run, smaller networks first."""
    files = [*(CONFIGS / folder).glob("*.yaml"), *(CONFIGS / folder).glob("*.py")]
    return sorted((path for path in files if not path.name.startswith("Base-")), key=_natural)


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
        lines.append(f"| {' | '.join([detector or 'classifier', network, *cells])} |")
    return "\n".join(lines)


def tables() -> dict[str, str]:
    """Returns folder -> Markdown, for each `<!-- FOLDER -->` of configs/README.md."""
    folders = sorted({path.parent.name for path in CONFIGS.glob("*/*.yaml")} - {"quick_schedules"})
    return {folder: folder_table(folder) for folder in folders}


def _entry(head: str, label: str) -> str:
    """The text of one label of a header, its lines joined."""
    match = re.search(rf"\n# {label}: *(.*?)(?=\n# [A-Z]|\n*$)", head, re.DOTALL)
    return re.sub(r"\n# *", " ", match[1]) if match else ""


def _cell(header: Header, link: str) -> str:
    return f"[{header.figures or MISSING}]({link}) {header.owner if header.figures else ''}".strip()


def _natural(path: Path) -> list[str | int]:
    """Sorts R_50 before R_101."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdigit() else part for part in parts]


def main() -> int:
    """Runs the command; returns 0."""
    return run_tables_command(PAGE, tables, "the headers of the configs")


if __name__ == "__main__":
    sys.exit(main())
