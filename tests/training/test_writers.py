"""metrics.json, TensorBoard, the bar, and result.json. Engine-neutral."""

import io
import json
import logging
import math
import statistics

import pytest
import torch
from rich.console import Console

from resnext_det.training.boards import TensorBoard
from resnext_det.training.log import start_logging
from resnext_det.training.progress import log_line
from resnext_det.training.result import write_result
from resnext_det.training.writers import RunWriter


def record(writer, iterations):
    for i in iterations:
        values = {"total_loss": float(i * i), "lr": 0.1 / (i + 1), "time": 0.5, "data_time": 0.1}
        writer.record(i, values)


def read(folder):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def test_a_line_every_20_iterations_with_medians(tmp_path):
    with RunWriter(tmp_path, 0, 50, boards=[TensorBoard(tmp_path, 0)]) as writer:
        record(writer, range(50))
    lines = read(tmp_path)
    assert [line["iteration"] for line in lines] == [19, 39, 49]
    # np.median over the last 20 of what was put in
    assert lines[1]["total_loss"] == statistics.median(i * i for i in range(20, 40))
    assert lines[1]["lr"] == 0.1 / 40
    assert lines[1]["eta_seconds"] == pytest.approx(0.5 * 10)
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_resuming_removes_the_lines_that_are_done_again(tmp_path):
    with RunWriter(tmp_path, 0, 100) as writer:
        record(writer, range(60))
    with (tmp_path / "metrics.json").open("a") as file:
        file.write('{"iteration": 79, "total')  # cut short by a crash
    with RunWriter(tmp_path, 40, 100) as writer:
        record(writer, range(40, 100))
    assert [line["iteration"] for line in read(tmp_path)] == [19, 39, 59, 79, 99]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"iteration": 1e999}'], ids=["deep", "infinite"])
def test_a_line_made_to_fail_is_removed(tmp_path, line):
    (tmp_path / "metrics.json").write_text(f'{{"iteration": 19}}\n{line}\n')
    with RunWriter(tmp_path, 20, 100):
        pass
    assert [line["iteration"] for line in read(tmp_path)] == [19]


def test_a_last_line_without_its_end_does_not_run_into_the_next(tmp_path):
    (tmp_path / "metrics.json").write_text('{"iteration": 19}\n{"iteration": 39}')
    for start in (40, 60):
        with RunWriter(tmp_path, start, 100) as writer:
            record(writer, range(start, start + 20))
    assert [line["iteration"] for line in read(tmp_path)] == [19, 39, 59, 79]


def test_an_evaluation_that_is_made_once_more_is_told_once(tmp_path):
    with RunWriter(tmp_path, 0, 20) as writer:
        record(writer, range(20))
        writer.record_evaluation(9, {"top1": 40.0})
        writer.record_evaluation(19, {"top1": 50.0})
        writer.record_evaluation(19, {"320/top1": 60.0})
    before = read(tmp_path)
    for _ in range(2):  # killed before result.json was written, and again
        with RunWriter(tmp_path, 20, 20) as writer:
            writer.record_evaluation(19, {"top1": 50.0})
            writer.record_evaluation(19, {"320/top1": 60.0})
    assert read(tmp_path) == before


def test_epochs_stand_beside_iterations(tmp_path, caplog):
    # 4 images of 120 in each iteration: 50 iterations are 200 / 120 epochs
    with caplog.at_level("INFO"), RunWriter(tmp_path, 0, 50, epoch_of_one=4 / 120) as writer:
        record(writer, range(40))
        writer.record_evaluation(39, {"top1": 50.0})
    assert "iter: 40/50  epoch: 1.33/1.67" in caplog.text
    epochs = [line["epoch"] for line in read(tmp_path)]
    assert epochs == pytest.approx([80 / 120, 160 / 120, 160 / 120], abs=1e-6)


def test_training_that_ends_between_two_lines_is_written(tmp_path):
    with RunWriter(tmp_path, 0, 100) as writer:
        record(writer, range(27))
        writer.flush()
        writer.flush()
    assert [line["iteration"] for line in read(tmp_path)] == [19, 26]


def test_a_bar_on_a_terminal_and_plain_lines_in_the_log_file(tmp_path, capfd):
    start_logging(tmp_path)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with RunWriter(tmp_path, 0, 20, console=console, epoch_of_one=0.1) as writer:
        record(writer, range(20))
        logging.getLogger("resnext_det.engines").info("another line")
    logging.getLogger("resnext_det.training.progress").info("after the bar")
    assert "20/20" in screen.getvalue()
    assert "epoch 2.00  loss 361  lr 0.005" in screen.getvalue()
    assert "another line" in screen.getvalue()  # above the bar, which redirects stderr
    assert "total_loss" not in screen.getvalue()
    said = capfd.readouterr().err
    assert "total_loss" not in said
    assert "after the bar" in said
    log = (tmp_path / "log.txt").read_text()
    assert log.count("iter: 20/20  epoch: 2.00/2.00  total_loss: 90.5") == 1


def test_plain_lines_where_there_is_no_terminal(tmp_path, capfd):
    start_logging(tmp_path)
    with RunWriter(tmp_path, 0, 20) as writer:
        record(writer, range(20))
    said = capfd.readouterr().err
    assert said.count("total_loss:") == 1
    assert said == (tmp_path / "log.txt").read_text()


def test_result_holds_no_nan(cfg, tmp_path):
    metrics = {"AP": math.nan, "AP50": None, "AP75": 12.5}
    returned = write_result(tmp_path, cfg=cfg, engine="portable", seed=3, metrics=metrics, runs=[1])
    read_back = json.loads((tmp_path / "result.json").read_text())
    assert read_back == returned
    assert read_back["metrics"] == {"AP": None, "AP50": None, "AP75": 12.5}
    assert read_back["config"]["SOLVER"]["STEPS"] == [6, 8]
    assert read_back["versions"].keys() >= {"python", "torch", "torchvision", "device"}
    assert (read_back["engine"], read_back["seed"], read_back["runs"]) == ("portable", 3, [1])


def test_a_gpus_peak_memory_stands_in_the_line(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**30)
    with caplog.at_level("INFO"):
        log_line(19, 40, {"eta_seconds": 65.0, "lr": 0.1, "total_loss": 2.0})
    expected = "eta: 0:01:05  iter: 20/40  total_loss: 2  lr: 0.1  max_mem: 3072M"
    assert caplog.messages == [expected]
