"""Two processes of a run that are told to stop, one of them or both, at any moment. Engine-neutral.

The processes are forked, as importing torch anew would take longer than all they do. The starters
of the real command are in tests/distributed.
"""

import logging
import multiprocessing
import os
import signal
import time
import traceback
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from resnext_det.config import get_cfg, with_values
from resnext_det.training import distributed
from resnext_det.training.checkpoint_file import load_checkpoint
from resnext_det.training.place import Place
from resnext_det.training.preemption import STATUS, Preempted, current, handled
from resnext_det.training.rendezvous import find_store, meet
from resnext_det.training.restarts import join_attempt
from resnext_det.training.together import stops_together
from tests.training.conftest import NormNet
from tests.training.runs import assert_equal, squares, train

KEYS = {
    "SOLVER.IMS_PER_BATCH": 4, "SOLVER.CHECKPOINT_PERIOD": 3, "TEST.BEST_METRIC": "top1",
    "TEST.EVAL_PERIOD": 2, "SOLVER.MAX_ITER": 5, "SOLVER.STEPS": [4], "SOLVER.BASE_LR": 0.1,
    "SOLVER.WARMUP_ITERS": 0,
}  # fmt: skip
PATIENCE = 300  # seconds; a crowded machine is slow


class Plan:
    """What the process of a rank does to itself at a moment of an iteration.

    Args:
        acts: (moment, iteration, rank) -> the signal that it raises.
    """

    def __init__(self, acts):
        self._acts = acts
        self.iteration = -1

    def act(self, moment, iteration):
        number = self._acts.get((moment, iteration, distributed.rank()))
        if number is None:
            return
        signal.raise_signal(number)
        end = time.monotonic() + PATIENCE
        while moment in ("share", "score") and time.monotonic() < end:
            time.sleep(0.01)  # until it is broken off

    def losses(self, model, batch):
        self.iteration += 1
        self.act("iteration", self.iteration)
        return squares(model, batch)

    def evaluate(self, model, iteration):
        model.eval()
        self.act("share", iteration)
        value = sum(distributed.all_gather_objects(model.fc.weight.sum().item()))
        if distributed.is_main():
            self.act("score", iteration)
        return {"top1": value}


def be_rank(rank, port, cfg, acts, resume, folder):
    """Is one of two processes; leaves its status and what it said in a folder."""
    said, status = "", 0
    logging.getLogger("resnext_det").setLevel(logging.WARNING)
    logging.getLogger("resnext_det").addHandler(logging.FileHandler(folder / f"log{rank}"))
    try:
        with handled():
            store = find_store("127.0.0.1", port, PATIENCE)
            with stops_together(store, rank):
                hosts = meet(store, "rank", rank, 2, PATIENCE)
                place = Place(rank, 2, rank, 2, 0)
                address = ("127.0.0.1", port)
                distributed.join(store, place, hosts, starter="", address=address, on_gpus=False)
                plan = Plan(acts)
                plan.act("start", -1)
                torch.manual_seed(0)
                model = NormNet(dropout=0.5)
                train(cfg, model, evaluate=plan.evaluate, losses=plan.losses, resume=resume)
                assert not current().wanted
    except Preempted as stopped:
        said, status = str(stopped), STATUS
    except BaseException:
        said, status = traceback.format_exc(), 1
    (folder / f"said{rank}").write_text(said)
    os._exit(status)


def config(folder):
    cfg = get_cfg()
    cfg.SEED, cfg.OUTPUT_DIR = 3, str(folder / "run")
    return with_values(cfg, KEYS)


def run(cfg, folder, acts=None, *, resume=False, more=None):
    """Trains in two processes; returns their statuses and what both have said."""
    folder.mkdir(exist_ok=True)
    cfg = with_values(cfg, more or {})
    store = dist.TCPStore("127.0.0.1", 0, None, True, timedelta(seconds=60), wait_for_workers=False)
    fork = multiprocessing.get_context("fork")
    given = [(rank, store.port, cfg, acts or {}, resume, folder) for rank in (0, 1)]
    processes = [fork.Process(target=be_rank, args=each) for each in given]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    files = [folder / f"{kind}{rank}" for kind in ("said", "log") for rank in (0, 1)]
    return [p.exitcode for p in processes], "".join(f.read_text() for f in files if f.exists())


@pytest.fixture(scope="module")
def whole(tmp_path_factory, _imported):
    """The folder of a run that nobody stopped, with a checkpoint of each iteration."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(config(folder), folder, more={"SOLVER.CHECKPOINT_PERIOD": 1}) == ([0, 0], "")
    return folder / "run"


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory):
    """Has what torch imports at its first update imported before the processes are forked."""
    cfg = with_values(config(tmp_path_factory.mktemp("imported")), {"SOLVER.MAX_ITER": 1})
    train(cfg, NormNet(), evaluate=Plan({}).evaluate)


def assert_same(folder, whole, name):
    """Compares a checkpoint with the one of the run that nobody stopped."""
    contents = [load_checkpoint(f / f"{name}.pth") for f in (whole, folder)]
    for content in contents:
        for entry in ("periodic_checkpoints", "evaluation", "best"):  # of other periods
            content.pop(entry)
    assert_equal(*contents)


TERM, USR1 = signal.SIGTERM, signal.SIGUSR1
ITERATIONS = {
    "the main rank": {("iteration", 2, 0): TERM},
    "another rank": {("iteration", 2, 1): USR1},
    "both": {("iteration", 2, 0): TERM, ("iteration", 2, 1): TERM},
    "both, one after the other": {("iteration", 2, 1): TERM, ("iteration", 3, 0): TERM},
}


@pytest.mark.parametrize("who", ITERATIONS)
def test_all_stop_after_the_same_iteration(tmp_path, whole, who):
    statuses, said = run(config(tmp_path), tmp_path, ITERATIONS[who])
    assert statuses == [STATUS, STATUS], said
    path = tmp_path / "run" / "model_0000002.pth"
    name = "SIGUSR1" if who == "another rank" else "SIGTERM"
    assert said == (
        f"Stopped by {name} after 3 iterations, which {path} holds: the same command with --resume "
        "goes on\n"
    )
    assert_same(tmp_path / "run", whole, path.stem)


EVALUATIONS = {
    "the main rank's share": ("share", 1, 0),
    "another rank's share": ("share", 1, 1),
    "the scoring": ("score", 1, 0),
}


@pytest.mark.parametrize("which", EVALUATIONS)
def test_an_evaluation_is_broken_off_by_all(tmp_path, whole, which):
    cfg = config(tmp_path)
    statuses, said = run(cfg, tmp_path, {EVALUATIONS[which]: USR1})
    assert statuses == [STATUS, STATUS], said
    assert said.startswith("Stopped by SIGUSR1 after 2 iterations, which "), said
    assert said.count("\n") == 1
    assert_same(tmp_path / "run", whole, "model_0000001")
    if which == "the scoring":
        (tmp_path / "log0").unlink()
        assert run(cfg, tmp_path, resume=True) == ([0, 0], "")
        assert_same(tmp_path / "run", whole, "model_final")


@pytest.mark.parametrize("rank", [0, 1])
def test_at_start_up_all_leave(tmp_path, rank):
    statuses, said = run(config(tmp_path), tmp_path, {("start", -1, rank): TERM})
    assert statuses == [STATUS, STATUS], said
    assert said.startswith("stopped by SIGTERM, nothing is lost"), said
    assert "\n" not in said


def test_the_end_of_another_by_a_signal_of_its_own_is_an_error(tmp_path):
    acts = {("iteration", 1, 0): signal.SIGUSR2}  # which nobody listens to
    statuses, _ = run(config(tmp_path), tmp_path, acts)
    assert statuses[0] == -signal.SIGUSR2
    assert statuses[1] == 1


def test_an_attempt_is_joined_by_its_own_processes_alone(tmp_path):
    store = dist.TCPStore("127.0.0.1", 0, None, True, timedelta(seconds=60), wait_for_workers=False)
    fork = multiprocessing.get_context("fork")

    def join(rank, name):
        found = join_attempt(find_store("127.0.0.1", store.port, PATIENCE), rank, 2, PATIENCE)
        stale = found.check(["failed"])
        found.set(f"came/{rank}", name)
        others = found.get(f"came/{1 - rank}").decode()
        (tmp_path / name).write_text(f"with {others}, {stale}")
        found.set("failed", "")
        os._exit(0)

    for attempt in ("first", "second"):
        # Rank 1 of the second comes first, and finds what the first attempt has left.
        ranks = [fork.Process(target=join, args=(rank, f"{attempt} {rank}")) for rank in (1, 0)]
        for process in ranks:
            process.start()
            time.sleep(0.2)
        for process in ranks:
            process.join(PATIENCE)
        assert [process.exitcode for process in ranks] == [0, 0]
    assert (tmp_path / "second 0").read_text() == "with second 1, False"
    assert (tmp_path / "second 1").read_text() == "with second 0, False"
