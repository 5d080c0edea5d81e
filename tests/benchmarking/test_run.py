"""From the first look at settings to the one that is saved, with contestants that are made up."""

from dataclasses import replace

import pytest
import torch

from resnext_det.acceleration import machine
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.benchmarking import batch_sizes, screening
from resnext_det.benchmarking.bench import BACKBONE, THEIRS, Bench
from resnext_det.benchmarking.candidates import additions, grid, why_not
from resnext_det.benchmarking.run import run_benchmark, save_outcome
from resnext_det.errors import UserError
from resnext_det.timing.processes import Answer, ContestantError

CPU = torch.device("cpu")
MAPS = {"float32": [torch.ones(3).numpy()], "bfloat16": [1.5 * torch.ones(3).numpy()]}


class MadeUp(Bench):
    """Contestants whose seconds follow from their setting."""

    def contestant(self, build):
        return Fake(build, self)

    def peers(self):
        return {THEIRS: 3.0, BACKBONE: "is not there"}

    def ours(self, setting=EXACT):
        return setting


class Fake:
    base = 100

    def __init__(self, build, bench):
        self.build, self.bench = build, bench

    def start(self):
        pass

    def __enter__(self):
        if isinstance(self.build, str):
            raise ContestantError(self.build)
        if isinstance(self.build, Acceleration) and self.build.compile:
            raise ContestantError("no compiler")
        return self

    def __exit__(self, *error):
        pass

    def close(self):
        pass

    def ask(self, request):
        seconds = seconds_of(self.build) if isinstance(self.build, Acceleration) else self.build
        if request.batch > 8:
            raise ContestantError("cannot have 9 GB", True)
        value = MAPS[self.build.precision] if request.wish == "maps" else None
        times = {"wall": seconds * request.batch, "cpu": seconds * request.batch}
        return Answer(times, value, self.base + 10 * request.batch)


def seconds_of(setting):
    """bfloat16 halves, channels_last and fold_norms take a tenth each, fast_pooling adds one."""
    factor = 1.0 if setting.precision == "float32" else 0.5
    for name, part in (("channels_last", 0.9), ("fold_norms", 0.9), ("fast_pooling", 1.1)):
        factor *= part if getattr(setting, name) else 1
    return factor * (0.8 if setting.keep_memory else 1)


@pytest.fixture
def bench(work, tmp_path):
    return MadeUp(work, "inference", CPU, tmp_path, rounds=2)


def test_the_grid_is_of_what_can_be_had_here():
    found = grid("inference", CPU)
    assert found[0] == EXACT
    assert len(set(found)) == len(found)
    assert all(why_not(setting, CPU, "inference") is None for setting in found)
    assert {setting.precision for setting in found} == {"float32", "bfloat16"}  # float16: GPUs
    assert not any(s.cuda_graphs or s.compile for s in found)
    assert {"channels_last", "fold_norms"}.isdisjoint(additions("training", CPU))


def test_what_a_gpu_alone_gains_by_is_not_tried_on_a_processor():
    assert "fast_suppression" in additions("training", torch.device("cuda"))
    assert "fast_suppression" not in additions("training", CPU)


def test_pooling_on_a_gpu_is_not_tried_in_training():
    told = why_not(Acceleration(fast_pooling=True), torch.device("cuda"), "training")
    assert told is not None
    assert told.endswith("fast_pooling is for the CPU alone in training: leave it out")


@pytest.mark.parametrize("mode", machine.MODES)
def test_no_switch_is_tried_twice(mode):
    together = {name for s in grid(mode, CPU) for name, on in s.to_dict().items() if on is True}
    assert together.isdisjoint(additions(mode, CPU))


def test_the_fastest_that_is_near_enough_is_chosen(bench):
    said = []
    outcome = run_benchmark(bench, batches=[1, 4], say=said.append)
    best = Acceleration(channels_last=True, fold_norms=True, keep_memory=True)
    assert outcome.chosen.setting == best
    finals = outcome.seconds
    faster = replace(best, precision="bfloat16")
    assert finals[faster.words()] == pytest.approx(0.5 * 0.9 * 0.9 * 0.8)
    assert finals["exact"] == 1
    assert finals[THEIRS] == 3
    assert outcome.finals["skipped"] == {BACKBONE: "is not there"}
    tried = {one.setting: one for one in outcome.screening.found}
    assert not tried[faster].verdict.near_enough
    assert any("compile" in words for words in outcome.screening.skipped)
    assert [timed["batch"] for timed in outcome.batches] == [1, 4]
    assert outcome.batches[1]["images_per_second"]["exact"] == pytest.approx(1)
    assert outcome.batches[1]["peak_bytes"]["exact"] == 140
    assert outcome.batches_end == "no more were asked for"
    assert any(line.startswith("in turn: Detectron2: 3000.0 ms") for line in said)


def test_named_settings_alone_are_tried(bench):
    only = Acceleration(channels_last=True)
    outcome = run_benchmark(bench, settings=[only], batches=[2], say=lambda _: None)
    assert [one.setting for one in outcome.screening.found] == [EXACT, only]
    assert outcome.chosen.setting == only


def test_nothing_is_added_to_a_precision_that_is_hopeless(bench, monkeypatch):
    monkeypatch.setattr(screening, "_HOPELESS", 1.5)
    outcome = run_benchmark(bench, batches=[1], say=lambda _: None)
    kept = {one.setting.precision for one in outcome.screening.found if one.setting.keep_memory}
    assert kept == {"bfloat16"}


def test_batches_double_until_memory_ends(bench):
    outcome = run_benchmark(bench, settings=[EXACT], say=lambda _: None)
    assert [timed["batch"] for timed in outcome.batches] == [1, 2, 4, 8]
    assert outcome.batches_end == "16 images: cannot have 9 GB"


def test_batches_end_before_an_estimate_that_exceeds_what_is_free(bench, monkeypatch):
    monkeypatch.setattr(batch_sizes, "available_memory", lambda: 75)
    outcome = run_benchmark(bench, settings=[EXACT], say=lambda _: None)
    # 4 images took 40 bytes beyond the 100 of the model: 8 would take 80.
    assert [timed["batch"] for timed in outcome.batches] == [1, 2, 4]
    assert outcome.batches_end.startswith("8 images would take about")


def test_batches_end_when_they_take_too_long(bench, monkeypatch):
    monkeypatch.setattr(batch_sizes, "LONGEST", 1.5)
    outcome = run_benchmark(bench, settings=[EXACT], say=lambda _: None)
    assert outcome.batches_end == "2 images take 2 s"


def test_an_exact_detector_that_does_not_run_ends_the_benchmark(bench):
    with pytest.raises(ContestantError, match="9 GB"):
        run_benchmark(bench, batches=[16], say=lambda _: None)


def test_an_exact_detector_that_does_not_run_twice_ends_the_benchmark(bench, monkeypatch):
    enter, times = Fake.__enter__, iter((None, "cannot have 9 GB"))

    def enter_once(fake):
        if fake.build == EXACT and (why := next(times)):
            raise ContestantError(why, True)
        return enter(fake)

    monkeypatch.setattr(Fake, "__enter__", enter_once)
    with pytest.raises(ContestantError, match="9 GB"):
        run_benchmark(bench, settings=[EXACT], batches=[1], say=lambda _: None)


def test_the_exact_detector_is_the_first_of_the_finals(bench, monkeypatch):
    started = []
    monkeypatch.setattr(Fake, "start", lambda fake: started.append(fake.build))
    only = Acceleration(channels_last=True)
    outcome = run_benchmark(bench, settings=[only], batches=[1], say=lambda _: None)
    assert list(outcome.seconds) == ["exact", only.words(), THEIRS]
    assert started[0] == EXACT


def test_a_detector_that_finds_nothing_cannot_be_judged(bench, monkeypatch):
    monkeypatch.setitem(MAPS, "float32", [torch.full((3,), torch.nan).numpy()])
    with pytest.raises(UserError, match="cannot be judged .*give --images FOLDER"):
        run_benchmark(bench, batches=[1], say=lambda _: None)


def test_what_is_chosen_is_saved_with_the_reason(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))
    outcome = run_benchmark(bench, batches=[1], say=lambda _: None)
    file = save_outcome(outcome)
    assert file == str(machine.settings_file())
    assert machine.saved_acceleration(CPU, "inference") == outcome.chosen.setting
    assert '"exact_seconds": 1.0' in machine.settings_file().read_text()
    assert '"image": [64, 96]' in machine.settings_file().read_text()
