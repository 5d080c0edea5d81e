"""What every study states of its own runs, and what can fail. Engine-neutral."""

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from projects.studies.findings import Finding, finding
from projects.studies.gathering.rows import FinishedCell, Run, complexity
from projects.studies.grid import Grid, StudyRow
from projects.studies.job_words import job_words, output_folder
from projects.studies.test_sets import ScoredSet
from resnext_det.classification.ranks import RANKS_FILE
from resnext_det.evaluation.coco_ap import evaluate_boxes
from resnext_det.evaluation.coco_input import read_ground_truth
from resnext_det.evaluation.results_json import RESULTS_FILE
from resnext_det.statistics.classification import read_ranks

Flat = Mapping[str, Any]
_ALWAYS = ("OUTPUT_DIR",)
_DIGITS = 4  # more than any table prints
# Named in the sentence, and kept as the study's settings.
_NAMED = {
    "detection": (
        "MODEL.RESNETS.NORM",
        "MODEL.BACKBONE.FREEZE_AT",
        "SOLVER.MAX_ITER",
        "SOLVER.IMS_PER_BATCH",
        "SOLVER.BASE_LR",
        "SEED",
    ),
    "classification": (
        "SOLVER.MAX_ITER",
        "SOLVER.IMS_PER_BATCH",
        "SOLVER.BASE_LR",
        "SOLVER.WEIGHT_DECAY",
        "SEED",
    ),
}
_ALSO_KEPT = (
    "INPUT.MIN_SIZE_TRAIN",
    "INPUT.CLASSIFICATION.TRAIN_CROP",
    "SOLVER.LR_SCHEDULER_NAME",
    "SOLVER.STEPS",
)


def flat_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested config with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat |= flat_config(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def checks(grid: Grid, cells: Sequence[FinishedCell], test_set: ScoredSet) -> list[Finding]:
    """Returns what is checked of every study: complexity, settings, and each run's metrics."""
    found = complexity_findings(grid, cells)
    found.append(settings_finding(grid, cells))
    if grid.kind == "detection":
        found.append(pycocotools_finding(cells, test_set))
    else:
        found.append(accuracy_finding(cells))
    return found


def complexity_findings(grid: Grid, cells: Sequence[FinishedCell]) -> list[Finding]:
    """Compares the multiply-adds of the two networks of each pair, in percent of the first's.

    Pairs of one model, which differ in how it was trained, are left out.
    """
    first_of: dict[StudyRow, FinishedCell] = {}
    for cell in cells:
        first_of.setdefault(cell.cell.row, cell)
    pairs = [pair for pair in grid.pairs if pair[0].model != pair[1].model]
    return [_complexity(grid, first_of[a], first_of[b]) for a, b in pairs]


def _complexity(grid: Grid, first: FinishedCell, second: FinishedCell) -> Finding:
    names = [cell.cell.row.model for cell in (first, second)]
    flops = [complexity(cell).flops for cell in (first, second)]
    difference = 100 * abs(flops[1] - flops[0]) / flops[0]
    parts = {"detection": "backbones", "classification": "networks"}[grid.kind]
    text = (
        f"The {parts}' multiply-adds differ by {difference:.1f} % ({names[0]} "
        f"{flops[0] / 1e9:.3f} G, {names[1]} {flops[1] / 1e9:.3f} G on "
        f"{first.image_size}x{first.image_size} pixels)"
    )
    most = grid.max_flops_difference
    if most is None:
        return finding(f"{text}.")
    return finding(f"{text}; at most {most:g} % are allowed.", difference <= most)


def settings_finding(grid: Grid, cells: Sequence[FinishedCell]) -> Finding:
    """Checks that the rows differ in nothing but what is compared.

    The runs of one seed are compared with each other; of two seeds, SEED may differ, too. The
    same goes for the runs that pretrained them.
    """
    differing: set[str] = set()
    for runs in _chains(cells):
        configs = [(cell.cell.seed, flat_config(run.result["config"])) for cell, run in runs]
        differing |= _differing(configs, {*grid.compared, *_ALWAYS})
    if differing:
        return finding(f"The rows differ in {', '.join(sorted(differing))}.", False)
    shared = _shared(cells, _NAMED[grid.kind])
    values = ", ".join(f"{key.rsplit('.', 1)[-1]} {value}" for key, value in shared.items())
    number = len({cell.cell.row for cell in cells})
    text = (
        f"All {number} rows share every setting ({values}) and the data order; they differ in "
        f"{_compared_words(grid)} alone."
    )
    return finding(text, True)


def shared_settings(grid: Grid, cells: Sequence[FinishedCell]) -> dict[str, Any]:
    """Returns "settings" of a study's result.json: what all rows and seeds have in common."""
    apart = "INPUT.MIN_SIZE" if grid.kind == "classification" else "INPUT.CLASSIFICATION"
    also = [key for key in _ALSO_KEPT if not key.startswith(apart)]
    given = [key for cell in cells[:1] for key in _given(cell.last, grid)]
    shared = _shared(cells, [*_NAMED[grid.kind], *also, *given])
    if not (cells and all(cell.pretraining for cell in cells)):
        return shared
    before = [key for cell in cells[:1] for key in _given(cell.pretraining, grid)]
    pretraining = _shared(cells, ["SOLVER.MAX_ITER", *before], of_pretraining=True)
    return shared | {f"{key} (pretraining)": value for key, value in pretraining.items()}


def _given(run: Run | None, grid: Grid) -> list[str]:
    """Returns the config keys that a run's command sets, and that the rows have in common."""
    keys = job_words(run.job).opts[::2] if run else []
    return [key for key in keys if key not in (*grid.compared, *_ALWAYS)]


def _shared(
    cells: Sequence[FinishedCell], keys: Sequence[str], *, of_pretraining: bool = False
) -> dict[str, Any]:
    runs = [cell.pretraining if of_pretraining else cell.last for cell in cells]
    configs = [flat_config(run.result["config"]) for run in runs if run]
    return {
        key: configs[0][key]
        for key in keys
        if configs and key in configs[0] and all(c.get(key) == configs[0][key] for c in configs)
    }


def pycocotools_finding(cells: Sequence[FinishedCell], test_set: ScoredSet) -> Finding:
    """Recomputes every run's AP from its detections with pycocotools."""
    truth = read_ground_truth(test_set.annotations)
    largest, number, wrong = 0.0, 0, []
    for cell in cells:
        folder, metrics = output_folder(cell.last.job), cell.last.result["metrics"]
        with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does
            recomputed = evaluate_boxes(truth, folder / RESULTS_FILE, backend="pycocotools")
        for name in recomputed.keys() | {key for key in metrics if key.startswith("AP")}:
            ours, theirs = metrics.get(name), recomputed.get(name)
            number += 1
            if _printed(ours) != _printed(theirs):
                label = f"{cell.cell.row.label}, seed {cell.cell.seed}"
                wrong.append(f"{label}: {name} {_printed(ours)}, pycocotools {_printed(theirs)}")
            elif ours is not None and theirs is not None:
                largest = max(largest, abs(ours - theirs))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return finding(f"An AP is not pycocotools': {sorted(wrong)[0]}{more}.", False)
    text = (
        f"All {number} APs of the {len(cells)} runs equal pycocotools', recomputed from their "
        f"detections, to the digit {10**-_DIGITS:.{_DIGITS}f}; the largest difference is "
        f"{f'{largest:.0e}' if largest else 0}."
    )
    return finding(text, True)


def accuracy_finding(cells: Sequence[FinishedCell]) -> Finding:
    """Counts every classifier's top-1 and top-5 anew from the ranks that it left."""
    number, wrong = 0, []
    for cell in cells:
        metrics, counted = cell.last.result["metrics"], _counted(output_folder(cell.last.job))
        for name, theirs in counted.items():
            if name == "top5" and metrics.get(name) is None:  # among fewer than five classes
                continue
            number += 1
            if (said := _printed(metrics.get(name))) != _printed(theirs):
                label = f"{cell.cell.row.label}, seed {cell.cell.seed}"
                wrong.append(f"{label}: {name} {said}, counted {_printed(theirs)}")
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return finding(f"An accuracy is not what the ranks say: {sorted(wrong)[0]}{more}.", False)
    text = f"All {number} accuracies of the {len(cells)} runs equal those counted from their ranks."
    return finding(text, True)


def _counted(folder: Path) -> dict[str, float]:
    """Returns top1 and top5 in percent, from `inference/classification_ranks.json`."""
    ranks = read_ranks(folder / RANKS_FILE)
    tops = (1, 5) if len(ranks) else ()
    return {f"top{k}": 100 * int((ranks < k).sum()) / len(ranks) for k in tops}


def _printed(value: float | None) -> str:
    return "–" if value is None else f"{value:.{_DIGITS}f}"


def _chains(cells: Sequence[FinishedCell]) -> list[list[tuple[FinishedCell, Any]]]:
    """Returns the runs that are comparable: the last ones, and those that pretrained."""
    pretrained = [(cell, cell.pretraining) for cell in cells if cell.pretraining]
    return [[(cell, cell.last) for cell in cells], pretrained]


def _differing(configs: Sequence[tuple[int, Flat]], allowed: set[str]) -> set[str]:
    """Returns the keys, SEED apart, that differ anywhere, and SEED where it is not the cell's."""
    missing = object()
    keys = set().union(*(config for _, config in configs)) - allowed
    differing = {
        key
        for key in keys - {"SEED"}
        if any(config.get(key, missing) != configs[0][1].get(key, missing) for _, config in configs)
    }
    of_seed: dict[int, set[Any]] = defaultdict(set)
    for seed, config in configs:
        of_seed[seed].add(config.get("SEED"))
    return differing | ({"SEED"} if any(len(seeds) > 1 for seeds in of_seed.values()) else set())


def _compared_words(grid: Grid) -> str:
    words = []
    if any(key.startswith("MODEL.RESNETS") for key in grid.compared):
        words.append("the backbone" if grid.kind == "detection" else "the network")
    if "MODEL.WEIGHTS" in grid.compared:
        words.append("the starting weights")
    others = [
        key
        for key in grid.compared
        if not key.startswith("MODEL.RESNETS") and key not in ("MODEL.WEIGHTS", *_ALWAYS)
    ]
    return " and ".join([*words, *others]) or "nothing"
