"""README.md's tables, from the studies' result JSON in results/. Engine-neutral.

python projects/DetectionComparison/tables.py            prints them
python projects/DetectionComparison/tables.py --write    puts them into README.md
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from projects.DetectionComparison.rows import MINI
from resnext_det.config import config_root
from resnext_det.reports.page_tables import pipe_table, run_tables_command
from resnext_det.reports.study import Study, read_study
from resnext_det.reports.study_entries import StudyDifference
from resnext_det.reports.table import MISSING, markdown_table
from resnext_det.statistics.sentences import signed

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
# What README.md calls a study -> its file in results/.
STUDIES = {"digits": "mini_digits.json", "photographs": "mini_in20_bccd.json"}
_SIZES = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_HEADS = ("Metric", "Difference", "Interval", "Student's t", "Each seed", "Verdict")


def tables(results: Path = RESULTS) -> dict[str, str]:
    """Returns table name -> Markdown; studies whose file is not there are left out."""
    found = {"networks": networks_table()}
    for name, file in STUDIES.items():
        if (results / file).is_file():
            study = read_study(results / file)
            found[name] = markdown_table(study.rows)
            found[f"{name} differences"] = differences_text(study)
            found[f"{name} run"] = run_text(study)
    return found


def networks_table() -> str:
    """Returns what the small networks cost, from configs/complexity.json."""
    counted = json.loads((config_root() / "complexity.json").read_text())["configs"]
    cost = {
        row.tag: counted[f"quick_schedules/faster_rcnn_{row.tag}_FPN.yaml"]
        for row in MINI.choose(None)
    }
    first_of = {second: first for first, second in MINI.pairs if first in cost}
    lines = [["Row", "Network", "GFLOPs at 224 px", "Params (M)"], ["---", "---", "---:", "---:"]]
    for row in MINI.choose(None):
        other = cost[first_of.get(row.tag, row.tag)]
        cells = [_beside(cost[row.tag], other, *key) for key in (("flops", 1e9), ("params", 1e6))]
        lines.append([f"`{row.tag}`", row.model, *cells])
    return pipe_table(lines)


def _beside(counted: Mapping[str, int], other: Mapping[str, int], key: str, unit: float) -> str:
    value = counted[key]
    text = f"{value / unit:.3f}"
    return text if counted is other else f"{text} ({100 * (value / other[key] - 1):+.1f} %)"


def differences_text(study: Study) -> str:
    """Returns each pair's differences in AP and by size, as tables with the sentence on AP."""
    pairs = dict.fromkeys((entry.first, entry.second) for entry in study.differences)
    return "\n".join(
        _pair([d for d in study.differences if (d.first, d.second) == pair]) for pair in pairs
    )


def run_text(study: Study) -> str:
    """Returns what was run, on what and for how long: lines of a list."""
    more = study.more
    seconds = [row.seconds for row in study.rows if row.seconds is not None]
    settings = ", ".join(f"`{key} {value}`" for key, value in more.get("settings", {}).items())
    lines = [
        f"- command: `{more.get('command', MISSING)}`",
        f"- data: {more.get('dataset', {}).get('description', MISSING)}",
        (
            f"- engine: {more.get('engine', MISSING)}, device: "
            f"{more.get('versions', {}).get('device', MISSING)}"
        ),
        f"- settings that all rows share, among others: {settings or MISSING}",
    ]
    if seconds:
        lines.append(
            f"- fine-tuning and its evaluations took {min(seconds) / 60:.1f} to "
            f"{max(seconds) / 60:.1f} minutes of the clock for each row and seed"
        )
    return "\n".join(lines) + "\n"


def _pair(entries: Sequence[StudyDifference]) -> str:
    first = entries[0]
    lines = [list(_HEADS), ["---", "---:", "---:", "---:", "---", "---"]]
    lines += [_line(entry) for name in _SIZES for entry in entries if entry.metric == name]
    sentence = next((entry.text for entry in entries if entry.metric == "AP"), "")
    return f"{first.second} minus {first.first}:\n\n{pipe_table(lines)}\n{sentence}\n"


def _line(entry: StudyDifference) -> list[str]:
    return [
        entry.metric,
        _signed(entry.value),
        _interval(entry.low, entry.high),
        _interval(entry.t_low, entry.t_high),
        ", ".join(map(_signed, entry.per_seed)) or MISSING,
        entry.verdict or MISSING,
    ]


def _interval(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"{_signed(low)} to {_signed(high)}"


def _signed(value: float | None) -> str:
    return MISSING if value is None else signed(value)


if __name__ == "__main__":
    sys.exit(run_tables_command(FOLDER / "README.md", tables, "results/*.json"))
