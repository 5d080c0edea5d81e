"""TensorBoard, and Weights & Biases where a project is named. Engine-neutral."""

import json
import sys
import types

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.training import boards
from resnext_det.training.boards import TensorBoard, check_boards, open_boards
from tests.training.runs import train


class StandIn(types.ModuleType):
    """wandb's module, as far as it is used; keeps what it is told."""

    def __init__(self):
        super().__init__("wandb")
        self.started, self.logged, self.finished = [], [], 0

    def init(self, **words):
        self.started.append(words)
        return self

    def define_metric(self, name, step_metric):
        assert (name, step_metric) == ("*", "iteration")

    def log(self, values):
        self.logged.append(values)

    def finish(self):
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch):
    module = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr(boards, "find_spec", lambda name: name if name == "wandb" else None)
    return module


def test_nothing_is_sent_unless_a_project_is_named(cfg, wandb):
    assert open_boards(cfg, 0) == []
    assert not wandb.started


def test_a_missing_package_is_one_line_with_the_command(cfg, monkeypatch):
    monkeypatch.setattr(boards, "find_spec", lambda name: None)
    check_boards(cfg)
    cfg.WANDB.PROJECT = "cells"
    with pytest.raises(UserError) as error:
        check_boards(cfg)
    assert str(error.value) == (
        "WANDB.PROJECT is cells, but wandb is not installed: pip install wandb "
        "(or leave WANDB.PROJECT empty)"
    )


def test_a_run_sends_config_scalars_and_metrics_and_goes_on_under_its_id(cfg, norm_net, wandb):
    cfg.WANDB.PROJECT, cfg.TEST.EVAL_PERIOD = "cells", 5
    train(cfg, norm_net, evaluate=lambda model, iteration: {"top1": 50.0, "top5": None})
    (started,) = wandb.started
    assert (started["project"], started["name"], started["resume"]) == ("cells", "run", "allow")
    assert started["config"]["SOLVER"]["MAX_ITER"] == 10
    assert [values["iteration"] for values in wandb.logged] == [4, 9, 9]
    assert wandb.logged[0] == {"iteration": 4, "top1": 50.0}  # without what has no value
    assert wandb.logged[1]["total_loss"] > 0
    assert wandb.finished == 1
    train(cfg, norm_net, resume=True)
    assert wandb.started[1]["id"] == started["id"]


def test_what_it_refuses_is_one_line(cfg, wandb):
    def refuse(**words):
        raise RuntimeError("api_key not configured (no-tty)\nmore")

    cfg.WANDB.PROJECT, wandb.init = "cells", refuse
    with pytest.raises(UserError) as error:
        open_boards(cfg, 0)
    assert str(error.value) == (
        "WANDB.PROJECT is cells, but Weights & Biases does not start (api_key not configured "
        "(no-tty)): run `wandb login`, or set WANDB_MODE=offline"
    )


def test_offline_for_real(cfg, norm_net, monkeypatch, tmp_path):
    pytest.importorskip("wandb", reason="needs wandb (pip install wandb)")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    cfg.WANDB.PROJECT = "cells"
    train(cfg, norm_net)
    (run,) = (tmp_path / "run/wandb").glob("offline-run-*/run-*.wandb")
    content = run.read_bytes()
    assert b"total_loss" in content
    assert b"cells" in content
    lines = (tmp_path / "run/metrics.json").read_text().splitlines()
    assert json.loads(lines[0])["iteration"] == 9


def test_tensorboard_keeps_curves_and_pictures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path, 0)
    board.scalars(3, {"lr": 0.5})
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    board.pictures(3, {"predictions/0": picture})
    board.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("lr")] == [(3, 0.5)]
    (image,) = events.Images("predictions/0")
    assert (image.step, image.width, image.height) == (3, 4, 2)
