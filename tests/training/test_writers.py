"""metrics.json, TensorBoard, the bar, and result.json. Engine-neutral."""

import io
import json
import math
import statistics

import pytest
from rich.console import Console

from resnext_det.training.result import write_result
from resnext_det.training.writers import RunWriter


def record(writer, iterations):
    for i in iterations:
        values = {"total_loss": float(i * i), "lr": 0.1 / (i + 1), "time": 0.5, "data_time": 0.1}
        writer.record(i, values)


def read(folder):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def test_a_line_every_20_iterations_with_medians(tmp_path):
    with RunWriter(tmp_path, 0, 50) as writer:
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


def test_plain_lines_without_a_terminal_and_a_bar_with_one(tmp_path, caplog):
    with caplog.at_level("INFO"), RunWriter(tmp_path, 0, 20) as writer:
        record(writer, range(20))
    assert caplog.text.count("total_loss:") == 1
    caplog.clear()
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with caplog.at_level("INFO"), RunWriter(tmp_path, 0, 20, console) as writer:
        record(writer, range(20))
    assert "total_loss" not in caplog.text
    assert "20/20" in screen.getvalue()
    assert "loss" in screen.getvalue()


def test_result_holds_no_nan(cfg, tmp_path):
    metrics = {"AP": math.nan, "AP50": None, "AP75": 12.5}
    returned = write_result(tmp_path, cfg=cfg, engine="portable", seed=3, metrics=metrics, runs=[1])
    read_back = json.loads((tmp_path / "result.json").read_text())
    assert read_back == returned
    assert read_back["metrics"] == {"AP": None, "AP50": None, "AP75": 12.5}
    assert read_back["config"]["SOLVER"]["STEPS"] == [6, 8]
    assert read_back["versions"].keys() >= {"python", "torch", "torchvision", "device"}
    assert (read_back["engine"], read_back["seed"], read_back["runs"]) == ("portable", 3, [1])
