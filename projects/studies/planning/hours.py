"""How long a job will still take, and where that number comes from. Engine-neutral."""

import json
from collections.abc import Sequence
from pathlib import Path

from fvcore.common.config import CfgNode

from projects.studies.folders.records import job_seconds
from projects.studies.jobs import Job
from projects.studies.planning.job_facts import JobFacts
from projects.studies.planning.measure import Measurement
from projects.studies.planning.plan_lines import State
from resnext_det.classification.crops import main_crop, more_crops
from resnext_det.config import config_root
from resnext_det.training.newest import FINAL, latest_checkpoint
from resnext_det.training.result import RESULT

_TEN_CROPS = 10


def state_of(job: Job) -> tuple[State, int]:
    """Returns how far a job is, and the iterations that are left."""
    if (job.folder / RESULT).exists():
        return "finished", 0
    newest = latest_checkpoint(job.folder)
    if newest is None:
        return "new", job.max_iter
    if newest.stem == FINAL:
        return "started", 0
    number = newest.stem.rsplit("_", 1)[-1]  # of the last finished iteration, from 0
    done = int(number) + 1 if number.isdecimal() else 0
    return "started", max(0, job.max_iter - done)


def finished_twin(facts: JobFacts, others: Sequence[JobFacts]) -> float | None:
    """Returns the seconds of a finished job that differs in seed and weights alone."""
    finished = (
        job_seconds(other.job.folder)
        for other in others
        if other.key == facts.key and state_of(other.job)[0] == "finished"
    )
    return next((seconds for seconds in finished if seconds), None)


def hours_of(
    facts: JobFacts,
    others: Sequence[JobFacts],
    found: Measurement | str | None,
    state: State,
    left: int,
    *,
    on_gpu: bool,
) -> tuple[float | None, str]:
    """Returns a job's hours and where they come from.

    Args:
        facts: the job.
        others: all jobs of the study.
        found: what measuring such a job gave; None where none was measured.
        state: how far it is.
        left: iterations that it still has to do.
        on_gpu: whether it will run on one.
    """
    if state == "finished":
        return 0.0, "finished"
    if seconds := finished_twin(facts, others):
        return seconds / 3600 * left / facts.job.max_iter, "a finished run of this study"
    if isinstance(found, Measurement):
        source = f"measured here on {found.iterations} iterations"
        if found.seconds_per_test_image is None and facts.cfg.DATASETS.TEST:
            source += ", without evaluation"
        return _measured_seconds(facts, found, left) / 3600, source
    if found is not None:
        return None, f"not measured: {found}"
    if (seconds := _costed_seconds(facts.cfg, on_gpu=on_gpu)) is not None and facts.classifies:
        images = left * facts.cfg.SOLVER.IMS_PER_BATCH
        return images * seconds / 3600, "configs/costs.json"
    if facts.missing:
        return None, "not measured: something is missing here"
    if not proposals_are_here(facts):
        return None, "not measured: its proposals come from an earlier job"
    return None, "not measured"


def _measured_seconds(facts: JobFacts, found: Measurement, left: int) -> float:
    period, last = facts.cfg.TEST.EVAL_PERIOD, facts.job.max_iter
    evaluations = 1  # when training ends; those at an earlier iteration come before it
    if period > 0:
        evaluations += sum(iteration > last - left for iteration in range(period, last, period))
    images = (facts.test_images or 0) * (evaluations + _more_crops(facts))
    testing = (found.seconds_per_test_image or 0.0) * images
    return found.start_up_seconds + left * found.seconds_per_iteration + testing


def _more_crops(facts: JobFacts) -> float:
    """Returns what the crops scored at the end take, in main crops: by their pixels."""
    if not facts.classifies:
        return 0.0
    main = main_crop(facts.cfg).crop ** 2
    crops = more_crops(facts.cfg)
    return sum(crop.crop**2 / main * (_TEN_CROPS if crop.ten_crop else 1) for crop in crops)


def _costed_seconds(cfg: CfgNode, *, on_gpu: bool) -> float | None:
    """Returns the seconds of a training image in configs/costs.json, on a device like this one."""
    net = cfg.MODEL.RESNETS
    without = "" if net.SHORTCUTS else " without shortcuts"
    key = f"{net.VARIANT}{without}, {cfg.INPUT.CLASSIFICATION.TRAIN_CROP} px"
    costs = json.loads((config_root() / "costs.json").read_text(encoding="utf-8"))
    device = costs.get("cuda" if on_gpu else "cpu", {})
    return device.get("rows", {}).get(key, {}).get("seconds_per_image")


def proposals_are_here(facts: JobFacts) -> bool:
    """Tells whether the files of a job's proposals are there, if it reads any."""
    sets = facts.cfg.DATASETS
    files = (*sets.PROPOSAL_FILES_TRAIN, *sets.PROPOSAL_FILES_TEST)
    return not facts.cfg.MODEL.LOAD_PROPOSALS or all(Path(file).exists() for file in files)
