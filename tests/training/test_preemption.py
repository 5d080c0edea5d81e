"""A run that is told to stop at any moment saves, says so and loses nothing. Engine-neutral."""

import contextlib
import copy
import logging
import multiprocessing
import signal
import threading
import time

import pytest
import torch

from resnext_det.config import with_values
from resnext_det.data.worker_signals import deaf_worker, listens
from resnext_det.training.checkpoint_file import load_checkpoint
from resnext_det.training.preemption import SIGNALS, STATUS, Preempted, current, handled
from tests.training.conftest import NormNet
from tests.training.runs import assert_equal, squares, train

KEYS = {
    "SOLVER.IMS_PER_BATCH": 4, "SOLVER.CHECKPOINT_PERIOD": 3, "SOLVER.KEEP_CHECKPOINTS": 2,
    "SOLVER.EMA.ENABLED": True, "TEST.BEST_METRIC": "top1", "TEST.EVAL_PERIOD": 2,
}  # fmt: skip


def evaluate(model, iteration):
    model.eval()
    return {"top1": model.fc.weight.sum().item()}


class Telling:
    """Losses and an evaluation that send this process a signal at a given moment, once."""

    def __init__(self, moment, iteration, number=signal.SIGTERM, times=1):
        self.moment, self.iteration, self.number, self.times = moment, iteration, number, times
        self.calls = -1

    def tell(self):
        for _ in range(self.times):
            signal.raise_signal(self.number)

    def losses(self, model, batch):
        self.calls += 1
        if self.moment == "iteration" and self.calls == self.iteration:
            self.tell()
        return squares(model, batch)

    def evaluate(self, model, iteration):
        if self.moment == "evaluation" and iteration == self.iteration:
            self.tell()
            pytest.fail("the evaluation goes on")
        return evaluate(model, iteration)


def train_both(cfg, tmp_path, telling):
    """Trains one run at a stretch and one that is told to stop; returns the latter's config."""
    torch.manual_seed(0)
    whole = NormNet(dropout=0.5)
    cut = copy.deepcopy(whole)
    cfg.freeze()
    cfg = with_values(cfg, KEYS)
    train(with_values(cfg, {"OUTPUT_DIR": str(tmp_path / "whole")}), whole, evaluate=evaluate)
    cfg = with_values(cfg, {"OUTPUT_DIR": str(tmp_path / "cut")})
    with handled(), pytest.raises(Preempted) as stopped:
        train(cfg, cut, evaluate=telling.evaluate, losses=telling.losses)
    assert str(stopped.value) == ""  # the log has said it
    assert not current().installed
    return cfg


def finish(cfg, tmp_path):
    """Goes on with the run and compares it with the other."""
    torch.rand(7)
    train(cfg, NormNet(dropout=0.5), evaluate=evaluate, resume=True)
    names = ("model_final.pth", "model_best.pth")
    for name in names:
        contents = [load_checkpoint(tmp_path / run / name) for run in ("whole", "cut")]
        for content in contents:  # says which file is about to be deleted
            content.get("periodic_checkpoints", {}).pop("passing", None)
        assert_equal(*contents)
    files = [sorted(p.name for p in (tmp_path / run).glob("*.pth")) for run in ("whole", "cut")]
    assert files[0] == files[1]


MOMENTS = {
    "the first iteration": ("iteration", 0, "model_0000000.pth"),
    "an iteration": ("iteration", 3, "model_0000003.pth"),
    "one that is saved anyway": ("iteration", 5, "model_0000005.pth"),
    "one that is evaluated": ("iteration", 7, "model_0000007.pth"),
    "the last iteration": ("iteration", 9, "model_0000009.pth"),
    "an evaluation": ("evaluation", 3, "model_0000003.pth"),
    "the final evaluation": ("evaluation", 9, "model_final.pth"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("times", [1, 2], ids=["one signal", "two signals"])
def test_it_saves_and_goes_on_to_the_same_bits(cfg, tmp_path, caplog, moment, times):
    caplog.set_level(logging.WARNING)
    kind, iteration, name = MOMENTS[moment]
    cfg = train_both(cfg, tmp_path, Telling(kind, iteration, times=times))
    path = tmp_path / "cut" / name
    assert (tmp_path / "cut" / "last_checkpoint").read_text() == name
    assert load_checkpoint(path)["iteration"] == iteration
    [line] = [r.getMessage() for r in caplog.records if "Stopped" in r.getMessage()]
    done = f"{iteration + 1} iterations" if iteration else "1 iteration"
    assert line == (
        f"Stopped by SIGTERM after {done}, which {path} holds: the same command with --resume "
        "goes on"
    )
    finish(cfg, tmp_path)


def test_sigusr1_does_the_same(cfg, tmp_path, caplog):
    cfg = train_both(cfg, tmp_path, Telling("iteration", 4, signal.SIGUSR1))
    assert "Stopped by SIGUSR1 after 5 iterations, which " in caplog.text
    finish(cfg, tmp_path)


def test_a_put_off_evaluation_that_is_broken_off_again_is_still_made(cfg, tmp_path):
    cfg = train_both(cfg, tmp_path, Telling("iteration", 3))
    telling = Telling("evaluation", 3)
    with handled(), pytest.raises(Preempted, match="^stopped by SIGTERM, nothing is lost"):
        train(cfg, NormNet(dropout=0.5), evaluate=telling.evaluate, resume=True)
    finish(cfg, tmp_path)


def test_a_checkpoint_that_is_being_written_is_written(cfg, tmp_path, monkeypatch):
    save = torch.save

    def interrupted_save(content, file):
        if content.get("iteration") == 2 and current().installed:
            signal.raise_signal(signal.SIGTERM)
        save(content, file)

    monkeypatch.setattr(torch, "save", interrupted_save)
    cfg = train_both(cfg, tmp_path, Telling("never", 0))
    assert (tmp_path / "cut" / "last_checkpoint").read_text() == "model_0000003.pth"
    assert load_checkpoint(tmp_path / "cut" / "model_0000002.pth")["iteration"] == 2
    finish(cfg, tmp_path)


@pytest.mark.parametrize("number", SIGNALS, ids=[number.name for number in SIGNALS])
def test_before_training_it_leaves_at_once(number):
    with handled(), pytest.raises(Preempted) as stopped:
        signal.raise_signal(number)
    assert str(stopped.value) == (
        f"stopped by {number.name}, nothing is lost: the same command begins again, or with "
        "--resume goes on where there is a checkpoint"
    )


def test_an_evaluation_that_swallows_it_is_left_at_its_end():
    with handled() as told, pytest.raises(Preempted), told.finishing(), told.leaving():
        _swallow()


def test_a_failure_is_not_hidden_by_a_signal_after_it():
    with handled() as told:
        with pytest.raises(ZeroDivisionError), told.finishing(), told.leaving():
            raise ZeroDivisionError
        signal.raise_signal(signal.SIGTERM)


def _swallow():
    """Raises a signal where what it raises is lost, as in a destructor or a callback of C."""
    with contextlib.suppress(Preempted):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it does not leave")


def test_handlers_are_restored_and_left_alone_outside_the_main_thread():
    before = [signal.getsignal(number) for number in SIGNALS]
    inside = []

    def in_thread():
        with handled() as told:
            inside.append(told.installed)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    with handled():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert inside == [False]
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert STATUS == 75


def _deaf(ready):
    deaf_worker(0)
    ready.set()
    time.sleep(600)


def test_deaf_workers_live_through_signals_and_end_with_the_command():
    assert not listens()
    with handled():
        assert listens()
        ready = multiprocessing.Event()
        worker = multiprocessing.Process(target=_deaf, args=(ready,), daemon=True)
        worker.start()
        assert ready.wait(60)
        worker.terminate()
        worker.join(0.2)
        assert worker.is_alive()
    assert worker.exitcode == -signal.SIGKILL
