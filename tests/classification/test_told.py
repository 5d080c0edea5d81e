"""What a classification run tells while it trains: bar, TensorBoard, log. Engine-neutral."""

import io

import pytest
from rich.console import Console

from resnext_det.classification import train_classifier

SHORT = ("SOLVER.MAX_ITER", 2, "SOLVER.STEPS", [], "TEST.EVAL_PERIOD", 1)


def test_a_terminal_shows_a_bar_with_epoch_and_loss(load, datasets, monkeypatch):
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=140)
    monkeypatch.setattr("resnext_det.training.writers.Console", lambda **_: console)
    train_classifier(load(*SHORT), datasets)
    for words in ("training", "2/2", "epoch 1.00", "loss ", "lr 0.01", "eta"):
        assert words in said.getvalue()


def test_tensorboard_has_losses_rates_scores_and_pictures(load, datasets, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    crops = ("TEST.MORE_CROPS", [[40, 36]], "TEST.PICTURES", 2)
    result = train_classifier(load(*SHORT, *crops), datasets)
    board = events.EventAccumulator(str(tmp_path / "run"))
    board.Reload()
    tags = board.Tags()
    assert {"total_loss", "loss_cls", "lr", "top1", "36/top1", "epoch"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"predictions/0", "predictions/1"}
    assert [point.step for point in board.Scalars("top1")] == [0, 1]
    [point] = board.Scalars("36/top1")
    assert (point.step, point.value) == (1, pytest.approx(result["metrics"]["36/top1"]))


def test_the_log_says_how_it_trains(load, datasets, tmp_path):
    how = (
        *("SOLVER.CHANNELS_LAST", True, "SOLVER.GRADIENT_ACCUMULATION", 2),
        *("SOLVER.EMA.ENABLED", True),
    )
    train_classifier(load(*SHORT, *how), datasets)
    expected = (
        "Training on 12 images of 3 classes: 2 iterations of 6 images, in 2 passes, "
        "channels last, weights averaged with EMA 0.999, base lr 0.01, seed 1"
    )
    log = (tmp_path / "run/log.txt").read_text()
    assert expected in log
    places = [f"{name} = {entry.location}" for name, entry in datasets.items()]
    assert f"Data sets: {', '.join(places)}\n" in log


def test_the_log_says_what_is_evaluated(load, datasets, tmp_path):
    train_classifier(load(*SHORT, "TEST.MORE_CROPS", [[40, 36]]), datasets)
    log = (tmp_path / "run/log.txt").read_text()
    said = [line.rpartition("Evaluating ")[2] for line in log.splitlines() if "Evaluating " in line]
    main = "toy_val: 12 images"
    assert said == [main, main, f"{main}, 36"]
