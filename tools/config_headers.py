"""What the headers of the config files say. Engine-neutral."""

import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
NETWORK = re.compile(r"ResNe(?:X)?t-\d+(?: \d+x\d+d)?(?: without shortcuts)?")
FIGURE = re.compile(
    r"(?:(?:box|mask|keypoint|5K-way|1K-way) )?(?:AP50|AP|AR@1000|PQ|top-\d) \d+\.\d+"
)
SCHEDULE = re.compile(r"_(1x|3x)$")
# How a header's Source begins -> whose figure its Expected is.
OWNERS = {
    "Detectron2's zoo": "Detectron2",
    "mmdetection": "mmdetection",
    "Detectron (v1)": "Detectron",
    "PointRend's README": "PointRend",
    "the paper": "paper",
    "the published ResNeXt table": "published table",
    "torchvision's weights": "torchvision",
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
    source = read_entry(head, "Source")
    return Header(
        detector=title[: network.start()].removesuffix(" on "),
        network=network[0],
        schedule=schedule[1] if schedule else "run",
        figures=", ".join(FIGURE.findall(read_entry(head, "Expected"))),
        owner=next((name for start, name in OWNERS.items() if source.startswith(start)), ""),
    )


def runnable(folder: str) -> list[Path]:
    """Returns the files of a folder that can be run, smaller networks first."""
    files = [*(CONFIGS / folder).glob("*.yaml"), *(CONFIGS / folder).glob("*.py")]
    return sorted((path for path in files if not path.name.startswith("Base-")), key=_natural)


def read_entry(head: str, label: str) -> str:
    """Returns the text of one label of a header, its lines joined; empty where it has none."""
    match = re.search(rf"\n# {label}: *(.*?)(?=\n# [A-Z]|\n*$)", head, re.DOTALL)
    return re.sub(r"\n# *", " ", match[1]) if match else ""


def _natural(path: Path) -> list[str | int]:
    """Sorts R_50 before R_101."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdigit() else part for part in parts]
